import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Keyring } from '../../ledger/keyring.ts'

const hexOf = (bytes: Uint8Array | undefined) =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString('hex')

/** What every Keyring must do. `open` opens the same data again each time within one test. */
export function describeKeyring(
  name: string,
  prepare: () => Promise<() => Promise<Keyring>>,
): void {
  describe(`Keyring: ${name}`, () => {
    let open: () => Promise<Keyring>
    let keyring: Keyring
    beforeEach(async () => {
      open = await prepare()
      keyring = await open()
    })
    afterEach(() => keyring.close())
    async function reopen(): Promise<void> {
      await keyring.close()
      keyring = await open()
    }

    test('a sealing key is its own by log, subject and day, and opens what it sealed after a restart', async () => {
      const key = keyring.sealingKey('main', 'alice', '2026-11-24')
      const others = [
        keyring.sealingKey('main', 'bob', '2026-11-24'),
        keyring.sealingKey('main', 'alice', '2026-11-25'),
        keyring.sealingKey('other', 'alice', '2026-11-24'),
      ]
      expect(new Set([key, ...others].map(({ key: bytes }) => hexOf(bytes))).size).toBe(4)
      expect(key.key).toHaveLength(32)
      expect(key.keyId).not.toContain('alice')
      await keyring.sync()
      await reopen()
      expect(hexOf(keyring.openingKey('main', key.keyId))).toBe(hexOf(key.key))
      expect(hexOf(keyring.sealingKey('main', 'alice', '2026-11-24').key)).toBe(hexOf(key.key))
      expect(keyring.openingKey('main', 'nonsense')).toBeUndefined()
    })

    test('what was sealed under a destroyed key is closed for good, also after a restart; others are not', async () => {
      const alice = keyring.sealingKey('main', 'alice', '2026-11-24')
      const bob = keyring.sealingKey('main', 'bob', '2026-11-24')
      await keyring.sync()
      const rootKeyId = keyring.subjectKeyId('main', 'alice')
      expect(alice.keyId).toBe(`${rootKeyId}.2026-11-24`)
      await keyring.destroyKeys('main', [rootKeyId])
      await keyring.destroyKeys('main', [rootKeyId])
      for (let round = 0; round < 2; round++) {
        expect(keyring.erasedKeys()).toEqual([{ logId: 'main', rootKeyId }])
        expect(keyring.openingKey('main', alice.keyId)).toBeUndefined()
        expect(keyring.wasDestroyed('main', alice.keyId)).toBe(true)
        expect(keyring.wasDestroyed('main', bob.keyId)).toBe(false)
        expect(keyring.wasDestroyed('other', alice.keyId)).toBe(false)
        expect(hexOf(keyring.openingKey('main', bob.keyId))).toBe(hexOf(bob.key))
        await reopen()
      }
    })

    test('from the moment of an erasure on, what arrives of the same subject has a key of its own, which can be destroyed too', async () => {
      const ids: string[] = []
      for (let round = 0; round < 3; round++) {
        const id = keyring.subjectKeyId('main', 'alice')
        const key = keyring.sealingKey('main', 'alice', '2026-11-24')
        expect(key.keyId).toBe(`${id}.2026-11-24`)
        expect(hexOf(keyring.openingKey('main', key.keyId))).toBe(hexOf(key.key))
        ids.push(id)
        const destroyed = keyring.destroyKeys('main', [id])
        // Not only when the disk is done: the next event is sealed meanwhile.
        expect(keyring.openingKey('main', key.keyId)).toBeUndefined()
        expect(keyring.subjectKeyId('main', 'alice')).not.toBe(id)
        await destroyed
        if (round === 1) await reopen()
      }
      expect(new Set(ids).size).toBe(3)
      const erased = keyring.erasedKeys().map(({ rootKeyId }) => rootKeyId)
      expect(erased).toEqual([...ids].sort())
    })

    test('the key of a store is made once, takes over the one that the store had, and stays', async () => {
      const made = hexOf(await keyring.storeKey('disk'))
      const had = new Uint8Array(32).fill(5)
      expect(hexOf(await keyring.storeKey('older-disk', had))).toBe(hexOf(had))
      await reopen()
      expect(hexOf(await keyring.storeKey('disk', had))).toBe(made)
      expect(hexOf(await keyring.storeKey('older-disk'))).toBe(hexOf(had))
    })

    test('token, dedup, transport and chain keys stay what they are', async () => {
      const keysNow = () => ({
        token: hexOf(keyring.tokenKey('main')),
        dedup: hexOf(keyring.dedupKey('main', '2026-11-24')),
        transport: keyring
          .transportKeys('main')
          .map(({ id, publicKey, privateKey }) => [id, hexOf(publicKey), hexOf(privateKey)]),
        chain: hexOf(keyring.sourceChainKey('s1')),
      })
      await keyring.setSourceChainKey('s1', new Uint8Array(32).fill(9))
      expect(keyring.transportKeys('main')).toEqual([])
      const sealing = keyring.transportKey('main')
      expect(keyring.transportKeys('main')).toEqual([sealing])
      const first = keysNow()
      await keyring.sync()
      await reopen()
      expect(keysNow()).toEqual(first)
      expect(first.transport).toHaveLength(1)
      expect(keyring.transportKey('main')).toEqual(sealing)
      expect(keyring.sourceChainKey('s2')).toBeUndefined()
      expect(hexOf(keyring.tokenKey('other'))).not.toBe(first.token)
    })

    test('asking for the keys of a log that is none makes none', async () => {
      for (let i = 0; i < 10; i++) expect(keyring.transportKeys(`stray-${i}`)).toEqual([])
      await keyring.sync()
      await reopen()
      expect(keyring.transportKeys('stray-0')).toEqual([])
    })

    test('dedup keys of days that are over are destroyed', async () => {
      const old = hexOf(keyring.dedupKey('main', '2026-11-20'))
      const kept = hexOf(keyring.dedupKey('main', '2026-11-24'))
      await keyring.sync()
      await keyring.destroyDedupKeysBefore('main', '2026-11-23')
      await reopen()
      expect(hexOf(keyring.dedupKey('main', '2026-11-24'))).toBe(kept)
      expect(hexOf(keyring.dedupKey('main', '2026-11-20'))).not.toBe(old)
    })
  })
}
