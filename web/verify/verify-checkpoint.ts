import { equal, fromBase64, fromHex, hex } from '../../schemas/bytes.ts'
import { type Checkpoint, openCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import type { Digest, Ed25519Verify } from '../../schemas/tlog/digest.ts'
import { verifyConsistency } from '../../schemas/tlog/merkle.ts'
import { noteVerifier } from '../../schemas/tlog/note.ts'
import { type Check, guard } from './check.ts'

/** What this browser remembers of a log: its key from first sight, and the newest checkpoint it saw. */
export interface Remembered {
  readonly verifierKey: string
  readonly size: number
  /** hex */
  readonly root: string
  /** When the key was pinned, RFC 3339; absent in what older versions of this page stored. */
  readonly pinnedAt?: string | undefined
}

export interface CheckpointInput {
  /** C2SP verifier key that the server names. */
  readonly verifierKey: string
  /** C2SP signed note. */
  readonly note: string
  readonly remembered: Remembered | undefined
  /** RFC 6962 proof between the remembered size and the one of the note; base64. */
  readonly consistency: readonly string[] | undefined
  readonly digest: Digest
  readonly ed25519: Ed25519Verify
}

/** Compares the key that the server names with the one pinned at first sight. */
export function checkKey(verifierKey: string, remembered: Remembered | undefined): Check {
  const label = 'The log has the key that this browser pinned'
  if (remembered === undefined) {
    return {
      id: 'key',
      label,
      state: 'passed',
      detail:
        'first sight: the key is pinned now; compare its fingerprint with one you got elsewhere',
    }
  }
  if (remembered.verifierKey === verifierKey) {
    const since =
      remembered.pinnedAt === undefined ? '' : `, pinned ${remembered.pinnedAt.slice(0, 19)}Z`
    return { id: 'key', label, state: 'passed', detail: verifierKey + since }
  }
  return {
    id: 'key',
    label,
    state: 'failed',
    detail: `the server now names another key, ${verifierKey}; pinned is ${remembered.verifierKey}: the log or its key was replaced`,
  }
}

/** Verifies a signed checkpoint under the pinned key, and that it continues the last one seen here. */
export function verifyCheckpoint(input: CheckpointInput): {
  readonly checks: readonly Check[]
  readonly checkpoint: Checkpoint | undefined
} {
  const label = 'Checkpoint is signed by the pinned key'
  const key = input.remembered?.verifierKey ?? input.verifierKey
  const checkpoint = guard(() =>
    openCheckpoint(input.note, [noteVerifier(input.digest, input.ed25519, key)]),
  )
  if (checkpoint instanceof Error) {
    return {
      checks: [{ id: 'checkpoint', label, state: 'failed', detail: checkpoint.message }],
      checkpoint: undefined,
    }
  }
  const { origin, size, root } = checkpoint
  return {
    checks: [
      {
        id: 'checkpoint',
        label,
        state: 'passed',
        detail: `Ed25519 over ${origin}, ${size} leaves, root ${hex(root)}`,
      },
      checkConsistency(input, checkpoint),
    ],
    checkpoint,
  }
}

function checkConsistency(input: CheckpointInput, { size, root }: Checkpoint): Check {
  const label = 'Continues the last checkpoint seen here'
  const { remembered } = input
  if (remembered === undefined) {
    return {
      id: 'consistency',
      label,
      state: 'passed',
      detail: `first checkpoint seen in this browser, ${size} leaves; it is remembered from now on`,
    }
  }
  const consistent = guard(() => isConsistent(input, remembered, size, root)) === true
  return {
    id: 'consistency',
    label,
    state: consistent ? 'passed' : 'failed',
    detail: consistent
      ? `${remembered.size} leaves seen before, ${size} now, ${input.consistency?.length ?? 0} hashes`
      : `${remembered.size} leaves were seen here before and do not lead to the ${size} of now: the log was rolled back or forked`,
  }
}

function isConsistent(
  input: CheckpointInput,
  remembered: Remembered,
  size: number,
  root: Uint8Array,
): boolean {
  const rootSeen = fromHex(remembered.root)
  if (size === remembered.size) return equal(root, rootSeen)
  if (input.consistency === undefined) return false
  const grew = size > remembered.size
  return verifyConsistency(input.digest, {
    oldSize: grew ? remembered.size : size,
    oldRoot: grew ? rootSeen : root,
    newSize: grew ? size : remembered.size,
    newRoot: grew ? root : rootSeen,
    proof: input.consistency.map(fromBase64),
  })
}
