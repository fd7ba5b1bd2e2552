import { ConsistencyReply, EventDetail } from '../../schemas/api/event-detail.ts'
import type { EventRow } from '../../schemas/api/search.ts'
import { readCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import { request } from '../api/request.ts'
import { sha256, verifyEd25519 } from './browser-crypto.ts'
import type { Check } from './check.ts'
import { followPinnedKey } from './follow-key.ts'
import { rememberedLog, rememberLog } from './remembered-logs.ts'
import { checkKey, type Remembered, verifyCheckpoint } from './verify-checkpoint.ts'
import { type CompareMore, type Verification, verifyEvidence } from './verify-evidence.ts'

/** An event with its evidence, and what is needed to compare it with what this browser saw before. */
export interface LoadedEvent {
  readonly detail: EventDetail
  readonly remembered: Remembered | undefined
  readonly consistency: readonly string[] | undefined
}

/** The row of the list that was opened, and whether it stands for one leaf or for a whole call. */
export interface ListedRow {
  readonly row: EventRow
  readonly of: 'leaf' | 'call'
}

/** Fetches an event with its evidence. Nothing is verified yet. */
export async function loadEvent(eventId: string, signal: AbortSignal): Promise<LoadedEvent> {
  const path = `/api/v1/events/${encodeURIComponent(eventId)}`
  const detail = await request(EventDetail, path, { signal })
  const { logId, inclusion, verifierKey } = detail.evidence
  const remembered = await followPinnedKey(logId, rememberedLog(logId), verifierKey, signal)
  const consistency = await consistencyWith(logId, inclusion?.treeSize, remembered, signal)
  return { detail, remembered, consistency }
}

/** Verifies a loaded event in this browser, also against the row that the list already shows. */
export function verifyLoaded(
  eventId: string,
  { detail, remembered, consistency }: LoadedEvent,
  listed: ListedRow | undefined,
  compareMore: CompareMore | undefined,
): Verification {
  // A call of one observation is that leaf, and has no other to bring what it does not say.
  const isLeaf = listed?.of === 'leaf' || detail.observations.length <= 1
  return verifyEvidence({
    eventId,
    evidence: detail.evidence,
    rows: listed !== undefined && isLeaf ? [detail.row, listed.row] : [detail.row],
    callRow: isLeaf ? undefined : listed?.row,
    ...(compareMore === undefined ? {} : { compareMore }),
    definition: detail.definition,
    remembered,
    consistency,
    digest: sha256,
    ed25519: verifyEd25519,
  })
}

/** Remembers the checkpoint of an event whose checks did not fail. */
export function rememberVerified({ detail }: LoadedEvent, { state }: Verification): void {
  const { evidence } = detail
  if (state === 'failed' || evidence.inclusion === null) return
  rememberLog(evidence.logId, evidence.verifierKey, evidence.inclusion.checkpoint)
}

/** Verifies the newest checkpoint of a log against what this browser remembers of it. */
export async function checkNewestCheckpoint(
  logId: string,
  verifierKey: string,
  note: string,
  signal: AbortSignal,
): Promise<readonly Check[]> {
  const remembered = await followPinnedKey(logId, rememberedLog(logId), verifierKey, signal)
  const { checks } = verifyCheckpoint({
    verifierKey,
    note,
    remembered,
    consistency: await consistencyWith(logId, readCheckpoint(note).size, remembered, signal),
    digest: sha256,
    ed25519: verifyEd25519,
  })
  const all = [checkKey(verifierKey, remembered), ...checks]
  if (all.every(({ state }) => state === 'passed')) rememberLog(logId, verifierKey, note)
  return all
}

/** A server that cannot give the proof does not continue what was seen: that is what the check then says. */
async function consistencyWith(
  logId: string,
  size: number | undefined,
  remembered: Remembered | undefined,
  signal: AbortSignal,
): Promise<readonly string[] | undefined> {
  if (remembered === undefined || size === undefined || size === remembered.size) return undefined
  const params = {
    log: logId,
    old: Math.min(size, remembered.size),
    new: Math.max(size, remembered.size),
  }
  return request(ConsistencyReply, '/api/v1/consistency', { params, signal }).then(
    (reply) => reply.hashes,
    () => undefined,
  )
}
