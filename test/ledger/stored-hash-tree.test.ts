import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { nodeFiles } from '../../ledger/durable-file.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { openStoredHashTree } from '../../ledger/tree/stored-hash-tree.ts'
import { hex, utf8 } from '../../schemas/bytes.ts'
import {
  consistencyProof,
  inclusionProof,
  MemoryHashTree,
  rootOf,
  TreeFrontier,
} from '../../schemas/tlog/merkle.ts'
import { temporaryDirectory } from '../fixtures/embedded-ledger.ts'

const hashOf = (n: number) => sha256(utf8(`leaf ${n}`))

function grown(size: number): MemoryHashTree {
  const tree = new MemoryHashTree(sha256)
  for (let n = 0; n < size; n++) tree.append(hashOf(n))
  return tree
}

describe('a tree that outlives the process', () => {
  test('however it grows, is saved and is opened again, it is the tree of its leaves', async () => {
    const steps = fc.array(
      fc.record({
        leaves: fc.integer({ min: 0, max: 1500 }),
        after: fc.constantFrom('go on', 'save', 'save and open', 'open'),
      }),
      { maxLength: 6 },
    )
    await fc.assert(
      fc.asyncProperty(steps, fc.nat(), async (list, seed) => {
        const directory = await temporaryDirectory()
        let tree = await openStoredHashTree(directory)
        let saved = 0
        for (const { leaves, after } of list) {
          for (let n = 0; n < leaves; n++) tree.append(hashOf(tree.size))
          if (after.startsWith('save')) {
            saved = tree.size
            await tree.save({ at: saved })
          }
          if (after.endsWith('open')) {
            await tree.close()
            tree = await openStoredHashTree(directory)
            expect(tree.size).toBe(saved)
            if (saved > 0) expect(tree.saved?.beside).toEqual({ at: saved })
          }
          const memory = grown(tree.size)
          const { size } = tree
          expect(hex(TreeFrontier.of(sha256, tree).root())).toBe(hex(rootOf(memory, sha256, size)))
          if (size === 0) continue
          const index = seed % size
          expect(inclusionProof(tree, sha256, index, size).map(hex)).toEqual(
            inclusionProof(memory, sha256, index, size).map(hex),
          )
          expect(consistencyProof(tree, sha256, index, size).map(hex)).toEqual(
            consistencyProof(memory, sha256, index, size).map(hex),
          )
        }
        await tree.close()
      }),
      { numRuns: 5 },
    )
  })

  test('what is appended while it is saved is neither lost nor taken for saved', async () => {
    const directory = await temporaryDirectory()
    const tree = await openStoredHashTree(directory)
    for (let n = 0; n < 3000; n++) tree.append(hashOf(n))
    const saving = tree.save(null)
    for (let n = 3000; n < 5000; n++) tree.append(hashOf(n))
    await saving
    expect(hex(rootOf(tree, sha256, 5000))).toBe(hex(rootOf(grown(5000), sha256, 5000)))
    await tree.save(null)
    await tree.close()
    const again = await openStoredHashTree(directory)
    expect(hex(rootOf(again, sha256, again.size))).toBe(hex(rootOf(grown(5000), sha256, 5000)))
    await again.close()
  })

  test('any file of it that is damaged, cut or missing: it is empty, and can be built again', async () => {
    const directory = await temporaryDirectory()
    const first = await openStoredHashTree(directory)
    for (let n = 0; n < 2000; n++) first.append(hashOf(n))
    await first.save(null)
    await first.close()
    for (const name of readdirSync(directory)) {
      const path = join(directory, name)
      const whole = readFileSync(path)
      for (const damage of [
        () => writeFileSync(path, flipped(whole, Math.floor(whole.length / 2))),
        () => truncateSync(path, whole.length - 1),
        () => rmSync(path),
      ]) {
        damage()
        const tree = await openStoredHashTree(directory)
        expect([name, tree.size, tree.saved]).toEqual([name, 0, undefined])
        await tree.close()
      }
      writeFileSync(path, whole)
    }
    writeFileSync(join(directory, '00.hashes'), 'nothing of it')
    const tree = await openStoredHashTree(directory)
    for (let n = 0; n < 2100; n++) tree.append(hashOf(n))
    await tree.save(null)
    await tree.close()
    const again = await openStoredHashTree(directory)
    expect(hex(rootOf(again, sha256, 2100))).toBe(hex(rootOf(grown(2100), sha256, 2100)))
    await again.close()
  })

  test('a crash between the writes of a save leaves what was saved before', async () => {
    const directory = await temporaryDirectory()
    for (let fatal = 0; fatal < 14; fatal++) {
      const tree = await openStoredHashTree(directory, {
        ...nodeFiles,
        sync: async (handle) => {
          if (syncs++ === fatal) throw new Error('the process was killed')
          await nodeFiles.sync(handle)
        },
      })
      let syncs = 0
      const before = tree.size
      for (let n = 0; n < 70; n++) tree.append(hashOf(tree.size))
      const isSaved = await tree.save(null).then(
        () => true,
        () => false,
      )
      await tree.close()
      const again = await openStoredHashTree(directory)
      expect(again.size).toBe(isSaved ? before + 70 : before)
      expect(hex(rootOf(again, sha256, again.size))).toBe(
        hex(rootOf(grown(again.size), sha256, again.size)),
      )
      await again.close()
    }
  })
})

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}
