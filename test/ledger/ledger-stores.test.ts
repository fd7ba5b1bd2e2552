import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { openFileKeyring } from '../../ledger/keyring/file-keyring.ts'
import { openFilePayloadStore } from '../../ledger/payloads/file-payload-store.ts'
import { openPayload, sealPayload } from '../../ledger/payloads/sealed-payload.ts'
import { openFileSigner } from '../../ledger/signer/file-signer.ts'
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

  test('a line of the keyring that was altered or moved is refused; a torn last line was never promised', async () => {
    const path = await directory()
    const keyring = await openFileKeyring(path, testMasterKey)
    for (const subject of ['a', 'b', 'c']) keyring.sealingKey('main', subject, '2026-11-24')
    await keyring.close()
    const file = join(path, 'keyring')
    const whole = readFileSync(file, 'utf8')
    const [first, second, third] = whole.split('\n')
    writeFileSync(file, `${second}\n${first}\n${third}\n`)
    await expect(openFileKeyring(path, testMasterKey)).rejects.toMatchObject({
      code: 'KEYRING_CORRUPT',
    })
    writeFileSync(file, whole.slice(0, -10))
    const torn = await openFileKeyring(path, testMasterKey)
    torn.sealingKey('main', 'd', '2026-11-24')
    await torn.close()
    await (await openFileKeyring(path, testMasterKey)).close()
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
