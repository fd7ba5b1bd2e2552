import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Keyring } from '../../ledger/keyring.ts'
import { openCommitted } from '../../ledger/ledger-reader.ts'
import type { LedgerStorage } from '../../ledger/ledger-storage.ts'
import type { PayloadStore } from '../../ledger/payload-store.ts'
import { rootKeyIdOf } from '../../ledger/payloads/sealed-payload.ts'
import { ownSubject } from '../../ledger/subject.ts'
import type { RecordedEvent } from '../../schemas/event/event.ts'
import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { argumentValues, classifyValue } from '../detectors/argument-values.ts'
import { Mentions } from './mentions.ts'

export interface SearchedLedger {
  readonly storage: LedgerStorage
  readonly payloads: PayloadStore
  readonly keyring: Pick<Keyring, 'openingKey' | 'subjectKeyId'>
}

export interface PersonalData {
  /** Leaves sealed under one of the keys, ascending. */
  readonly hits: number[]
  /** Hits by month of when they were recorded, `YYYY-MM`. */
  readonly months: ReadonlyMap<string, number>
  /** Leaves of Sealtrail's own whose sealed texts are about the subject, and their class. */
  readonly derived: ReadonlyMap<number, string>
  /** Leaves that were looked at. */
  readonly until: number
}

export type SearchProgress = (stage: string, done: number, total: number) => void

/** Shorter texts stand in too much to say who is meant. */
const minIdentifierChars = 3
const turnEvery = 256

/** What is looked for: everything under some keys, or single leaves. */
export interface Sought {
  readonly rootKeyIds: ReadonlySet<string>
  readonly leaves: ReadonlySet<number>
  /** False for one event: what else mentions its subject stays. */
  readonly mentions: boolean
}

/**
 * Goes over a log and finds what is sealed under the given keys, and what Sealtrail itself wrote about it: findings
 * with such an event as evidence, and findings, access and administration whose sealed texts hold an identifier of the
 * subject, or a value that nobody but the subject gave (detectors quote what was seen before).
 *
 * The payload headers decide, not the columnar store: what is found does not depend on a projection.
 */
export async function findPersonalData(
  ledger: SearchedLedger,
  logId: string,
  sought: Sought,
  onProgress: SearchProgress,
  signal?: AbortSignal,
): Promise<PersonalData> {
  const until = await ledger.storage.size(logId)
  const ownKeyId = ledger.keyring.subjectKeyId(logId, ownSubject)
  const hits: number[] = []
  const own: number[] = []
  const months = new Map<string, number>()
  const identifiers = new Set<string>()
  for await (const { index, leaf, payload } of sealedLeaves(ledger, logId, 0, until, signal)) {
    if (index % 10_000 === 0) onProgress('looking for what is stored', index, until)
    const rootKeyId = rootKeyIdOf(payload)
    if (rootKeyId === ownKeyId) own.push(index)
    if (!sought.rootKeyIds.has(rootKeyId) && !sought.leaves.has(index)) continue
    const { event } = open(ledger, logId, index, leaf, payload)
    hits.push(index)
    const month = event['time.recorded'].slice(0, 7)
    months.set(month, (months.get(month) ?? 0) + 1)
    if (sought.mentions) collectIdentifiers(event, identifiers)
  }
  const hit = new Set(hits)
  const derived = new Map<number, string>()
  const quoting = new Map<number, { class: string; values: string[] }>()
  const mentions = new Mentions(identifiers)
  for (const [at, index] of own.entries()) {
    if (at % turnEvery === 0) {
      onProgress('looking for what was written about it', at, own.length)
      await nextTurn()
      signal?.throwIfAborted()
    }
    const event = await openAt(ledger, logId, index)
    if (event === undefined) continue
    const about =
      event['finding.evidence']?.some((leaf) => hit.has(Number(leaf))) === true ||
      textsOf(event).some((text) => mentions.in(text))
    if (about) {
      derived.set(index, event['event.class'])
      continue
    }
    const values = quotedBy(event)
    if (values.length > 0) quoting.set(index, { class: event['event.class'], values })
  }
  const quoted = new Set([...quoting.values()].flatMap(({ values }) => values))
  if (quoted.size > 0 && hits.length > 0) {
    const search = { hit, quoted, ownKeyId, onProgress, signal }
    const onlyHis = await givenByNobodyElse(ledger, logId, until, search)
    for (const [index, finding] of quoting) {
      if (finding.values.some((value) => onlyHis.has(value))) derived.set(index, finding.class)
    }
  }
  return { hits, months, derived, until }
}

