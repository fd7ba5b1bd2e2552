import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { readAnchorDirectory } from '../ledger/anchors/directory-anchor.ts'
import { verifyEd25519 } from '../ledger/ed25519.ts'
import { sha256 } from '../ledger/sha256.ts'
import type { SeenTree } from '../ledger/verify/verify-log.ts'
import { AnchorCoverage } from '../schemas/api/anchors.ts'
import { isSealtrailError, SealtrailError } from '../schemas/errors.ts'
import { openCheckpoint, readCheckpoint } from '../schemas/tlog/checkpoint.ts'
import { cosignatureVerifier, readCosignatures } from '../schemas/tlog/cosignature.ts'
import type { NoteVerifier } from '../schemas/tlog/note.ts'
import { systemErrorCode } from './system-error.ts'

/** What whoever verifies brings from outside, as flags of `verify`. */
export interface Outside {
  /** Anchor directories. */
  readonly anchors: readonly string[]
  /** Files with one signed checkpoint each. */
  readonly checkpoints: readonly string[]
  /** Verifier keys of witnesses, from a place that the operator of the log cannot rewrite. */
  readonly witnessKeys: readonly string[]
}

/** What is known of one log from outside. */
export interface SeenOutside {
  readonly trees: readonly SeenTree[]
  /** One a place: how far it covers the log, for people. */
  readonly covers: readonly { readonly size: number; readonly sentence: string }[]
}

/** Something that was brought does not hold. `message` is for people. */
export class OutsideRefused extends Error {}

/**
 * Reads what was brought about one log.
 *
 * @param cosigned the checkpoint with cosignatures that the log's own directory keeps: worth what the keys of the
 *   witnesses are worth
 * @throws OutsideRefused when a checkpoint is not signed by the log, or a witness cosigned none
 * @throws SealtrailError `CONFIG_INVALID`, `ANCHOR_UNAVAILABLE` when it cannot be read
 */
export async function readSeenOutside(
  outside: Outside,
  origin: string,
  verifiers: readonly NoteVerifier[],
  cosigned: string | undefined,
): Promise<SeenOutside> {
  const trees: SeenTree[] = []
  const covers: { size: number; sentence: string }[] = []
  const notes: { note: string; by: string }[] = []
  for (const path of outside.checkpoints) {
    const note = await readText(path)
    const by = `checkpoint ${path}`
    if (originOf(note, path) === origin) notes.push({ note, by })
  }
  for (const { note, by } of notes) {
    const { size, root } = openSigned(note, by, verifiers)
    trees.push({ size, root, by })
    covers.push({ size, sentence: `${by}, up to size ${size}` })
  }
  for (const directory of outside.anchors) {
    let newest: { at: string; tree: SeenTree } | undefined
    for await (const { at, note, path } of readAnchorDirectory(directory, origin)) {
      const { size, root } = readCheckpoint(note)
      const tree = { size, root, by: `anchor ${path}`, isSigned: () => isSigned(note, verifiers) }
      trees.push(tree)
      if (newest === undefined || size > newest.tree.size) newest = { at, tree }
    }
    if (newest === undefined) {
      covers.push({
        size: 0,
        sentence: `anchor directory ${directory}: it holds no checkpoint of this log`,
      })
      continue
    }
    if (newest.tree.isSigned?.() !== true) {
      throw new OutsideRefused(
        `${newest.tree.by}: its newest checkpoint of ${origin}, of size ${newest.tree.size}, is not signed by the key of the log`,
      )
    }
    covers.push({
      size: newest.tree.size,
      sentence: `anchor directory ${directory}, up to size ${newest.tree.size}, put there ${newest.at}`,
    })
  }
  const cosignedNotes =
    cosigned === undefined ? [] : [{ note: cosigned, by: 'the stored checkpoint' }]
  for (const key of outside.witnessKeys) {
    const witness = witnessVerifier(key)
    const found = [...notes, ...cosignedNotes].flatMap(({ note, by }) =>
      cosignaturesBy(witness, note, by, verifiers),
    )
    const best = found.toSorted((a, b) => b.size - a.size)[0]
    if (best === undefined)
      throw new OutsideRefused(`no checkpoint of ${origin} here is cosigned by ${witness.name}`)
    const by = `witness ${witness.name}`
    trees.push({ size: best.size, root: best.root, by })
    covers.push({ size: best.size, sentence: `${by}, up to size ${best.size}, at ${best.at}` })
  }
  return { trees, covers }
}

/** What a data directory itself says of its anchors; nothing of it is proven. */
const Stored = z.object({
  cosigned: z.string().nullable(),
  positions: z.array(
    z.object({
      kind: AnchorCoverage.shape.kind,
      target: z.string(),
      size: z.int(),
      at: z.string(),
    }),
  ),
})

/** The checkpoint with cosignatures that a data directory keeps of a log; undefined where there is none. */
export async function readStoredCosigned(path: string): Promise<string | undefined> {
  return (await readStored(path))?.cosigned ?? undefined
}

/** How far the anchors of a log reach, as its data directory has it. */
export async function storedClaims(
  path: string,
): Promise<Pick<AnchorCoverage, 'kind' | 'target' | 'coveredSize' | 'coveredAt'>[]> {
  const positions = (await readStored(path))?.positions ?? []
  return positions.map(({ kind, target, size, at }) => ({
    kind,
    target,
    coveredSize: size,
    coveredAt: at,
  }))
}

async function readStored(path: string): Promise<z.infer<typeof Stored> | undefined> {
  if (!existsSync(path)) return undefined
  try {
    return Stored.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    return undefined
  }
}

/** @throws SealtrailError `CONFIG_INVALID` */
export function witnessVerifier(key: string): NoteVerifier {
  try {
    return cosignatureVerifier(sha256, verifyEd25519, key)
  } catch (cause) {
    if (!isSealtrailError(cause)) throw cause
    throw new SealtrailError('CONFIG_INVALID', `--witness-key: ${cause.message}`, {
      cause,
      hint: 'It is one line <name>+<id>+<key>, as the operator of the witness publishes it. Quote it.',
    })
  }
}

function cosignaturesBy(
  witness: NoteVerifier,
  note: string,
  by: string,
  verifiers: readonly NoteVerifier[],
): { size: number; root: Uint8Array; at: string }[] {
  const { size, root } = openSigned(note, by, verifiers)
  try {
    return readCosignatures(note, verifiers, [witness]).map(({ seconds }) => ({
      size,
      root,
      at: new Date(seconds * 1000).toISOString(),
    }))
  } catch (error) {
    throw new OutsideRefused(`${by}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function openSigned(note: string, by: string, verifiers: readonly NoteVerifier[]) {
  try {
    return openCheckpoint(note, verifiers)
  } catch (error) {
    throw new OutsideRefused(`${by}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function isSigned(note: string, verifiers: readonly NoteVerifier[]): boolean {
  try {
    openCheckpoint(note, verifiers)
    return true
  } catch {
    return false
  }
}

function originOf(note: string, path: string): string {
  try {
    return readCheckpoint(note).origin
  } catch (cause) {
    throw new SealtrailError('CONFIG_INVALID', `${path} holds no signed checkpoint`, {
      cause,
      hint: 'It is the file `checkpoint` of an export, or what /tlog/<log>/checkpoint serves.',
    })
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new SealtrailError(
      'CONFIG_INVALID',
      `${path} cannot be read: ${systemErrorCode(cause)}`,
      {
        cause,
      },
    )
  }
}
