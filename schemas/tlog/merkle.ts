import { equal } from '../bytes.ts'
import { type Digest, hashBytes } from './digest.ts'

/**
 * Merkle trees of RFC 6962 section 2.1 (RFC 9162 section 2.1): hashes, audit paths, consistency proofs, and proofs
 * for contiguous ranges. Sizes and indexes are safe integers.
 */

/** Hashes of complete subtrees: `hash(level, index)` covers leaves [index << level, (index + 1) << level). */
export interface HashReader {
  hash(level: number, index: number): Uint8Array
}

/** A tree that grows. */
export interface HashTree extends HashReader {
  readonly size: number
  append(hash: Uint8Array): void
}

/** Written anew for each hash: allocating the input would cost as much as hashing it. */
const leafInput = new Uint8Array(1 + 65_535)
const nodeInput = new Uint8Array(1 + 2 * hashBytes)

/** Leaf hash: SHA-256(0x00 || leaf). */
export function leafHash(digest: Digest, leaf: Uint8Array): Uint8Array {
  const length = leaf.length + 1
  const data = length <= leafInput.length ? leafInput.subarray(0, length) : new Uint8Array(length)
  data[0] = 0
  data.set(leaf, 1)
  return digest(data)
}

/** Interior node: SHA-256(0x01 || left || right). */
export function nodeHash(digest: Digest, left: Uint8Array, right: Uint8Array): Uint8Array {
  nodeInput[0] = 1
  nodeInput.set(left, 1)
  nodeInput.set(right, 1 + hashBytes)
  return digest(nodeInput)
}

/** Root of the empty tree: SHA-256 of nothing. */
export function emptyRoot(digest: Digest): Uint8Array {
  return digest(new Uint8Array(0))
}

/** A complete subtree by level and index. */
interface Subtree {
  readonly level: number
  readonly index: number
}

/** The complete subtrees that cover [from, until), left to right: the "compact range" of the interval. */
function subtreesOf(from: number, until: number): Subtree[] {
  const subtrees: Subtree[] = []
  let at = from
  while (at < until) {
    let level = 0
    while (at % 2 ** (level + 1) === 0 && at + 2 ** (level + 1) <= until) level++
    subtrees.push({ level, index: at / 2 ** level })
    at += 2 ** level
  }
  return subtrees
}

/** Hash of leaves [from, until) as the RFC splits them: at the largest power of two below the size. */
function rangeHash(reader: HashReader, digest: Digest, from: number, until: number): Uint8Array {
  const size = until - from
  const level = Math.log2(size)
  if (Number.isInteger(level) && from % size === 0) return reader.hash(level, from / size)
  const split = from + splitOf(size)
  return nodeHash(
    digest,
    rangeHash(reader, digest, from, split),
    rangeHash(reader, digest, split, until),
  )
}

/** Largest power of two smaller than n (n > 1). */
function splitOf(n: number): number {
  let k = 1
  while (k * 2 < n) k *= 2
  return k
}

/** Root of the first `size` leaves (RFC 6962 "Merkle Tree Hash"). */
export function rootOf(reader: HashReader, digest: Digest, size: number): Uint8Array {
  return size === 0 ? emptyRoot(digest) : rangeHash(reader, digest, 0, size)
}

/** RFC 6962 Merkle audit path of a leaf, leaf to root. */
export function inclusionProof(
  reader: HashReader,
  digest: Digest,
  index: number,
  size: number,
): Uint8Array[] {
  if (!isSize(size) || !isSize(index) || index >= size) {
    throw new RangeError(`no leaf ${index} in a tree of ${size}`)
  }
  const path: Uint8Array[] = []
  let from = 0
  let until = size
  while (until - from > 1) {
    const split = from + splitOf(until - from)
    if (index < split) {
      path.push(rangeHash(reader, digest, split, until))
      until = split
    } else {
      path.push(rangeHash(reader, digest, from, split))
      from = split
    }
  }
  return path.reverse()
}

export interface InclusionClaim {
  readonly index: number
  readonly size: number
  readonly leafHash: Uint8Array
  readonly proof: readonly Uint8Array[]
  readonly root: Uint8Array
}

