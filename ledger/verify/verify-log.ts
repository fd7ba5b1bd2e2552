import { equal, hex } from '../../schemas/bytes.ts'
import { openCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import { type KeyRotation, keyRotationAction, nextKeyOf } from '../../schemas/tlog/key-rotation.ts'
import { leafHash, TreeFrontier } from '../../schemas/tlog/merkle.ts'
import { type NoteVerifier, noteVerifier, parseVerifierKey } from '../../schemas/tlog/note.ts'
import { verifyEd25519 } from '../ed25519.ts'
import type { Keyring } from '../keyring.ts'
import type { LedgerStorage } from '../ledger-storage.ts'
import type { PayloadStore } from '../payload-store.ts'
import { sha256 } from '../sha256.ts'
import {
  checkPayloads,
  type KeyState,
  type PayloadChecker,
  type PayloadFindings,
  type RecordedErasure,
} from './check-payloads.ts'

export interface VerifyLogOptions {
  readonly logId: string
  readonly storage: LedgerStorage
  /** Absent: the tree only. */
  readonly payloads?: PayloadStore
  /** Opens payloads; absent: the ciphertext is checked against its leaf, not opened. */
  readonly keyring?: Pick<Keyring, 'openingKey' | 'wasDestroyed'>
  /** Absent: payloads are checked on this thread. */
  readonly checker?: PayloadChecker | undefined
  /** C2SP vkey of the log, from a place that the log's operator cannot rewrite. */
  readonly verifierKey: string
  /**
   * Rotations of its signing key, oldest first, as the signer has them. Nothing of it is trusted: each must stand in the
   * log, and the first tree that holds it must be signed with the key before it and the one after.
   */
  readonly rotations?: readonly KeyRotation[]
  /** What was seen of this log elsewhere: it must hold all of it, with these roots. */
  readonly seen?: readonly SeenTree[]
  /**
   * What the signer of the log signed last: the log must hold it, with that root. Asked between checkpoints and
   * segments, so that a log which grows meanwhile is not taken for one that was rolled back.
   */
  readonly lastSigned?: () => Promise<{ size: number; root: Uint8Array } | undefined>
}

/** A tree of the log that somebody outside holds. */
export interface SeenTree {
  readonly size: number
  /** Absent: only its size is known. */
  readonly root?: Uint8Array
  /** Who holds it, as the subject of a sentence: `checkpoint FILE`; absent for what somebody remembers. */
  readonly by?: string
  /** Whether the log signed it; asked only when it contradicts. Absent: it did, or nobody can tell. */
  readonly isSigned?: () => boolean
}

export interface VerifyStep {
  readonly stage: string
  readonly done: number
  readonly total: number
}

export interface VerifyResult {
  readonly treeSize: number
  readonly checkpoints: number
  readonly payloads: number
  /** Payloads that are closed for good: their key was destroyed, or they were overwritten, as a leaf says. */
  readonly erased: number
  /** Of these, those whose key was destroyed without a leaf that says so. */
  readonly erasedUnsaid: number
  /** What the log says of erasures, in its order. */
  readonly erasures: readonly RecordedErasure[]
  /** The signer signed a larger size last than there is a checkpoint of: a process that was killed leaves that. */
  readonly missingCheckpoint: number | undefined
  /** First thing that is wrong, named by log and index; undefined when all is well. */
  readonly firstProblem: string | undefined
}

const reportEvery = 10_000
/** Segments whose payloads are being checked at a time: enough for a few threads, and bounded in memory. */
const checksAhead = 6

/**
 * Recomputes a log from stored bytes: each leaf into the tree, each segment's stated root, each checkpoint's signature
 * and root, each payload against its leaf and commitments. Stops at the first problem and names it.
 */
export async function* verifyLog(
  options: VerifyLogOptions,
): AsyncGenerator<VerifyStep, VerifyResult> {
  const { logId, storage, payloads, verifierKey } = options
  const rotations = options.rotations ?? []
  const total = await storage.size(logId)
  const sizes = await storage.checkpointSizes(logId)
  const signed = await options.lastSigned?.()
  const erasures: RecordedErasure[] = []
  const counts = { treeSize: 0, checkpoints: 0, payloads: 0, erased: 0, erasedUnsaid: 0, erasures }
  /** Closed payloads by the root key that is gone, and leaves without payload: a later leaf must account for them. */
  const closed = new Map<string, number>()
  const missing: number[] = []
  const problem = (firstProblem: string): VerifyResult => ({
    ...counts,
    missingCheckpoint: undefined,
    firstProblem,
  })
  const frontier = new TreeFrontier(sha256)
  let nextCheckpoint = 0
  const reached: { size: number; root: Uint8Array }[] = []
  let signedRoot: Uint8Array | undefined
  const seen = (options.seen ?? [])
    .filter(({ size }) => size > 0)
    .toSorted((a, b) => a.size - b.size)
  const larger = seen.findLast((tree) => tree.size > total && tree.isSigned?.() !== false)
  if (larger !== undefined) return problem(rolledBack(logId, total, larger))
  let nextSeen = 0
  const keys = keysOf(verifierKey, rotations)
  if (keys === undefined) {
    return problem(
      `log ${logId} is signed with ${rotations.at(-1)?.next ?? 'another key'}, and no rotation leads from or to the key that you hold`,
    )
  }
  let nextRotation = 0
  const firstSizes = new Set(keys.map(({ from }) => sizes.find((size) => size >= from)))
  const checker = options.checker ?? { check: async (batch) => checkPayloads(batch) }
  const keyOf = keyStateOf(options)
  /** Payloads are checked while the tree goes on; what is wrong with them is said before what comes after them. */
  const underWay: Promise<PayloadFindings>[] = []
  const settle = async (left: number): Promise<string | undefined> => {
    while (underWay.length > left) {
      const found = await underWay.shift()
      if (found === undefined) continue
      counts.payloads += found.payloads
      for (const [rootKeyId, count] of found.closed)
        closed.set(rootKeyId, (closed.get(rootKeyId) ?? 0) + count)
      missing.push(...found.missing)
      erasures.push(...found.erasures)
      if (found.problem !== undefined) return found.problem
    }
    return undefined
  }
  try {
    for await (const segment of storage.readSegments(logId, 0)) {
      if (segment.fromIndex !== frontier.size) {
        return problem(
          (await settle(0)) ??
            `log ${logId}: segment ${segment.fromIndex} does not follow leaf ${frontier.size - 1}`,
        )
      }
      const sealed = await payloads?.getRange(logId, segment.fromIndex, segment.nextIndex)
      if (sealed !== undefined) {
        const { fromIndex, leaves } = segment
        const checking = checker.check({ logId, fromIndex, leaves, payloads: sealed, keyOf })
        checking.catch(() => undefined)
        underWay.push(checking)
        const wrong = underWay.length > checksAhead ? await settle(checksAhead) : undefined
        if (wrong !== undefined) return problem(wrong)
      }
      for (const [offset, leaf] of segment.leaves.entries()) {
        const index = segment.fromIndex + offset
        const rotation = rotations[nextRotation]
        const next = contains(leaf, rotationMark) ? nextKeyOf(leaf) : undefined
        if (next !== undefined || rotation?.index === index) {
          const wrong = checkRotation(logId, index, next, rotation)
          if (wrong !== undefined) return problem((await settle(0)) ?? wrong)
          nextRotation++
        }
        frontier.append(leafHash(sha256, leaf))
        counts.treeSize = frontier.size
        if (frontier.size === signed?.size) signedRoot = frontier.root()
        for (let tree = seen[nextSeen]; tree?.size === frontier.size; tree = seen[++nextSeen]) {
          if (contradicts(tree, frontier.root()))
            return problem((await settle(0)) ?? forked(logId, tree))
        }
        if (frontier.size === sizes[nextCheckpoint]) {
          reached.push({ size: frontier.size, root: frontier.root() })
          nextCheckpoint++
        }
        if (frontier.size % reportEvery === 0)
          yield { stage: `leaves of ${logId}`, done: frontier.size, total }
      }
      if (!equal(frontier.root(), segment.rootAfter)) {
        return problem(
          (await settle(0)) ??
            `log ${logId}: segment ${segment.fromIndex} states root ${hex(segment.rootAfter).slice(0, 16)}… and its leaves give ${hex(frontier.root()).slice(0, 16)}…`,
        )
      }
      // After the segment's own root, which names an edited leaf more closely.
      for (const checkpoint of reached.splice(0)) {
        const wrong = await checkCheckpoint(storage, logId, checkpoint, keys, firstSizes)
        if (wrong !== undefined) return problem((await settle(0)) ?? wrong)
        counts.checkpoints++
      }
    }
    const wrong = await settle(0)
    if (wrong !== undefined) return problem(wrong)
  } catch (error) {
    return problem(
      (await settle(0).catch(() => undefined)) ??
        `log ${logId}, at leaf ${frontier.size}: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
  const shredded = new Set(erasures.flatMap(({ erasure }) => erasure.leaves))
  const unsaid = missing.find((index) => !shredded.has(index))
  if (unsaid !== undefined) {
    return problem(
      `log ${logId}, payload of leaf ${unsaid}: the leaf names a payload, and there is none${options.keyring === undefined ? ' (without the keyring, leaves that say what was erased cannot be read)' : ''}`,
    )
  }
  const destroyed = new Set(erasures.flatMap(({ erasure }) => erasure.keyIds))
  for (const [rootKeyId, payloadCount] of closed) {
    counts.erased += payloadCount
    if (!destroyed.has(rootKeyId)) counts.erasedUnsaid += payloadCount
  }
  counts.erased += missing.length
  const unrecorded = rotations[nextRotation]
  if (unrecorded !== undefined) {
    return problem(
      `log ${logId}: its signer changed the key at leaf ${unrecorded.index}, and the log holds ${frontier.size} leaves: it was rolled back`,
    )
  }
  const beyond = sizes[nextCheckpoint]
  if (beyond !== undefined) {
    return problem(
      `log ${logId}: a checkpoint was signed at size ${beyond}, and the log holds ${frontier.size} leaves: leaves are missing at its end`,
    )
  }
  if (signed !== undefined && signed.size > frontier.size) {
    return problem(
      `log ${logId} holds ${frontier.size} leaves, and its signer signed ${signed.size}: it was rolled back`,
    )
  }
  if (signed !== undefined && signedRoot !== undefined && !equal(signedRoot, signed.root)) {
    return problem(
      `log ${logId}: its signer signed another root at size ${signed.size} than the leaves give`,
    )
  }
  const newest = sizes.at(-1) ?? 0
  if (signed !== undefined && newest > signed.size) {
    return problem(
      `log ${logId} has a checkpoint of size ${newest}, and its signer knows of ${signed.size}: the signer was rolled back`,
    )
  }
  const missingCheckpoint =
    signed !== undefined && signed.size > newest && signed.size > 0 ? signed.size : undefined
  return { ...counts, missingCheckpoint, firstProblem: undefined }
}

/** A log that is smaller than what was seen of it, in a sentence. */
export function rolledBack(logId: string, size: number, seen: SeenTree): string {
  const known =
    seen.by === undefined ? `${seen.size} were seen before` : `${seen.by} has ${seen.size}`
  return `log ${logId} holds ${size} leaves, and ${known}: it was rolled back`
}

/** A log that does not continue what was seen of it, in a sentence. */
export function forked(logId: string, seen: SeenTree): string {
  return `log ${logId} has another root at size ${seen.size} than ${seen.by ?? 'was seen before'}: it has forked`
}

function contradicts(tree: SeenTree, root: Uint8Array): boolean {
  return tree.root !== undefined && !equal(tree.root, root) && tree.isSigned?.() !== false
}

/** What the keyring says of a key. */
function keyStateOf({ logId, keyring }: VerifyLogOptions): (keyId: string) => KeyState {
  return (keyId) => {
    if (keyring === undefined) return 'unknown'
    const key = keyring.openingKey(logId, keyId)
    return key ?? (keyring.wasDestroyed(logId, keyId) ? 'destroyed' : 'lost')
  }
}

/** The key of the trees from `from` leaves on, and the one that it replaced. */
interface KeyInForce {
  readonly from: number
  readonly key: NoteVerifier
  readonly replaced: NoteVerifier | undefined
}

/** The keys of a log in their order; undefined where the trusted one is none of them, or they do not follow. */
function keysOf(trusted: string, rotations: readonly KeyRotation[]): KeyInForce[] | undefined {
  const first = rotations[0]?.previous ?? trusted
  const names = [first, ...rotations.map(({ next }) => next)]
  const follow = rotations.every(({ previous }, i) => previous === names[i])
  if (!follow || !names.includes(trusted)) return undefined
  const verifiers = names.map((key) => noteVerifier(sha256, verifyEd25519, key))
  return verifiers.map((key, i) => ({
    from: i === 0 ? 0 : (rotations[i - 1]?.index ?? 0) + 1,
    key,
    replaced: verifiers[i - 1],
  }))
}

function checkRotation(
  logId: string,
  index: number,
  next: string | undefined,
  rotation: KeyRotation | undefined,
): string | undefined {
  if (next === undefined) return `log ${logId}, leaf ${index}: it should rotate the signing key`
  if (rotation?.index !== index)
    return `log ${logId}, leaf ${index} rotates the signing key, and its signer does not know of it`
  if (rotation.next !== next)
    return `log ${logId}, leaf ${index} names another signing key than its signer has`
  const [from, to] = [rotation.previous, next].map((key) => parseVerifierKey(sha256, key))
  if (from?.name !== to?.name) return `log ${logId}, leaf ${index} names the key of another log`
  if (from?.keyId === to?.keyId)
    return `log ${logId}, leaf ${index} names a key with the id of the one before it`
  return undefined
}

async function checkCheckpoint(
  storage: LedgerStorage,
  logId: string,
  reached: { readonly size: number; readonly root: Uint8Array },
  keys: readonly KeyInForce[],
  firstSizes: ReadonlySet<number | undefined>,
): Promise<string | undefined> {
  const note = (await storage.readCheckpoint(logId, reached.size)) ?? ''
  const inForce = keys.findLast(({ from }) => from <= reached.size)
  const where = `log ${logId}, checkpoint of size ${reached.size}`
  if (inForce === undefined) return `${where}: no key was in force`
  try {
    const checkpoint = openCheckpoint(note, [inForce.key])
    if (checkpoint.size !== reached.size || !equal(checkpoint.root, reached.root))
      return `log ${logId}: the checkpoint of size ${reached.size} has another root than the leaves give`
  } catch (error) {
    if (inForce.replaced !== undefined && isSignedBy(note, inForce.replaced))
      return `${where}: it is signed only by a key that was retired at leaf ${inForce.from - 1}`
    return `${where}: ${error instanceof Error ? error.message : String(error)}`
  }
  if (inForce.replaced === undefined) return undefined
  return firstSizes.has(reached.size) && !isSignedBy(note, inForce.replaced)
    ? `${where}: the key before the one of leaf ${inForce.from - 1} did not sign it: nothing vouches for the new key`
    : undefined
}

function isSignedBy(note: string, verifier: NoteVerifier): boolean {
  try {
    openCheckpoint(note, [verifier])
    return true
  } catch {
    return false
  }
}

const rotationMark = Buffer.from(`"admin.action":"${keyRotationAction}"`)

function contains(leaf: Uint8Array, mark: Buffer): boolean {
  return Buffer.from(leaf.buffer, leaf.byteOffset, leaf.byteLength).includes(mark)
}
