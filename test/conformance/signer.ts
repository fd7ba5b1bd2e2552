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
  })
}
