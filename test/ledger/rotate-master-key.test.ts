import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { type DurableFiles, nodeFiles } from '../../ledger/durable-file.ts'
import { openFileKeyring } from '../../ledger/keyring/file-keyring.ts'
import { opensKeyring } from '../../ledger/keyring/keyring-lines.ts'
import {
  columnarDisk,
  columnarDiskKey,
  derivedColumnarDiskKey,
  formatMasterKey,
  loadMasterKey,
} from '../../ledger/keyring/master-key.ts'
import { rotateMasterKey } from '../../ledger/keyring/rotate-master-key.ts'
import { openFileSigner } from '../../ledger/signer/file-signer.ts'
import { hex } from '../../schemas/bytes.ts'
import { temporaryDirectory } from '../fixtures/embedded-ledger.ts'

const day = '2026-11-24'
const to = Buffer.alloc(32, 9)
const golden = join(import.meta.dirname, '../golden/data')
const roots: string[] = []
afterAll(() => {
  for (const root of roots) rmSync(root, { recursive: true, force: true })
})

interface Deployment {
  readonly keyring: string
  readonly signer: string
}

async function folders(): Promise<Deployment> {
  const root = await temporaryDirectory()
  roots.push(root)
  return { keyring: join(root, 'keyring'), signer: join(root, 'signer') }
}

/** What must stay what it is, as a master key opens it. */
async function held({ keyring: folder, signer: signerFolder }: Deployment, masterKey: Uint8Array) {
  const keyring = await openFileKeyring(folder, masterKey)
  const signer = await openFileSigner(signerFolder, masterKey)
  const values = {
    alice: hex(keyring.sealingKey('main', 'alice', day).key),
    aliceId: keyring.subjectKeyId('main', 'alice'),
    erased: keyring.erasedKeys(),
    token: hex(keyring.tokenKey('main')),
    disk: hex(await keyring.storeKey(columnarDisk)),
    vkey: await signer.verifierKey('main'),
  }
  await keyring.close()
  await signer.close()
  return values
}

async function aDeployment() {
  const deployment = await folders()
  const from = await loadMasterKey(deployment.keyring)
  const keyring = await openFileKeyring(deployment.keyring, from)
  keyring.sealingKey('main', 'gone', day)
  await keyring.sync()
  await keyring.destroyKeys('main', [keyring.subjectKeyId('main', 'gone')])
  await keyring.close()
  return { deployment, from, before: await held(deployment, from) }
}

/** Fails from the n-th durable operation on, before or after its effect: what is left is what a crash leaves. */
function failing(at: number, when: 'before' | 'after') {
  let count = 0
  let reached = false
  const wrap =
    <A extends unknown[], R>(operation: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      count++
      if (count < at) return operation(...args)
      if (count === at && when === 'after') await operation(...args)
      reached = true
      throw new Error('power cut')
    }
  const files: DurableFiles = {
    // A handle that is given is closed again: only what is on disk outlives a power cut.
    open: when === 'before' ? wrap(nodeFiles.open) : nodeFiles.open,
    write: wrap(nodeFiles.write),
    sync: wrap(nodeFiles.sync),
    syncDirectory: wrap(nodeFiles.syncDirectory),
    rename: wrap(nodeFiles.rename),
  }
  return { files, reached: () => reached }
}

