import { generateKeyPairSync, sign } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Anchor, CheckpointToAnchor } from '../../ledger/anchor.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { utf8 } from '../../schemas/bytes.ts'
import { formatCheckpoint, readCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import { consistencyProof, leafHash, MemoryHashTree, rootOf } from '../../schemas/tlog/merkle.ts'
import { formatVerifierKey, keyId, signNote } from '../../schemas/tlog/note.ts'

const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const rawKey = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)

export const anchoredOrigin = 'sealtrail-00/main'
export const verifierKeyOf = (origin: string) => formatVerifierKey(sha256, origin, rawKey)

/** The tree whose leaf i reads `leaf i`, and one that differs from it in its first leaf. */
export const anchoredTree = grow((i) => `leaf ${i}`)
export const forkedTree = grow((i) => (i === 0 ? 'another' : `leaf ${i}`))

export function checkpointOf(
  size: number,
  tree: MemoryHashTree = anchoredTree,
  knownSize = 0,
  origin = anchoredOrigin,
): CheckpointToAnchor {
  const root = rootOf(tree, sha256, size)
  const id = keyId(sha256, origin, rawKey)
  return {
    logId: 'main',
    origin,
    size,
    root,
    note: signNote(formatCheckpoint({ origin, size, root }), origin, id, (message) =>
      sign(null, message, privateKey),
    ),
    proofFrom: (oldSize) => consistencyProof(tree, sha256, oldSize, size),
    knownSize,
  }
}

/** What every Anchor must do. `open` opens the same place again each time within one test. */
export function describeAnchor(name: string, prepare: () => Promise<() => Promise<Anchor>>): void {
  describe(`Anchor: ${name}`, () => {
    let open: () => Promise<Anchor>
    let anchor: Anchor
    const newestSize = async (knownSize = 0, origin = anchoredOrigin) => {
      const note = await anchor.newest(origin, knownSize)
      return note === undefined ? undefined : readCheckpoint(note).size
    }
    beforeEach(async () => {
      open = await prepare()
      anchor = await open()
    })
    afterEach(() => anchor.close())

    test('takes checkpoints as the log grows, and answers with a time and what a person may look up', async () => {
      for (const [size, known] of [
        [1, 0],
        [7, 1],
        [20, 7],
      ] as const) {
        const { at, answer } = await anchor.put(checkpointOf(size, anchoredTree, known))
        expect(Number.isNaN(Date.parse(at))).toBe(false)
        expect(answer).not.toBe('')
      }
      if (anchor.readable) expect(await newestSize()).toBe(20)
      else expect(await newestSize()).toBeUndefined()
    })

    test('takes the same checkpoint again, also after a restart that forgot it', async () => {
      await anchor.put(checkpointOf(5))
      await anchor.put(checkpointOf(5, anchoredTree, 5))
      await anchor.close()
      anchor = await open()
      await anchor.put(checkpointOf(5))
      await anchor.put(checkpointOf(9))
      if (anchor.readable) expect(await newestSize()).toBe(9)
    })

    test('what it holds can be read back by whoever knows nothing, less or more', async () => {
      if (anchor.readable) expect(await newestSize()).toBeUndefined()
      for (const size of [2, 3, 8, 19]) await anchor.put(checkpointOf(size, anchoredTree, size - 1))
      await anchor.close()
      anchor = await open()
      if (!anchor.readable) return
      expect(await anchor.newest(anchoredOrigin, 0)).toBe(checkpointOf(19).note)
      for (const known of [2, 8, 19, 20, 1_000_000]) expect(await newestSize(known)).toBe(19)
    })

    test('keeps logs apart', async () => {
      await anchor.put(checkpointOf(9))
      if (anchor.readable) expect(await newestSize(0, 'sealtrail-00/_system')).toBeUndefined()
    })
  })
}

function grow(leafOf: (index: number) => string): MemoryHashTree {
  const tree = new MemoryHashTree(sha256)
  for (let i = 0; i < 20; i++) tree.append(leafHash(sha256, utf8(leafOf(i))))
  return tree
}
