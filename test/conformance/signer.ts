import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { verifyEd25519 } from '../../ledger/ed25519.ts'
import { sha256 } from '../../ledger/sha256.ts'
import type { Signer } from '../../ledger/signer.ts'
import { utf8 } from '../../schemas/bytes.ts'
import { openCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import { consistencyProof, leafHash, MemoryHashTree, rootOf } from '../../schemas/tlog/merkle.ts'
import { noteVerifier } from '../../schemas/tlog/note.ts'

/** What every Signer must do. `open` opens the same state again each time within one test. */
export function describeSigner(name: string, prepare: () => Promise<() => Promise<Signer>>): void {
  describe(`Signer: ${name}`, () => {
    let open: () => Promise<Signer>
    let signer: Signer
    const tree = new MemoryHashTree(sha256)
    for (let i = 0; i < 20; i++) tree.append(leafHash(sha256, utf8(`leaf ${i}`)))
    const root = (size: number) => rootOf(tree, sha256, size)
    const proof = (from: number, to: number) => consistencyProof(tree, sha256, from, to)
    beforeEach(async () => {
      open = await prepare()
      signer = await open()
    })
    afterEach(() => signer.close())

    test('signs what continues, under a key and an origin that stay the same', async () => {
      const key = await signer.verifierKey('main')
      const verifiers = [noteVerifier(sha256, verifyEd25519, key)]
      expect(openCheckpoint(await signer.sign('main', 3, root(3), []), verifiers)).toMatchObject({
        origin: signer.origin('main'),
        size: 3,
      })
      expect(
        openCheckpoint(await signer.sign('main', 10, root(10), proof(3, 10)), verifiers),
      ).toMatchObject({ size: 10 })
      await signer.close()
      signer = await open()
      expect(await signer.verifierKey('main')).toBe(key)
      expect(await signer.lastSigned('main')).toMatchObject({ size: 10 })
      expect(
        openCheckpoint(await signer.sign('main', 20, root(20), proof(10, 20)), verifiers),
      ).toMatchObject({ size: 20 })
      expect(await signer.verifierKey('other')).not.toBe(key)
    })

    test('signs the same size again only with the same root', async () => {
      const first = await signer.sign('main', 5, root(5), [])
      expect(await signer.sign('main', 5, root(5), [])).toBe(first)
      await expect(signer.sign('main', 5, root(6), [])).rejects.toMatchObject({
        code: 'SIGNER_REFUSED',
        message: expect.stringContaining('forked'),
      })
    })

    test('refuses a rollback, a fork and a proof of something else, also after a restart', async () => {
      await signer.sign('main', 10, root(10), [])
      await signer.close()
      signer = await open()
      await expect(signer.sign('main', 9, root(9), [])).rejects.toMatchObject({
        code: 'SIGNER_REFUSED',
        message: expect.stringContaining('rolled back'),
      })
      await expect(signer.sign('main', 12, root(11), proof(10, 12))).rejects.toMatchObject({
        code: 'SIGNER_REFUSED',
      })
      await expect(signer.sign('main', 12, root(12), proof(9, 12))).rejects.toMatchObject({
        code: 'SIGNER_REFUSED',
      })
      await expect(signer.sign('main', 12, root(12), [])).rejects.toMatchObject({
        code: 'SIGNER_REFUSED',
      })
      await signer.sign('main', 12, root(12), proof(10, 12))
    })

    test('a key has signed nothing before it signs', async () => {
      expect(await signer.lastSigned('main')).toBeUndefined()
      await signer.verifierKey('main')
      await signer.close()
      signer = await open()
      expect((await signer.lastSigned('main'))?.size ?? 0).toBe(0)
      await signer.sign('main', 4, root(4), [])
      expect((await signer.lastSigned('main'))?.size).toBe(4)
    })

    test('two requests at once are decided one after the other', async () => {
      const both = await Promise.allSettled([
        signer.sign('main', 8, root(8), []),
        signer.sign('main', 8, root(7), []),
      ])
      expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    })

    test('the next key signs from its leaf on, with the one before it while they overlap, also after a restart', async () => {
      const { previous, next } = await signer.prepareKey('main', 3_600_000)
      expect(previous).toBe(await signer.verifierKey('main'))
      expect(next).not.toBe(previous)
      // Nothing is decided before the log holds it, and asking again makes no other key.
      expect((await signer.prepareKey('main', 0)).next).toBe(next)
      const keysOf = (note: string) =>
        [previous, next].filter((key) => {
          try {
            openCheckpoint(note, [noteVerifier(sha256, verifyEd25519, key)])
            return true
          } catch {
            return false
          }
        })
      expect(keysOf(await signer.sign('main', 5, root(5), []))).toEqual([previous])
      await signer.close()
      signer = await open()
      await signer.adoptKey('main', 7, next)
      await signer.adoptKey('main', 7, next)
      expect(await signer.verifierKey('main')).toBe(next)
      expect(await signer.rotations('main')).toEqual([{ index: 7, previous, next }])
      expect(keysOf(await signer.sign('main', 7, root(7), proof(5, 7)))).toEqual([previous])
      expect(keysOf(await signer.sign('main', 9, root(9), proof(7, 9)))).toEqual([previous, next])
      await signer.close()
      signer = await open()
      expect(keysOf(await signer.sign('main', 12, root(12), proof(9, 12)))).toEqual([
        previous,
        next,
      ])
    })

    test('without overlap both keys sign the first tree with the leaf, and the new one alone what follows', async () => {
      const { previous, next } = await signer.prepareKey('main', 0)
      await signer.adoptKey('main', 3, next)
      const under = (key: string, note: string) => () =>
        openCheckpoint(note, [noteVerifier(sha256, verifyEd25519, key)])
      const first = await signer.sign('main', 6, root(6), [])
      expect(under(previous, first)().size).toBe(6)
      expect(under(next, first)().size).toBe(6)
      const second = await signer.sign('main', 8, root(8), proof(6, 8))
      expect(under(previous, second)).toThrow(/no known key/)
      expect(under(next, second)().size).toBe(8)
      await signer.close()
      signer = await open()
      const third = await signer.prepareKey('main', 0)
      expect(third.previous).toBe(next)
      await signer.adoptKey('main', 9, third.next)
      expect((await signer.rotations('main')).map(({ index }) => index)).toEqual([3, 9])
      const last = await signer.sign('main', 20, root(20), proof(8, 20))
      expect(under(next, last)().size).toBe(20)
      expect(under(third.next, last)().size).toBe(20)
    })

    test('a key that was not prepared here is adopted by no leaf', async () => {
      const { previous } = await signer.prepareKey('main', 0)
      await expect(signer.adoptKey('main', 3, previous)).rejects.toMatchObject({
        code: 'SIGNER_REFUSED',
        message: expect.stringContaining('does not hold'),
      })
    })
  })
}
