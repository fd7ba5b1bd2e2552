import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import type { LedgerReader } from '../../ledger/committed.ts'
import type { Erasure } from '../../ledger/control/system-state.ts'
import type { Keyring } from '../../ledger/keyring.ts'
import type { LedgerAppender } from '../../ledger/ledger-appender.ts'
import type { LedgerStorage } from '../../ledger/ledger-storage.ts'
import type { PayloadStore } from '../../ledger/payload-store.ts'
import { openPayload } from '../../ledger/payloads/sealed-payload.ts'
import { sha256 } from '../../ledger/sha256.ts'
import type { Signer } from '../../ledger/signer.ts'
import type { LogAnchoring } from '../../schemas/api/anchors.ts'
import { base64, hex, utf8 } from '../../schemas/bytes.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import type { SealedGroup } from '../../schemas/event/fields.ts'
import { timestampFromMs } from '../../schemas/event/timestamp.ts'
import { canonicalJson, type JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { openLeaf, parseLeaf } from '../../schemas/leaf/open-leaf.ts'
import { type HashReader, inclusionProof, leafHash, rangeProof } from '../../schemas/tlog/merkle.ts'
import { formatTlogProof } from '../../schemas/tlog/tlog-proof.ts'
import { BundleFiles } from './bundle-files.ts'
import { ErasedRows } from './erased-rows.ts'
import { csvHeader, csvRow } from './export-files.ts'

export interface BundleParts {
  readonly storage: LedgerStorage
  readonly payloads: PayloadStore
  readonly keyring: Keyring
  readonly reader: LedgerReader
  readonly signer: Signer
  readonly appender: LedgerAppender
  readonly clock: () => number
  readonly version: string
  /** What was erased, and by which leaf. */
  readonly control: { erasures(): readonly Erasure[] }
  tree(logId: string): HashReader & { readonly size: number }
  /** Signs what is committed now. */
  publishCheckpoints(): Promise<void>
  /** What anchors outside hold of a log. */
  anchoring(logId: string): Pick<LogAnchoring, 'cosigned'>
  /** Puts the newest checkpoint outside now; resolves when the anchors answered, or the time is over. */
  settleAnchors(logId: string, timeoutMs: number): Promise<void>
}

export interface BundleRequest {
  readonly logId: string
  readonly q: string
  /** Canonical timestamps. */
  readonly from: string
  readonly until: string
  /** Leaf indexes that match, ascending. */
  readonly matches: readonly number[]
  readonly groups: ReadonlySet<SealedGroup>
  readonly actor: string
  /** Encrypts the files where they wait to be fetched; absent: as they are. */
  readonly key?: Uint8Array
  /** Ends it between two segments, and never leaves an `export` leaf of a bundle that nobody waits for. */
  readonly signal?: AbortSignal
}

/**
 * Writes an evidence bundle: rows as NDJSON and CSV, matching leaves with their openings, one range proof over all
 * leaves from the first to the last match (leaves that do not match as hashes only), the `export` leaf that commits to
 * query and file hashes, the checkpoint that covers it, a manifest, VERIFY.md and a verifier without dependencies.
 *
 * Order: rows first, then the leaf that commits to them, then the checkpoint over that leaf, then the proofs.
 */
export async function writeEvidenceBundle(
  parts: BundleParts,
  request: BundleRequest,
  directory: string,
  onProgress: (done: number, total: number) => void,
): Promise<{ files: string[]; rows: number; exportLeaf: number }> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const folder = new BundleFiles(directory, request.key)
  const { logId, matches } = request
  const first = matches[0] ?? 0
  const until = (matches.at(-1) ?? -1) + 1
  const { rows, erased } = await writeRows(parts, request, folder, first, until, onProgress)
  const content = await hashFiles(folder, ['events.ndjson', 'events.csv', 'leaves.ndjson'])
  const statement: JsonValue = {
    query: request.q,
    from: request.from,
    until: request.until,
    log: logId,
    rows,
    firstLeaf: first,
    untilLeaf: until,
    erased: erasedStatement(erased),
    files: content,
    product: `sealtrail ${parts.version}`,
  }
  const commitment = hex(sha256(utf8(canonicalJson(statement))))
  const now = timestampFromMs(parts.clock())
  request.signal?.throwIfAborted()
  const receipt = await parts.appender.append(logId, [
    {
      'event.class': 'access',
      'record.disposition': 'mapped',
      'source.id': 'sealtrail',
      'time.occurred': now,
      'time.observed': now,
      'admin.action': 'export',
      'admin.target': randomUUID(),
      'admin.actor': request.actor,
      'admin.commitment': commitment,
      'admin.details': statement,
    },
  ])
  const exportLeaf = receipt.leaves[0]?.first ?? -1
  await parts.publishCheckpoints()
  await parts.settleAnchors(logId, cosignatureWaitMs)
  const { size, checkpoint } = await bestCheckpoint(parts, logId, exportLeaf)
  if (checkpoint === undefined || size <= exportLeaf) {
    throw new SealtrailError(
      'SIGNER_REFUSED',
      'no checkpoint covers the export; nothing was handed out',
    )
  }
  const tree = parts.tree(logId)
  const leaf = await leafBytes(parts.storage, logId, exportLeaf)
  const proof: JsonValue = {
    from: first,
    until,
    size,
    hashes: rangeProof(tree, first, until, size).map(base64),
  }
  const files: Record<string, string | Uint8Array> = {
    'range-proof.json': `${canonicalJson(proof)}\n`,
    'export.leaf': leaf,
    'export.statement.json': canonicalJson(statement),
    'export.tlog-proof': formatTlogProof({
      index: exportLeaf,
      hashes: inclusionProof(tree, sha256, exportLeaf, size),
      checkpoint,
    }),
    checkpoint,
    vkey: `${await parts.signer.verifierKey(logId)}\n`,
    ...(await firstMatchProof(parts, request, tree, size, checkpoint)),
    ...(await rotationProofs(parts, logId)),
  }
  for (const [name, bytes] of Object.entries(files)) await folder.write(name, bytes)
  const names = [...content.map(({ name }) => name), ...Object.keys(files)]
  const manifest: JsonValue = {
    format: 'sealtrail-evidence/v1',
    commitment,
    exportLeaf,
    files: await hashFiles(folder, names),
  }
  await folder.write('manifest.json', `${canonicalJson(manifest)}\n`)
  const verifier = new URL('./verifier/', import.meta.url)
  for (const name of ['verify.mjs', 'VERIFY.md'])
    await folder.write(name, await readFile(new URL(name, verifier)))
  return { files: [...names, 'manifest.json', 'verify.mjs', 'VERIFY.md'], rows, exportLeaf }
}

