import { describe, expect, test } from 'vitest'
import { sha256 } from '../../ledger/sha256.ts'
import { equal, fromHex, hex, utf8 } from '../../schemas/bytes.ts'
import {
  consistencyProof,
  emptyRoot,
  inclusionProof,
  leafHash,
  MemoryHashTree,
  nodeHash,
  rangeProof,
  rootOf,
  TreeFrontier,
  verifyConsistency,
  verifyInclusion,
  verifyRange,
} from '../../schemas/tlog/merkle.ts'
import reference from '../vectors/rfc6962-roots.json' with { type: 'json' }

const leafOf = (i: number) => leafHash(sha256, utf8(`leaf ${i}`))

function treeOf(size: number): MemoryHashTree {
  const tree = new MemoryHashTree(sha256)
  for (let i = 0; i < size; i++) tree.append(leafOf(i))
  return tree
}

describe('RFC 6962 trees', () => {
  test('the roots of the reference tree are the published ones', () => {
    const tree = new MemoryHashTree(sha256)
    const frontier = new TreeFrontier(sha256)
    expect(hex(emptyRoot(sha256))).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    )
    for (const [i, leaf] of reference.leaves.entries()) {
      const hash = leafHash(sha256, fromHex(leaf))
      tree.append(hash)
      frontier.append(hash)
      expect(hex(rootOf(tree, sha256, i + 1))).toBe(reference.roots[i])
      expect(hex(frontier.root())).toBe(reference.roots[i])
    }
  })

  test('every leaf of every tree up to 70 is included, and nothing else verifies', () => {
    const tree = treeOf(70)
    for (let size = 1; size <= 70; size++) {
      const root = rootOf(tree, sha256, size)
      for (let index = 0; index < size; index++) {
        const proof = inclusionProof(tree, sha256, index, size)
        const claim = { index, size, leafHash: leafOf(index), proof, root }
        expect(verifyInclusion(sha256, claim)).toBe(true)
        const lies = [
          { ...claim, index: index + 1 },
          { ...claim, index: index - 1 },
          { ...claim, index: size },
          { ...claim, leafHash: leafOf(index + 1) },
          { ...claim, proof: [...proof, root] },
          { ...claim, proof: [root, ...proof] },
          { ...claim, proof: proof.slice(1).concat(size === 1 ? [root] : []) },
          { ...claim, proof: Array.from({ length: 64 }, () => root) },
          { ...claim, root: leafOf(999) },
        ]
        for (const lie of lies) expect(verifyInclusion(sha256, lie)).toBe(false)
      }
    }
  })

  test('a node is never taken for a leaf', () => {
    const tree = treeOf(4)
    const left = tree.hash(1, 0)
    const right = tree.hash(1, 1)
    // The root of four leaves is also the root over "two leaves" that are nodes: only 0x00/0x01 tell them apart.
    expect(equal(nodeHash(sha256, left, right), rootOf(tree, sha256, 4))).toBe(true)
    const asLeaf = leafHash(sha256, left)
    expect(
      verifyInclusion(sha256, {
        index: 0,
        size: 2,
        leafHash: asLeaf,
        proof: [right],
        root: rootOf(tree, sha256, 4),
      }),
    ).toBe(false)
  })

  test('every pair of sizes up to 40 is consistent, and no altered proof is', () => {
    const tree = treeOf(40)
    for (let newSize = 1; newSize <= 40; newSize++) {
      for (let oldSize = 0; oldSize <= newSize; oldSize++) {
        const proof = consistencyProof(tree, sha256, oldSize, newSize)
        const claim = {
          oldSize,
          oldRoot: rootOf(tree, sha256, oldSize),
          newSize,
          newRoot: rootOf(tree, sha256, newSize),
          proof,
        }
        expect(verifyConsistency(sha256, claim)).toBe(true)
        expect(verifyConsistency(sha256, { ...claim, oldRoot: leafOf(999) })).toBe(false)
        expect(verifyConsistency(sha256, { ...claim, proof: [...proof, claim.newRoot] })).toBe(
          false,
        )
        if (oldSize > 0 && oldSize < newSize) {
          expect(verifyConsistency(sha256, { ...claim, newRoot: leafOf(999) })).toBe(false)
          expect(verifyConsistency(sha256, { ...claim, proof: proof.slice(1) })).toBe(false)
          expect(verifyConsistency(sha256, { ...claim, oldSize: oldSize + 1 })).toBe(false)
        }
      }
    }
  })

  test('every range of every tree up to 24 is proven whole', () => {
    const tree = treeOf(24)
    for (let size = 1; size <= 24; size++) {
      const root = rootOf(tree, sha256, size)
      for (let from = 0; from <= size; from++) {
        for (let until = from; until <= size; until++) {
          const leafHashes = Array.from({ length: until - from }, (_, i) => leafOf(from + i))
          const proof = rangeProof(tree, from, until, size)
          const claim = { from, until, size, leafHashes, proof, root }
          expect(verifyRange(sha256, claim)).toBe(true)
          if (leafHashes.length > 1) {
            expect(verifyRange(sha256, { ...claim, leafHashes: leafHashes.toReversed() })).toBe(
              false,
            )
            expect(
              verifyRange(sha256, {
                ...claim,
                until: until - 1,
                leafHashes: leafHashes.slice(0, -1),
              }),
            ).toBe(false)
          }
        }
      }
    }
  })

  test('a tree wider than a chunk gives the roots that appending gives', () => {
    const tree = new MemoryHashTree(sha256)
    const frontier = new TreeFrontier(sha256)
    const hash = leafOf(1)
    for (let i = 0; i < 10_000; i++) {
      tree.append(hash)
      frontier.append(hash)
    }
    expect(equal(rootOf(tree, sha256, 10_000), frontier.root())).toBe(true)
  })
})
