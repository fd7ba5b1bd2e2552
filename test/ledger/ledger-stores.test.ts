import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { type DurableFiles, nodeFiles } from '../../ledger/durable-file.ts'
import { openFileKeyring } from '../../ledger/keyring/file-keyring.ts'
import type { Keyring } from '../../ledger/keyring.ts'
import { openFilePayloadStore } from '../../ledger/payloads/file-payload-store.ts'
import { openPayload, sealPayload } from '../../ledger/payloads/sealed-payload.ts'
import { openFileSigner } from '../../ledger/signer/file-signer.ts'
import { hex } from '../../schemas/bytes.ts'
import type { Opening } from '../../schemas/leaf/leaf.ts'
import { describeKeyring } from '../conformance/keyring.ts'
import { aPayload, describePayloadStore } from '../conformance/payload-store.ts'
import { describeSigner } from '../conformance/signer.ts'
import { temporaryDirectory, testMasterKey } from '../fixtures/embedded-ledger.ts'

const made: string[] = []
async function directory(): Promise<string> {
  const path = await temporaryDirectory()
  made.push(path)
  return path
}
afterAll(() => {
  for (const path of made) rmSync(path, { recursive: true, force: true })
})

describePayloadStore('files', async () => {
  const path = await directory()
  return () => openFilePayloadStore(path)
})
describeKeyring('file', async () => {
  const path = await directory()
  return () => openFileKeyring(path, testMasterKey)
})
describeSigner('files', async () => {
  const path = await directory()
  return () => openFileSigner(path, testMasterKey)
})