/** Witnesses that do not answer by then are left out: an export does not depend on them. */
const cosignatureWaitMs = 5000

/** The newest checkpoint that witnesses cosigned, where it covers the leaf; else the newest. */
async function bestCheckpoint(
  { storage, anchoring }: BundleParts,
  logId: string,
  leafIndex: number,
): Promise<{ size: number; checkpoint: string | undefined }> {
  const { cosigned } = anchoring(logId)
  if (cosigned !== null && cosigned.size > leafIndex)
    return { size: cosigned.size, checkpoint: cosigned.note }
  const size = (await storage.checkpointSizes(logId)).at(-1) ?? 0
  return { size, checkpoint: await storage.readCheckpoint(logId, size) }
}

/** How whoever holds an older verifier key gets to the one that signed. */
async function rotationProofs(
  parts: BundleParts,
  logId: string,
): Promise<Record<string, string | Uint8Array>> {
  const sizes = await parts.storage.checkpointSizes(logId)
  const files: Record<string, string | Uint8Array> = {}
  for (const { index } of await parts.signer.rotations(logId)) {
    const size = sizes.find((each) => each > index)
    const checkpoint =
      size === undefined ? undefined : await parts.storage.readCheckpoint(logId, size)
    if (size === undefined || checkpoint === undefined) break
    const hashes = inclusionProof(parts.tree(logId), sha256, index, size)
    files[`rotation-${index}.leaf`] = await leafBytes(parts.storage, logId, index)
    files[`rotation-${index}.tlog-proof`] = formatTlogProof({ index, hashes, checkpoint })
  }
  return files
}