describe('master key rotation', () => {
  test('what was sealed and signed goes on; the old key opens nothing, and no old copy is left', async () => {
    const { deployment, from, before } = await aDeployment()
    const dropped: string[] = []
    const old = openSync(join(deployment.keyring, 'keyring'), 'r')
    await rotateMasterKey({
      ...deployment,
      from,
      to,
      inDirectory: true,
      drop: async (name) => void dropped.push(name),
    })
    expect(await held(deployment, await loadMasterKey(deployment.keyring))).toEqual(before)
    expect(await loadMasterKey(deployment.keyring)).toEqual(to)
    expect(dropped).toEqual([])
    const bytes = readFileSync(old)
    closeSync(old)
    expect(bytes.length).toBeGreaterThan(500)
    expect(bytes.every((byte) => byte === 0)).toBe(true)
    expect(await opensKeyring(deployment.keyring, from)).toBe(false)
    await expect(
      openFileSigner(deployment.signer, from).then((signer) => signer.verifierKey('main')),
    ).rejects.toMatchObject({ code: 'KEYRING_CORRUPT' })
    expect(readdirSync(deployment.keyring).sort()).toEqual(['keyring', 'master.key'])
    expect(readdirSync(deployment.signer).sort()).toEqual([
      'deployment',
      'main.key',
      'main.signed',
      'main.vkey',
    ])
  })

  test('wherever it is cut off, the keyring opens under exactly one key, and the next start has everything', async () => {
    const { deployment, from, before } = await aDeployment()
    const sides = { old: 0, new: 0 }
    for (const when of ['before', 'after'] as const) {
      for (let at = 1; ; at++) {
        const copy = await folders()
        cpSync(deployment.keyring, copy.keyring, { recursive: true })
        cpSync(deployment.signer, copy.signer, { recursive: true })
        const { files, reached } = failing(at, when)
        const drop = async () => undefined
        const rotation = { ...copy, from, to, inDirectory: true, drop }
        await rotateMasterKey({ ...rotation, files }).catch(() => undefined)
        if (!reached()) break
        const opens = [await opensKeyring(copy.keyring, from), await opensKeyring(copy.keyring, to)]
        expect(opens.filter(Boolean), `${when} operation ${at}`).toHaveLength(1)
        const now = await loadMasterKey(copy.keyring)
        expect(hex(now)).toBe(hex(opens[0] ? from : to))
        expect(await held(copy, now), `${when} operation ${at}`).toEqual(before)
        sides[opens[0] ? 'old' : 'new']++
        if (opens[0]) await rotateMasterKey(rotation)
        expect(await held(copy, to)).toEqual(before)
        expect(await opensKeyring(copy.keyring, from)).toBe(false)
        expect(readdirSync(copy.keyring).sort()).toEqual(['keyring', 'master.key'])
      }
    }
    // Both sides of the deciding step were cut off.
    expect(sides.old).toBeGreaterThan(10)
    expect(sides.new).toBeGreaterThan(5)
  })

  test('a directory of an earlier version keeps its subjects, and its columnar store is filled anew', async () => {
    const deployment = await folders()
    cpSync(join(golden, 'keyring'), deployment.keyring, { recursive: true })
    cpSync(join(golden, 'signer'), deployment.signer, { recursive: true })
    const from = Buffer.alloc(32, 7)
    const subject = JSON.stringify(['sub', '', 'u-1'])
    const old = await openFileKeyring(deployment.keyring, from, nodeFiles, true)
    const id = old.subjectKeyId('main', subject)
    const key = hex(old.openingKey('main', `${id}.${day}`) ?? new Uint8Array())
    expect(key).not.toBe('')
    const dropped: string[] = []
    const drop = async (name: string) => void dropped.push(name)
    await rotateMasterKey({ ...deployment, from, to, inDirectory: false, drop })
    const keyring = await openFileKeyring(deployment.keyring, to)
    expect(keyring.subjectKeyId('main', subject)).toBe(id)
    expect(hex(keyring.sealingKey('main', subject, day).key)).toBe(key)
    expect(dropped).toEqual([columnarDisk])
    mkdirSync(join(deployment.keyring, '../columnar'))
    const disk = await columnarDiskKey(keyring, to, join(deployment.keyring, '../columnar'))
    expect(disk).not.toBe(hex(derivedColumnarDiskKey(from)))
    expect(disk).not.toBe(hex(derivedColumnarDiskKey(to)))
    await keyring.close()
  })

  test('a wrong old key, and a new key that is the old one, change nothing', async () => {
    const { deployment, from, before } = await aDeployment()
    const bytes = readFileSync(join(deployment.keyring, 'keyring'))
    const rotation = { ...deployment, inDirectory: true, drop: async () => undefined }
    await expect(
      rotateMasterKey({ ...rotation, from: Buffer.alloc(32, 1), to }),
    ).rejects.toMatchObject({ code: 'KEYRING_CORRUPT' })
    await expect(rotateMasterKey({ ...rotation, from, to: from })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    })
    expect(readFileSync(join(deployment.keyring, 'keyring'))).toEqual(bytes)
    expect(existsSync(join(deployment.keyring, 'master.key.next'))).toBe(false)
    expect(readFileSync(join(deployment.keyring, 'master.key'))).toEqual(formatMasterKey(from))
    expect(await held(deployment, from)).toEqual(before)
  })
})