describe('the files of keys', () => {
  test('hold no key and no subject in clear, and open with their master key only', async () => {
    const path = await directory()
    const keyring = await openFileKeyring(path, testMasterKey)
    const { key } = keyring.sealingKey('main', 'alice@example.com', '2026-11-24')
    await keyring.close()
    const file = readFileSync(join(path, 'keyring'))
    expect(file.includes('alice')).toBe(false)
    expect(file.includes(Buffer.from(key).toString('hex'))).toBe(false)
    await expect(openFileKeyring(path, Buffer.alloc(32, 8))).rejects.toMatchObject({
      code: 'KEYRING_CORRUPT',
    })
  })

  /** A keyring of three lines. */
  async function threeLines(): Promise<{ path: string; file: string; whole: Buffer }> {
    const path = await directory()
    const keyring = await openFileKeyring(path, testMasterKey)
    // The last one is longer than what will be written in its place.
    for (const subjects of [['a'], ['b'], ['c', 'c1', 'c2', 'c3']]) {
      for (const subject of subjects) keyring.sealingKey('main', subject, day)
      await keyring.sync()
    }
    await keyring.close()
    const file = join(path, 'keyring')
    return { path, file, whole: readFileSync(file) }
  }
  const day = '2026-11-24'
  const keyOf = (keyring: Keyring, subject: string) =>
    hex(keyring.sealingKey('main', subject, day).key)
  const refused = (path: string) =>
    expect(openFileKeyring(path, testMasterKey)).rejects.toMatchObject({ code: 'KEYRING_CORRUPT' })

  test('a line of the keyring that was altered or moved is refused, the last one too', async () => {
    const { path, file, whole } = await threeLines()
    const [first, second, third] = whole.toString().split('\n')
    writeFileSync(file, `${second}\n${first}\n${third}\n`)
    await refused(path)
    writeFileSync(file, `${first}\n${third}\n`)
    await refused(path)
    for (const at of [10, whole.length >> 1, whole.length - 10]) {
      const altered = Buffer.from(whole)
      altered[at] = altered[at] === 0x41 ? 0x42 : 0x41
      writeFileSync(file, altered)
      await refused(path)
    }
    // Zeros in the middle stand where something was promised.
    writeFileSync(file, Buffer.from(whole).fill(0, 20, 60))
    await refused(path)
  })

  test('a last line that a power cut tore is cut, wherever it tore, and the next one stands in its place', async () => {
    const { path, file, whole } = await threeLines()
    const kept = await openFileKeyring(path, testMasterKey)
    const keys = [keyOf(kept, 'a'), keyOf(kept, 'b')]
    await kept.close()
    const lastLine = whole.lastIndexOf('\n', whole.length - 2) + 1
    const torn = [
      whole.subarray(0, whole.length - 10),
      whole.subarray(0, lastLine + 1),
      // The head of the line never reached the disk; its tail did, with the newline.
      Buffer.from(whole).fill(0, lastLine, lastLine + 40),
      Buffer.from(whole).fill(0, lastLine, whole.length - 1),
      Buffer.concat([whole.subarray(0, lastLine), Buffer.alloc(5000)]),
    ]
    for (const bytes of torn) {
      writeFileSync(file, bytes)
      const keyring = await openFileKeyring(path, testMasterKey)
      const made = keyOf(keyring, 'd')
      await keyring.close()
      const again = await openFileKeyring(path, testMasterKey)
      expect([keyOf(again, 'a'), keyOf(again, 'b'), keyOf(again, 'd')]).toEqual([...keys, made])
      await again.close()
    }
  })

  test('keys that could not be written are not handed on: every later sync fails too', async () => {
    const path = await directory()
    let broken = false
    const files: DurableFiles = {
      ...nodeFiles,
      sync: (handle) => (broken ? Promise.reject(new Error('EIO')) : nodeFiles.sync(handle)),
    }
    const keyring = await openFileKeyring(path, testMasterKey, files)
    keyring.sealingKey('main', 'a', day)
    await keyring.sync()
    keyring.sealingKey('main', 'b', day)
    broken = true
    await expect(keyring.sync()).rejects.toThrow('EIO')
    broken = false
    await expect(keyring.sync()).rejects.toThrow('EIO')
    keyring.sealingKey('main', 'c', day)
    await expect(keyring.sync()).rejects.toThrow('EIO')
  })

  test('destroying a key leaves the old file or the new one, whenever it is cut off', async () => {
    for (const fails of ['sync', 'rename'] as const) {
      const { path } = await threeLines()
      const keyring = await openFileKeyring(path, testMasterKey, {
        ...nodeFiles,
        [fails]: () => Promise.reject(new Error('power cut')),
      })
      const before = keyOf(keyring, 'b')
      const id = keyring.subjectKeyId('main', 'a')
      await expect(keyring.destroyKeys('main', [id])).rejects.toThrow('power cut')
      const again = await openFileKeyring(path, testMasterKey)
      expect(keyOf(again, 'b')).toBe(before)
      await again.destroyKeys('main', [id])
      await again.close()
      const gone = await openFileKeyring(path, testMasterKey)
      expect(gone.wasDestroyed('main', `${id}.${day}`)).toBe(true)
      expect(keyOf(gone, 'b')).toBe(before)
      await gone.close()
      expect(readdirSync(path)).toEqual(['keyring'])
    }
  })

  test('a signer that lost its state, its key or its name signs nothing, and says what is gone', async () => {
    const root = Buffer.alloc(32, 1)
    const lost = async (name: string, alter?: string) => {
      const path = await directory()
      const signer = await openFileSigner(path, testMasterKey)
      await signer.sign('main', 3, root, [])
      await signer.close()
      if (alter === undefined) rmSync(join(path, name))
      else writeFileSync(join(path, name), alter)
      return path
    }
    const signing = async (path: string) =>
      (await openFileSigner(path, testMasterKey)).sign('main', 3, root, [])
    const cases: [string, string | undefined, string][] = [
      ['main.signed', undefined, 'what it signed last is gone'],
      ['main.signed', '{"size":3', 'does not say what was signed last'],
      ['main.key', undefined, 'the signing key is gone'],
      ['deployment', undefined, 'every log would have another origin'],
    ]
    for (const [name, alter, message] of cases) {
      await expect(signing(await lost(name, alter))).rejects.toMatchObject({
        code: 'SIGNER_REFUSED',
        message: expect.stringContaining(message),
      })
    }
    const robbed = await lost('main.vkey')
    await signing(robbed)
    expect(existsSync(join(robbed, 'main.vkey'))).toBe(true)
  })

  test('a signer whose state is taken away while it runs signs nothing more', async () => {
    const path = await directory()
    const signer = await openFileSigner(path, testMasterKey)
    await signer.sign('main', 3, Buffer.alloc(32, 1), [])
    rmSync(join(path, 'main.signed'))
    await expect(signer.sign('main', 2, Buffer.alloc(32, 2), [])).rejects.toMatchObject({
      code: 'SIGNER_REFUSED',
    })
  })

  test('a damaged batch in the middle of a payload file costs itself only, and is never written over', async () => {
    const path = await directory()
    const store = await openFilePayloadStore(path)
    for (let i = 0; i < 4; i++) await store.put('main', i, [aPayload(`payload ${i}`)])
    await store.close()
    const file = join(path, 'main/000000.payloads')
    const bytes = readFileSync(file)
    const second = bytes.indexOf('SPB1', 1)
    bytes[second] = 0x58
    writeFileSync(file, bytes)
    const again = await openFilePayloadStore(path)
    await again.sweep('main', 4)
    await again.put('main', 4, [aPayload('payload 4')])
    const texts = (await again.getRange('main', 0, 5)).map((each) =>
      each === undefined ? undefined : Buffer.from(each.subarray(1)).toString(),
    )
    expect(texts).toEqual(['payload 0', undefined, 'payload 2', 'payload 3', 'payload 4'])
    await again.close()
    expect(readFileSync(file).subarray(0, bytes.length).equals(bytes)).toBe(true)
  })

  test('a shredded payload is in no byte of its file', async () => {
    const path = await directory()
    const store = await openFilePayloadStore(path)
    await store.put('main', 0, [aPayload('canary-of-the-payload'), aPayload('control')])
    await store.shred('main', 0)
    await store.close()
    const file = readFileSync(join(path, 'main/000000.payloads'))
    expect([file.includes('canary-of-the-payload'), file.includes('control')]).toEqual([
      false,
      true,
    ])
  })
})