/** Leaves of [from, until) that are sealed under one of the keys, whether these still open anything or not. */
export async function leavesUnder(
  ledger: SearchedLedger,
  logId: string,
  rootKeyIds: ReadonlySet<string>,
  range: { readonly from: number; readonly until: number },
  signal?: AbortSignal,
): Promise<number[]> {
  const found: number[] = []
  if (rootKeyIds.size === 0) return found
  const { from, until } = range
  for await (const { index, payload } of sealedLeaves(ledger, logId, from, until, signal)) {
    if (rootKeyIds.has(rootKeyIdOf(payload))) found.push(index)
  }
  return found
}

/** Leaves of [from, until) that have a payload. */
async function* sealedLeaves(
  { storage, payloads }: SearchedLedger,
  logId: string,
  from: number,
  until: number,
  signal: AbortSignal | undefined,
): AsyncIterable<{ index: number; leaf: Uint8Array; payload: Uint8Array }> {
  for await (const segment of storage.readSegments(logId, from)) {
    signal?.throwIfAborted()
    const sealed = await payloads.getRange(logId, segment.fromIndex, segment.nextIndex)
    for (const [offset, leaf] of segment.leaves.entries()) {
      const payload = sealed[offset]
      const index = segment.fromIndex + offset
      if (index >= until) return
      if (payload !== undefined && index >= from) yield { index, leaf, payload }
    }
    await nextTurn()
  }
}

function open(
  { keyring }: SearchedLedger,
  logId: string,
  index: number,
  leaf: Uint8Array,
  payload: Uint8Array,
) {
  return openCommitted(logId, index, leaf, payload, (keyId) => keyring.openingKey(logId, keyId))
}

async function openAt(
  ledger: SearchedLedger,
  logId: string,
  index: number,
): Promise<RecordedEvent | undefined> {
  const payload = await ledger.payloads.get(logId, index)
  if (payload === undefined) return undefined
  for await (const segment of ledger.storage.readSegments(logId, index)) {
    const leaf = segment.leaves[index - segment.fromIndex]
    return leaf === undefined ? undefined : open(ledger, logId, index, leaf, payload).event
  }
  return undefined
}

function collectIdentifiers(event: RecordedEvent, identifiers: Set<string>): void {
  for (const text of [event['user.id'], event['user.name'], event['user.email']]) {
    if (text !== undefined && text.length >= minIdentifierChars) identifiers.add(text)
  }
}

/** Sealed texts of a leaf of Sealtrail's own. */
function textsOf(event: RecordedEvent): string[] {
  const texts: string[] = []
  collectTexts(event['finding.sentence'], texts)
  collectTexts(event['finding.explanation'], texts)
  collectTexts(event['admin.details'], texts)
  return texts
}

function collectTexts(value: JsonValue | undefined, texts: string[]): void {
  if (typeof value === 'string') texts.push(value)
  else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      texts.push(key)
      collectTexts(item, texts)
    }
  }
}

/** What a baseline may have learnt from an event: argument values, as they stand and as detectors class them. */
function valuesOf(event: RecordedEvent): string[] {
  return argumentValues(event['gen_ai.tool.call.arguments'])
    .flatMap(({ value }) => [value, classifyValue(value).key])
    .filter((value) => value.length >= minIdentifierChars)
    .map((value) => value.slice(0, 200))
}

/** Values that a finding quotes, at the length at which {@link valuesOf} compares. */
function quotedBy(event: RecordedEvent): string[] {
  const texts: string[] = []
  collectTexts(event['finding.explanation'], texts)
  return texts.flatMap((text) => [text, ...text.split(', ')]).map((text) => text.slice(0, 200))
}

/**
 * Of some quoted values those that the subject gave and nobody else. Bounded by what is quoted, however much the subject
 * sent.
 */
async function givenByNobodyElse(
  ledger: SearchedLedger,
  logId: string,
  until: number,
  search: {
    readonly hit: ReadonlySet<number>
    readonly quoted: ReadonlySet<string>
    readonly ownKeyId: string
    readonly onProgress: SearchProgress
    readonly signal: AbortSignal | undefined
  },
): Promise<ReadonlySet<string>> {
  const { hit, quoted, ownKeyId, onProgress, signal } = search
  const his = new Set<string>()
  const others = new Set<string>()
  for await (const { index, leaf, payload } of sealedLeaves(ledger, logId, 0, until, signal)) {
    if (index % 10_000 === 0) onProgress('looking for who gave what is quoted', index, until)
    if (rootKeyIdOf(payload) === ownKeyId) continue
    const { event } = open(ledger, logId, index, leaf, payload)
    const givers = hit.has(index) ? his : others
    for (const value of valuesOf(event)) if (quoted.has(value)) givers.add(value)
  }
  return new Set([...his].filter((value) => !others.has(value)))
}
