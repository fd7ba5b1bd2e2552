import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeEvidenceBundle } from '../../analytics/reports/evidence-bundle.ts'
import type { Erasure } from '../../ledger/control/system-state.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { base64, hex, utf8 } from '../../schemas/bytes.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import { type SealedGroup, sealedGroups } from '../../schemas/event/fields.ts'
import { timestampFromMs } from '../../schemas/event/timestamp.ts'
import { canonicalJson, type JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { inclusionProof, rangeProof } from '../../schemas/tlog/merkle.ts'
import { formatTlogProof } from '../../schemas/tlog/tlog-proof.ts'
import { aToolCall, type openEmbeddedLedger } from '../fixtures/embedded-ledger.ts'

/** Texts that a spreadsheet would run, or that break lines, quotes, encodings or JSON readers. */
export const hostileTexts = [
  '=HYPERLINK("http://evil.example","x")',
  '+1+cmd|calc',
  '-2+3',
  '@SUM(A1:A9)',
  '\t=1+1',
  '\uff1d1+1',
  '\uff0b1',
  '\uff0d1',
  '\uff20x',
  'first\n=second',
  'first\r\n+second',
  'quote " comma , \u2028 \u202e end',
  '\ud83d\ude00 {"leaf_index":1}',
] as const

/** Event number `i`: every third one of another class, some with hostile texts, every tenth of a user to erase. */
export function mixedEvent(i: number): ObservedEvent {
  const user = i % 10 === 7 ? 'u-erased' : `u-${i % 5}`
  const hostile = hostileTexts[i % hostileTexts.length] ?? ''
  const common: Partial<ObservedEvent> = {
    'request.id': `r-${i}`,
    'user.id': user,
    'user.name': hostile,
    'client.address': '10.0.0.1',
    'time.occurred': `2026-11-24T11:${String(i % 60).padStart(2, '0')}:00.000000000Z`,
  }
  if (i % 3 === 0) {
    return aToolCall({
      ...common,
      'event.class': 'scope_elevation',
      'auth.scopes.requested': ['repo:write', hostile || 'x'],
      'outcome.reason': `${hostile} \u0000 end`,
    })
  }
  if (i % 3 === 1) {
    // Parsed, because a literal would set the prototype: what a sender writes is a key like any other.
    const hidden: unknown = JSON.parse(`{"__proto__":{"n":${i}},"constructor":[1e21,-0,0.1]}`)
    return aToolCall({
      ...common,
      'gen_ai.tool.call.arguments': Object.assign(Object.create(null), {
        text: hostile,
        ...asRecord(hidden),
      }),
      'gen_ai.tool.call.result': { content: [{ type: 'text', text: hostile.repeat(20) }] },
    })
  }
  return aToolCall({ ...common, 'error.message': hostile, 'raw.record': `{"text":"${i}"}` })
}

function asRecord(value: unknown): object {
  return typeof value === 'object' && value !== null ? value : {}
}

/**
 * What the operator of the log could do: makes another `export` leaf for a bundle, signs it, and makes everything else
 * of the bundle fit.
 */
export async function exportAgain(
  ledger: EmbeddedLedger,
  directory: string,
  alter: { statement?: Record<string, JsonValue>; event?: Partial<ObservedEvent> },
): Promise<void> {
  const read = async (name: string): Promise<Record<string, JsonValue>> =>
    JSON.parse(await readFile(join(directory, name), 'utf8'))
  const write = (name: string, bytes: string | Uint8Array) =>
    writeFile(join(directory, name), bytes)
  const statement = { ...(await read('export.statement.json')), ...alter.statement }
  const commitment = hex(sha256(utf8(canonicalJson(statement))))
  const now = timestampFromMs(ledger.clock.nowMs)
  const receipt = await ledger.sequencer.append('main', [
    {
      'event.class': 'access',
      'record.disposition': 'mapped',
      'source.id': 'sealtrail',
      'time.occurred': now,
      'time.observed': now,
      'admin.action': 'export',
      'admin.commitment': commitment,
      ...alter.event,
    },
  ])
  const exportLeaf = receipt.leaves[0]?.first ?? -1
  await ledger.sequencer.publishCheckpoints()
  const size = (await ledger.storage.checkpointSizes('main')).at(-1) ?? 0
  const checkpoint = (await ledger.storage.readCheckpoint('main', size)) ?? ''
  const tree = ledger.sequencer.tree('main')
  const proofOf = (index: number) =>
    formatTlogProof({ index, hashes: inclusionProof(tree, sha256, index, size), checkpoint })
  const { firstLeaf, untilLeaf } = statement
  const [from, until] = [Number(firstLeaf), Number(untilLeaf)]
  const hashes = rangeProof(tree, from, until, size).map(base64)
  for await (const segment of ledger.storage.readSegments('main', exportLeaf)) {
    await write('export.leaf', segment.leaves[exportLeaf - segment.fromIndex] ?? '')
    break
  }
  await write('export.statement.json', canonicalJson(statement))
  await write('export.tlog-proof', proofOf(exportLeaf))
  await write('checkpoint', checkpoint)
  await write('range-proof.json', `${canonicalJson({ from, until, size, hashes })}\n`)
  const names = await readdir(directory)
  for (const name of names) {
    const index = /^proofs-(\d+)\.tlog-proof$/.exec(name)?.[1]
    if (index !== undefined) await write(name, proofOf(Number(index)))
  }
  const files: JsonValue[] = []
  for (const name of names) {
    if (['manifest.json', 'verify.mjs', 'VERIFY.md'].includes(name)) continue
    const bytes = await readFile(join(directory, name))
    files.push({ name, sha256: hex(sha256(bytes)), sizeBytes: bytes.length })
  }
  const manifest = { ...(await read('manifest.json')), commitment, exportLeaf, files }
  await write('manifest.json', `${canonicalJson(manifest)}\n`)
}

type EmbeddedLedger = Awaited<ReturnType<typeof openEmbeddedLedger>>

export interface WrittenBundle {
  readonly directory: string
  readonly files: readonly string[]
  readonly rows: number
  readonly exportLeaf: number
  readonly vkey: string
}

/** Writes a bundle of these leaves of log `main` with the parts of the fixture. */
export async function writeBundle(
  ledger: EmbeddedLedger,
  directory: string,
  matches: readonly number[],
  groups: ReadonlySet<SealedGroup> = new Set(sealedGroups),
  erasures: readonly Erasure[] = [],
): Promise<WrittenBundle> {
  const written = await writeEvidenceBundle(
    {
      storage: ledger.storage,
      payloads: ledger.payloads,
      keyring: ledger.keyring,
      reader: ledger.reader,
      signer: ledger.signer,
      appender: ledger.sequencer,
      clock: () => ledger.clock.nowMs,
      version: '0.0.0-test',
      control: { erasures: () => erasures },
      tree: (logId) => ledger.sequencer.tree(logId),
      publishCheckpoints: () => ledger.sequencer.publishCheckpoints(),
      anchoring: (logId) => ledger.anchors?.coverage(logId) ?? { cosigned: null },
      settleAnchors: async (logId, timeoutMs) => ledger.anchors?.settle(logId, timeoutMs),
    },
    {
      logId: 'main',
      q: 'tool:read_file "and a \\"quote\\""',
      from: '2026-11-01T00:00:00.000000000Z',
      until: '2026-12-01T00:00:00.000000000Z',
      matches,
      groups,
      actor: 'operator',
    },
    directory,
    () => undefined,
  )
  return { ...written, directory, vkey: await ledger.signer.verifierKey('main') }
}