describe('a sealed payload', () => {
  const key = { keyId: 'k.2026-11-24', key: new Uint8Array(32).fill(5) }
  const openings = (body: string): Opening[] => [
    { group: 'identity', salt: new Uint8Array(32), plaintext: '{"user.name":"alice"}' },
    { group: 'arguments', salt: new Uint8Array(32), plaintext: JSON.stringify({ body }) },
  ]
  const seal = (body: string) =>
    sealPayload({
      key,
      seed: new Uint8Array(32).fill(1),
      nonce: new Uint8Array(12).fill(2),
      openings: openings(body),
    })
  const keyOf = (id: string) => (id === key.keyId ? key.key : undefined)

  test.each(['short', 'long '.repeat(5000)])('opens to what was sealed: %#', (body) => {
    const opened = openPayload(seal(body), keyOf)
    expect(
      opened === 'destroyed'
        ? opened
        : opened.map(({ group, plaintext }) => ({ group, plaintext })),
    ).toEqual(openings(body).map(({ group, plaintext }) => ({ group, plaintext })))
    expect(Buffer.from(seal(body)).includes('alice')).toBe(false)
  })

  test('is compressed before it is encrypted, and says nothing without its key', () => {
    expect(seal('long '.repeat(5000)).length).toBeLessThan(1000)
    expect(openPayload(seal('x'), () => undefined)).toBe('destroyed')
  })

  test('is refused when any byte is another, and when it ends early', () => {
    const sealed = seal('body')
    for (let at = 0; at < sealed.length; at++) {
      const altered = Uint8Array.from(sealed)
      altered[at] = (altered[at] ?? 0) ^ 1
      let outcome: unknown
      try {
        outcome = openPayload(altered, keyOf)
      } catch (error) {
        outcome = error
      }
      // An altered key id names no key; everything else is damage.
      expect(outcome === 'destroyed' || outcome instanceof Error, `byte ${at}`).toBe(true)
    }
    for (let length = 0; length < sealed.length; length += 5)
      expect(() => openPayload(sealed.slice(0, length), keyOf)).toThrow()
  })
})
