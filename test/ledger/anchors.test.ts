import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { openDirectoryAnchor } from '../../ledger/anchors/directory-anchor.ts'
import { openWebhookAnchor } from '../../ledger/anchors/webhook-anchor.ts'
import { openWitnessAnchor } from '../../ledger/anchors/witness-anchor.ts'
import { verifyEd25519 } from '../../ledger/ed25519.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { readCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import { cosignatureVerifier, readCosignatures } from '../../schemas/tlog/cosignature.ts'
import { noteVerifier } from '../../schemas/tlog/note.ts'
import {
  anchoredOrigin,
  anchoredTree,
  checkpointOf,
  describeAnchor,
  forkedTree,
  verifierKeyOf,
} from '../conformance/anchor.ts'
import { temporaryDirectory } from '../fixtures/embedded-ledger.ts'
import { TestWitness } from '../fixtures/witness.ts'

const anchoredVerifierKey = verifierKeyOf(anchoredOrigin)
const clock = () => Date.parse('2026-11-24T12:00:00Z')
const folders: string[] = []
async function folder(): Promise<string> {
  const directory = await temporaryDirectory()
  folders.push(directory)
  return directory
}
afterAll(() => {
  for (const directory of folders) rmSync(directory, { recursive: true, force: true })
})

/** A receiver that remembers what was posted. */
class Receiver {
  posts: { headers: IncomingHttpHeaders; body: string }[] = []
  status = 200
  reply = '{"receipt":"r-1"}'
  readonly server: Server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      this.posts.push({ headers: request.headers, body: Buffer.concat(chunks).toString('utf8') })
      response.writeHead(this.status, { location: 'http://127.0.0.1:1/' }).end(this.reply)
    })
  })
  async url(): Promise<string> {
    if (!this.server.listening) {
      this.server.listen(0, '127.0.0.1')
      await once(this.server, 'listening')
    }
    const address = this.server.address()
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/checkpoints?token=abc`
  }
}

describeAnchor('directory', async () => {
  const directory = await folder()
  return async () => openDirectoryAnchor(directory, clock)
})
describeAnchor('webhook', async () => {
  const receiver = new Receiver()
  const url = await receiver.url()
  onTestFinished(() => void receiver.server.close())
  return async () => openWebhookAnchor({ url, secret: Buffer.from('s3cret'), clock })
})
describeAnchor('witness', async () => {
  const witness = await TestWitness.start('witness.example/w1')
  witness.register(anchoredOrigin, [anchoredVerifierKey])
  onTestFinished(() => witness.stop())
  const { name, verifierKey, url } = witness
  return async () => openWitnessAnchor({ name, verifierKey, url })
})

describe('directory', () => {
  test('what was torn or written by others is left behind, and the largest checkpoint counts', async () => {
    const directory = await folder()
    const anchor = openDirectoryAnchor(directory, clock)
    await anchor.put(checkpointOf(5))
    await anchor.put(checkpointOf(9))
    const [path = ''] = readdirSync(directory, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ndjson'))
      .map((name) => join(directory, name))
    // Whoever may append could append an old checkpoint, to hide that the log was rolled back.
    appendFileSync(path, readFileSync(path, 'utf8').split('\n')[0] ?? '')
    expect(readCheckpoint((await anchor.newest(anchoredOrigin, 0)) ?? '').size).toBe(9)
    appendFileSync(path, '\n{"at":"now","checkpoint":"nonsense"}\nnot json\n{"at":"2026')
    await anchor.put(checkpointOf(12))
    const again = openDirectoryAnchor(directory, clock)
    expect(readCheckpoint((await again.newest(anchoredOrigin, 0)) ?? '').size).toBe(12)
    expect(readFileSync(path, 'utf8').trimEnd().split('\n')).toHaveLength(7)
  })

  test('one that is not mounted is no empty one', async () => {
    const directory = join(await folder(), 'not-mounted')
    const anchor = openDirectoryAnchor(directory, clock)
    await expect(anchor.newest(anchoredOrigin, 0)).rejects.toMatchObject({
      code: 'ANCHOR_UNAVAILABLE',
      message: expect.stringContaining(directory),
    })
    await expect(anchor.put(checkpointOf(5))).rejects.toMatchObject({ code: 'ANCHOR_UNAVAILABLE' })
    writeFileSync(directory, '')
    await expect(anchor.newest(anchoredOrigin, 0)).rejects.toMatchObject({
      message: expect.stringContaining('no directory'),
    })
  })
})

describe('webhook', () => {
  const receiver = new Receiver()
  let url: string
  beforeAll(async () => {
    url = await receiver.url()
  })
  afterEach(() => {
    receiver.posts = []
    receiver.status = 200
  })
  afterAll(() => void receiver.server.close())
  const open = () => openWebhookAnchor({ url, secret: Buffer.from('s3cret'), clock })

  test('posts what Standard Webhooks signs, keeps the answer, and shows no token of the address', async () => {
    const anchor = open()
    expect(anchor.target).toMatch(/\/checkpoints$/)
    const { answer } = await anchor.put(checkpointOf(5))
    expect(answer).toBe('200 {"receipt":"r-1"}')
    const [post] = receiver.posts
    const { headers = {}, body = '' } = post ?? {}
    expect(JSON.parse(body)).toMatchObject({
      origin: anchoredOrigin,
      size: 5,
      checkpoint: checkpointOf(5).note,
    })
    const mac = createHmac('sha256', 's3cret')
      .update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`)
      .digest('base64')
    expect(headers['webhook-signature']).toBe(`v1,${mac}`)
    expect(headers['webhook-timestamp']).toBe(String(clock() / 1000))
  })

  test.each([
    [409, 'ANCHOR_CONTRADICTS'],
    [302, 'ANCHOR_UNAVAILABLE'],
    [500, 'ANCHOR_UNAVAILABLE'],
  ])('an answer of %d is %s', async (status, code) => {
    receiver.status = status
    await expect(open().put(checkpointOf(5))).rejects.toMatchObject({ code })
  })

  test('an endless answer, and nobody there, are told', async () => {
    const before = receiver.reply
    receiver.reply = 'x'.repeat(100_000)
    await expect(open().put(checkpointOf(5))).rejects.toThrow(/longer than 65536 bytes/)
    receiver.reply = before
    const nobody = openWebhookAnchor({
      url: 'http://127.0.0.1:1/?token=abc',
      secret: Buffer.from('s'),
      clock,
    })
    const error = await nobody.put(checkpointOf(5)).catch((cause: Error) => cause)
    expect(error).toMatchObject({ code: 'ANCHOR_UNAVAILABLE', retryable: true })
    expect(String(error)).not.toContain('abc')
  })
})