function erasedStatement({ rows, by }: ErasedRows): JsonValue {
  return {
    rows,
    by: [...by.values()].map((each) => ({ ...each })),
  }
}

/** One tlog-proof as an example that other programs verify as it is. */
async function firstMatchProof(
  parts: BundleParts,
  { logId, matches }: BundleRequest,
  tree: HashReader,
  size: number,
  checkpoint: string,
): Promise<Record<string, string | Uint8Array>> {
  const [index] = matches
  if (index === undefined) return {}
  const hashes = inclusionProof(tree, sha256, index, size)
  return {
    [`proofs-${index}.leaf`]: await leafBytes(parts.storage, logId, index),
    [`proofs-${index}.tlog-proof`]: formatTlogProof({ index, hashes, checkpoint }),
  }
}

async function leafBytes(
  storage: LedgerStorage,
  logId: string,
  index: number,
): Promise<Uint8Array> {
  for await (const segment of storage.readSegments(logId, index)) {
    const leaf = segment.leaves[index - segment.fromIndex]
    if (leaf !== undefined) return leaf
  }
  throw new SealtrailError('LEDGER_CORRUPT', `log ${logId} has no leaf ${index}`)
}

async function writeRows(
  parts: BundleParts,
  request: BundleRequest,
  folder: BundleFiles,
  first: number,
  until: number,
  onProgress: (done: number, total: number) => void,
): Promise<{ rows: number; erased: ErasedRows }> {
  const matching = new Set(request.matches)
  const erased = new ErasedRows(parts.control.erasures(), request.logId)
  const streams = {
    ndjson: await folder.writer('events.ndjson'),
    csv: await folder.writer('events.csv'),
    leaves: await folder.writer('leaves.ndjson'),
  }
  await streams.csv.write(csvHeader())
  let rows = 0
  for await (const segment of until > first
    ? parts.storage.readSegments(request.logId, first)
    : []) {
    request.signal?.throwIfAborted()
    const payloads = await parts.payloads.getRange(
      request.logId,
      segment.fromIndex,
      segment.nextIndex,
    )
    for (const [offset, leaf] of segment.leaves.entries()) {
      const index = segment.fromIndex + offset
      if (index < first || index >= until) continue
      if (!matching.has(index)) {
        await streams.leaves.write(
          `${canonicalJson({ index, hash: base64(leafHash(sha256, leaf)) })}\n`,
        )
        continue
      }
      const parsed = parseLeaf(leaf)
      const payload = payloads[offset]
      const opened =
        payload === undefined
          ? 'destroyed'
          : openPayload(payload, (id) => parts.keyring.openingKey(request.logId, id))
      const openings =
        opened === 'destroyed' ? [] : opened.filter(({ group }) => request.groups.has(group))
      if (opened === 'destroyed' && parsed.payload !== undefined) erased.add(index, payload)
      const event = openLeaf(parsed, openings)
      await streams.ndjson.write(
        `${canonicalJson({ leaf_index: index, event: event as JsonValue })}\n`,
      )
      await streams.csv.write(csvRow(index, event))
      await streams.leaves.write(
        `${canonicalJson({
          index,
          leaf: base64(leaf),
          openings: openings.map(({ group, salt, plaintext }) => ({
            group,
            salt: base64(salt),
            plaintext,
          })),
        })}\n`,
      )
      rows++
      if (rows % 1000 === 0) onProgress(rows, request.matches.length)
    }
    if (segment.nextIndex >= until) break
  }
  await Promise.all(Object.values(streams).map((stream) => stream.end()))
  onProgress(rows, request.matches.length)
  return { rows, erased }
}

async function hashFiles(
  folder: BundleFiles,
  names: readonly string[],
): Promise<{ name: string; sha256: string; sizeBytes: number }[]> {
  const hashed: { name: string; sha256: string; sizeBytes: number }[] = []
  for (const name of names) {
    const hash = createHash('sha256')
    let sizeBytes = 0
    for await (const chunk of folder.read(name)) {
      hash.update(chunk)
      sizeBytes += chunk.length
    }
    hashed.push({ name, sha256: hash.digest('hex'), sizeBytes })
  }
  return hashed
}