/** RFC 9162 section 2.1.3.2. Every field may be chosen by an attacker. */
export function verifyInclusion(digest: Digest, claim: InclusionClaim): boolean {
  const { index, size, proof, root } = claim
  if (!isSize(index) || !isSize(size) || index >= size) return false
  if (!allHashes([claim.leafHash, root, ...proof])) return false
  let node = index
  let last = size - 1
  let hash = claim.leafHash
  for (const sibling of proof) {
    if (last === 0) return false
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(digest, sibling, hash)
      while (node % 2 === 0 && node !== 0) {
        node /= 2
        last = Math.floor(last / 2)
      }
    } else {
      hash = nodeHash(digest, hash, sibling)
    }
    node = Math.floor(node / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 && equal(hash, root)
}

/** RFC 6962 section 2.1.2 consistency proof between two sizes; empty when they are equal or the old one is 0. */
export function consistencyProof(
  reader: HashReader,
  digest: Digest,
  oldSize: number,
  newSize: number,
): Uint8Array[] {
  if (!isSize(oldSize) || !isSize(newSize) || oldSize > newSize) {
    throw new RangeError(`no consistency from ${oldSize} to ${newSize}`)
  }
  if (oldSize === 0 || oldSize === newSize) return []
  const proof: Uint8Array[] = []
  let from = 0
  let until = newSize
  // SUBPROOF: `complete` is the RFC's flag b, true while the subtree's old part is the whole old tree.
  let complete = true
  for (;;) {
    if (oldSize === until) {
      if (!complete) proof.push(rangeHash(reader, digest, from, until))
      return proof.reverse()
    }
    const split = from + splitOf(until - from)
    if (oldSize <= split) {
      proof.push(rangeHash(reader, digest, split, until))
      until = split
    } else {
      proof.push(rangeHash(reader, digest, from, split))
      from = split
      complete = false
    }
  }
}

export interface ConsistencyClaim {
  readonly oldSize: number
  readonly oldRoot: Uint8Array
  readonly newSize: number
  readonly newRoot: Uint8Array
  readonly proof: readonly Uint8Array[]
}

/** RFC 9162 section 2.1.4.2. Every tree is consistent with the empty one, by an empty proof. */
export function verifyConsistency(digest: Digest, claim: ConsistencyClaim): boolean {
  const { oldSize, oldRoot, newSize, newRoot, proof } = claim
  if (!isSize(oldSize) || !isSize(newSize) || oldSize > newSize) return false
  if (!allHashes([oldRoot, newRoot, ...proof])) return false
  if (oldSize === newSize) return proof.length === 0 && equal(oldRoot, newRoot)
  if (oldSize === 0) return proof.length === 0 && equal(oldRoot, emptyRoot(digest))
  const isPowerOfTwo = Number.isInteger(Math.log2(oldSize))
  const path = isPowerOfTwo ? [oldRoot, ...proof] : [...proof]
  const [first, ...rest] = path
  if (first === undefined) return false
  let node = oldSize - 1
  let last = newSize - 1
  while (node % 2 === 1) {
    node = Math.floor(node / 2)
    last = Math.floor(last / 2)
  }
  let oldHash = first
  let newHash = first
  for (const sibling of rest) {
    if (last === 0) return false
    if (node % 2 === 1 || node === last) {
      oldHash = nodeHash(digest, sibling, oldHash)
      newHash = nodeHash(digest, sibling, newHash)
      while (node % 2 === 0 && node !== 0) {
        node /= 2
        last = Math.floor(last / 2)
      }
    } else {
      newHash = nodeHash(digest, newHash, sibling)
    }
    node = Math.floor(node / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 && equal(oldHash, oldRoot) && equal(newHash, newRoot)
}

/**
 * Proof that leaves [from, until) are all there is between the two indexes: the hashes of the complete subtrees left
 * of the range, left to right, then those right of it, left to right (Crosby and Wallach 2009).
 */
export function rangeProof(
  reader: HashReader,
  from: number,
  until: number,
  size: number,
): Uint8Array[] {
  if (!isSize(from) || !isSize(until) || !isSize(size) || from > until || until > size) {
    throw new RangeError(`no range [${from}, ${until}) in a tree of ${size}`)
  }
  return [...subtreesOf(0, from), ...subtreesOf(until, size)].map(({ level, index }) =>
    reader.hash(level, index),
  )
}

export interface RangeClaim {
  readonly from: number
  readonly until: number
  readonly size: number
  /** One leaf hash for each index of the range. */
  readonly leafHashes: readonly Uint8Array[]
  readonly proof: readonly Uint8Array[]
  readonly root: Uint8Array
}

/** Checks a {@link rangeProof}. */
export function verifyRange(digest: Digest, claim: RangeClaim): boolean {
  const { from, until, size, leafHashes, proof, root } = claim
  if (!isSize(from) || !isSize(until) || !isSize(size) || from > until || until > size) return false
  if (leafHashes.length !== until - from || !allHashes([...leafHashes, ...proof, root]))
    return false
  const left = subtreesOf(0, from)
  const right = subtreesOf(until, size)
  if (proof.length !== left.length + right.length) return false
  const frontier = new TreeFrontier(digest)
  for (const [i, { level }] of left.entries()) frontier.appendSubtree(level, proof[i])
  for (const hash of leafHashes) frontier.append(hash)
  for (const [i, { level }] of right.entries())
    frontier.appendSubtree(level, proof[left.length + i])
  return equal(frontier.root(), root)
}

/**
 * The right edge of a tree: enough to append and to give the root, in O(log n) memory.
 */
export class TreeFrontier {
  private readonly digest: Digest
  /** Complete subtrees left to right, levels strictly falling. */
  private stack: { level: number; hash: Uint8Array }[] = []
  private leaves = 0

  constructor(digest: Digest) {
    this.digest = digest
  }

  /** The right edge of a whole tree. */
  static of(digest: Digest, tree: HashTree): TreeFrontier {
    const frontier = new TreeFrontier(digest)
    for (const { level, index } of subtreesOf(0, tree.size)) {
      frontier.appendSubtree(level, tree.hash(level, index).slice())
    }
    return frontier
  }

  get size(): number {
    return this.leaves
  }

  append(hash: Uint8Array): void {
    this.appendSubtree(0, hash)
  }

  /** Appends a complete subtree; the size must be a multiple of its width. */
  appendSubtree(level: number, hash: Uint8Array | undefined): void {
    if (hash === undefined || this.leaves % 2 ** level !== 0) {
      throw new RangeError(`no subtree of level ${level} fits at ${this.leaves}`)
    }
    let top = { level, hash }
    for (;;) {
      const below = this.stack.at(-1)
      if (below === undefined || below.level !== top.level) break
      this.stack.pop()
      top = { level: top.level + 1, hash: nodeHash(this.digest, below.hash, top.hash) }
    }
    this.stack.push(top)
    this.leaves += 2 ** level
  }

  root(): Uint8Array {
    let hash: Uint8Array | undefined
    for (const { hash: left } of this.stack.toReversed()) {
      hash = hash === undefined ? left : nodeHash(this.digest, left, hash)
    }
    return hash ?? emptyRoot(this.digest)
  }

  clone(): TreeFrontier {
    const copy = new TreeFrontier(this.digest)
    copy.stack = [...this.stack]
    copy.leaves = this.leaves
    return copy
  }
}

const chunkHashes = 1 << 12

/** A whole tree in memory, 64 bytes a leaf: all complete subtrees of all levels, in chunks that never move. */
export class MemoryHashTree implements HashTree {
  private readonly digest: Digest
  private readonly levels: { chunks: Uint8Array[]; count: number }[] = []

  constructor(digest: Digest) {
    this.digest = digest
  }

  get size(): number {
    return this.levels[0]?.count ?? 0
  }

  append(hash: Uint8Array): void {
    let top = hash
    for (let level = 0; ; level++) {
      const count = this.push(level, top)
      if (count % 2 === 1) return
      top = nodeHash(this.digest, this.hash(level, count - 2), top)
    }
  }

  hash(level: number, index: number): Uint8Array {
    const row = this.levels[level]
    if (row === undefined || index >= row.count) {
      throw new RangeError(`no complete subtree ${index} at level ${level}`)
    }
    const at = (index % chunkHashes) * hashBytes
    const chunk = row.chunks[Math.floor(index / chunkHashes)]
    if (chunk === undefined) throw new RangeError(`no chunk for subtree ${index}`)
    return chunk.subarray(at, at + hashBytes)
  }

  private push(level: number, hash: Uint8Array): number {
    let row = this.levels[level]
    if (row === undefined) {
      row = { chunks: [], count: 0 }
      this.levels.push(row)
    }
    const chunkIndex = Math.floor(row.count / chunkHashes)
    let chunk = row.chunks[chunkIndex]
    if (chunk === undefined) {
      chunk = new Uint8Array(chunkHashes * hashBytes)
      row.chunks.push(chunk)
    }
    chunk.set(hash, (row.count % chunkHashes) * hashBytes)
    row.count++
    return row.count
  }
}

function isSize(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0
}

function allHashes(hashes: readonly Uint8Array[]): boolean {
  return hashes.every((hash) => hash.length === hashBytes)
}