describe('witness', () => {
  let witness: TestWitness
  beforeAll(async () => {
    witness = await TestWitness.start('witness.example/w1')
  })
  afterEach(() => {
    witness.answer = undefined
  })
  afterAll(() => witness.stop())
  const open = (verifierKey = witness.verifierKey) =>
    openWitnessAnchor({ name: 'w1', verifierKey, url: `${witness.url}/` })

  test('the cosignature verifies under the pinned key, and says when', async () => {
    witness.register(anchoredOrigin, [anchoredVerifierKey])
    const checkpoint = checkpointOf(5)
    const { cosignatures, at } = await open().put(checkpoint)
    const cosigned = readCosignatures(
      checkpoint.note + cosignatures.join(''),
      [noteVerifier(sha256, verifyEd25519, anchoredVerifierKey)],
      [cosignatureVerifier(sha256, verifyEd25519, witness.verifierKey)],
    )
    expect(cosigned).toEqual([
      { name: witness.name, keyId: expect.any(String), seconds: Date.parse(at) / 1000 },
    ])
  })

  test('an answer that was lost is caught up with; a smaller tree and another one contradict', async () => {
    const origin = 'sealtrail-00/caught-up'
    const ours = (size: number, tree = anchoredTree, known = 0) =>
      checkpointOf(size, tree, known, origin)
    witness.register(origin, [verifierKeyOf(origin)])
    const anchor = open()
    await anchor.put(ours(5))
    await anchor.put(ours(12, anchoredTree, 5))
    // It knows 12, we remember 5.
    await anchor.put(ours(15, anchoredTree, 5))
    expect(witness.sizeOf(origin)).toBe(15)
    await expect(anchor.put(ours(12))).rejects.toMatchObject({
      code: 'ANCHOR_CONTRADICTS',
      message: expect.stringMatching(
        /cosigned .* at size 15, and it has only 12 leaves.*rolled back/,
      ),
    })
    await expect(anchor.put(ours(15, forkedTree))).rejects.toMatchObject({
      code: 'ANCHOR_CONTRADICTS',
      message: expect.stringContaining('forked'),
    })
    await expect(anchor.put(ours(18, forkedTree, 15))).rejects.toMatchObject({
      code: 'ANCHOR_CONTRADICTS',
      message: expect.stringContaining('forked'),
    })
    expect(witness.sizeOf(origin)).toBe(15)
  })

  test.each([
    [
      'a log that it does not know',
      () => ({ status: 404, body: 'no' }),
      /does not know .*register/,
    ],
    [
      'a key that it does not trust',
      () => ({ status: 403, body: 'no' }),
      /does not accept the key/,
    ],
    ['409 without a size', () => ({ status: 409, body: 'larger' }), /409 without a tree size/],
    ['409 with a leading zero', () => ({ status: 409, body: '03\n' }), /409 without a tree size/],
    ['a failure', () => ({ status: 500, body: '<b>oops' }), /answered 500 "<b>oops"/],
    ['nothing', () => ({ status: 200, body: '' }), /no cosignature|malformed|newline/],
    [
      'a line that is none',
      () => ({ status: 200, body: 'cosigned, honestly\n' }),
      /signature line is malformed/,
    ],
    [
      'a cosignature of somebody else',
      () => ({ status: 200, body: '\u2014 witness.example/w9 AAAAAAAA\n' }),
      /no cosignature under the key of the policy/,
    ],
    [
      'sizes that run away',
      (body: string) => ({ status: 409, body: `${Number(/old (\d+)/.exec(body)?.[1]) + 1}\n` }),
      /moved from 1 to 2/,
    ],
  ])('%s is no receipt', async (_name, answer, message) => {
    witness.answer = answer
    await expect(open().put(checkpointOf(9))).rejects.toMatchObject({
      code: 'ANCHOR_UNAVAILABLE',
      message: expect.stringMatching(message),
    })
  })

  test('a cosignature over another tree, or another time, is refused', async () => {
    witness.register(anchoredOrigin, [anchoredVerifierKey])
    const lines = (await open().put(checkpointOf(13))).cosignatures.join('')
    witness.answer = () => ({ status: 200, body: lines })
    await expect(open().put(checkpointOf(14))).rejects.toThrow(/does not verify/)
    const shifted = lines.replace(/ ([A-Za-z0-9+/=]+)\n$/, (_all, encoded: string) => {
      const bytes = Buffer.from(encoded, 'base64')
      bytes[11] = (bytes[11] ?? 0) ^ 1
      return ` ${bytes.toString('base64')}\n`
    })
    witness.answer = () => ({ status: 200, body: shifted })
    await expect(open().put(checkpointOf(13))).rejects.toThrow(/does not verify/)
  })

  test('a key that is none of cosignatures is refused at once', () => {
    expect(() => open(anchoredVerifierKey)).toThrow(/not one of Ed25519 cosignatures/)
  })
})
