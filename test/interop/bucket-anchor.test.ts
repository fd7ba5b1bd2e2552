import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openBucketAnchor } from '../../ledger/anchors/bucket-anchor.ts'
import { signS3Request } from '../../ledger/anchors/s3-signature.ts'
import { readCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import {
  anchoredOrigin,
  anchoredTree,
  checkpointOf,
  describeAnchor,
  forkedTree,
} from '../conformance/anchor.ts'
import { buildForeignProgram, foreignPrograms } from './foreign-program.ts'

/** The bucket anchor against Versity's S3 gateway: an S3 server with versions and object lock that is not ours. */

const credentials = { accessKeyId: 'access', secretAccessKey: 'secret-of-the-test' }
let folder: string
let server: ChildProcess
let endpoint: string

beforeAll(async () => {
  const program = await buildForeignProgram(foreignPrograms.s3Server)
  folder = await mkdtemp(join(tmpdir(), 'sealtrail-s3-'))
  for (const name of ['data', 'versions']) mkdirSync(join(folder, name))
  const address = `127.0.0.1:${await freePort()}`
  endpoint = `http://${address}`
  const { accessKeyId, secretAccessKey } = credentials
  server = spawn(
    program,
    [
      ...['--port', address, '--access', accessKeyId, '--secret', secretAccessKey, '--quiet'],
      ...['posix', '--versioning-dir', join(folder, 'versions'), join(folder, 'data')],
    ],
    { stdio: 'ignore' },
  )
  process.once('exit', () => server.kill('SIGKILL'))
  for (let tries = 0; tries < 200; tries++) {
    if (
      await fetch(endpoint).then(
        () => true,
        () => false,
      )
    )
      return
    await delay(100)
  }
  throw new Error('the S3 server did not start')
}, 600_000)
afterAll(async () => {
  const gone = once(server, 'exit')
  server.kill('SIGKILL')
  await gone
  rmSync(folder, { recursive: true, force: true })
})

async function send(method: string, path: string, query = {}, body = '', headers = {}) {
  const now = new Date()
  const request = {
    endpoint,
    region: 'us-east-1',
    credentials,
    now,
    method,
    path,
    query,
    headers,
    body,
  }
  const signed = await signS3Request(request)
  const reply = await fetch(signed.url, {
    method,
    headers: signed.headers,
    ...(method === 'GET' ? {} : { body }),
  })
  return { status: reply.status, text: await reply.text() }
}

let buckets = 0
async function makeBucket(locked = true): Promise<string> {
  const bucket = `anchors-${buckets++}`
  const headers = locked ? { 'x-amz-bucket-object-lock-enabled': 'true' } : {}
  expect((await send('PUT', `/${bucket}`, {}, '', headers)).status).toBe(200)
  return bucket
}

const open = (bucket: string, secretAccessKey = credentials.secretAccessKey) =>
  openBucketAnchor({
    url: `${endpoint}/${bucket}/checkpoints/`,
    region: 'us-east-1',
    credentials: async () => ({ ...credentials, secretAccessKey }),
    retentionDays: 30,
    clock: () => Date.now(),
  })

describeAnchor('bucket', async () => {
  const bucket = await makeBucket()
  return async () => open(bucket)
})

describe('a locked bucket', () => {
  test('lets nobody delete a checkpoint, and none is hidden by what is put over it', async () => {
    const bucket = await makeBucket()
    const anchor = open(bucket)
    for (const size of [3, 9, 14]) await anchor.put(checkpointOf(size))
    const path = `/${bucket}/checkpoints/${anchoredOrigin}/0000000000000014`
    const listing = await send('GET', `/${bucket}`, {
      versions: '',
      prefix: `checkpoints/${anchoredOrigin}/0000000000000014`,
    })
    const versionId = /<VersionId>([^<]+)</.exec(listing.text)?.[1] ?? ''
    const deleted = await send('DELETE', path, { versionId }, '', {
      'x-amz-bypass-governance-retention': 'true',
    })
    expect(deleted.status).toBe(403)
    // A delete marker and a newer version are allowed: the first version still stands.
    expect((await send('DELETE', path)).status).toBe(204)
    expect((await send('PUT', path, {}, checkpointOf(3).note)).status).toBe(200)
    expect(readCheckpoint((await open(bucket).newest(anchoredOrigin, 0)) ?? '').size).toBe(14)
  })

  test('another tree of the same size contradicts; names of others are read over', async () => {
    const bucket = await makeBucket()
    const anchor = open(bucket)
    await anchor.put(checkpointOf(9))
    await expect(anchor.put(checkpointOf(9, forkedTree))).rejects.toMatchObject({
      code: 'ANCHOR_CONTRADICTS',
      message: expect.stringContaining('forked'),
    })
    for (const name of ['0000000000000009~', '00000000000000', 'readme', '0000000000000020.bak'])
      await send('PUT', `/${bucket}/checkpoints/${anchoredOrigin}/${name}`, {}, 'hello')
    expect(readCheckpoint((await anchor.newest(anchoredOrigin, 9)) ?? '').size).toBe(9)
    await send('PUT', `/${bucket}/checkpoints/${anchoredOrigin}/0000000000000012`, {}, 'hello')
    await expect(anchor.put(checkpointOf(12, anchoredTree, 9))).rejects.toThrow(
      /something else than a checkpoint/,
    )
  })

  test('a bucket without lock, a wrong secret and no bucket are named', async () => {
    const unlocked = await makeBucket(false)
    await expect(open(unlocked).put(checkpointOf(3))).rejects.toMatchObject({
      code: 'ANCHOR_UNAVAILABLE',
      message: expect.stringMatching(/refused with 400 /),
    })
    await expect(open(unlocked, 'wrong').put(checkpointOf(3))).rejects.toThrow(
      /403 SignatureDoesNotMatch/,
    )
    await expect(open('no-such-bucket').newest(anchoredOrigin, 0)).rejects.toThrow(
      /404 NoSuchBucket/,
    )
  })
})

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
