import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { ErasedList } from '../../ledger/backup/erased-list.ts'
import type { CommitObserver } from '../../ledger/committed.ts'
import type { Control } from '../../ledger/control/control.ts'
import type { Erasure } from '../../ledger/control/system-state.ts'
import { fromErasureEvent, toErasureEvent } from '../../ledger/erasure-leaf.ts'
import type { Keyring } from '../../ledger/keyring.ts'
import type { LedgerAppender } from '../../ledger/ledger-appender.ts'
import type { LedgerStorage } from '../../ledger/ledger-storage.ts'
import type { PayloadStore } from '../../ledger/payload-store.ts'
import { rootKeyIdOf } from '../../ledger/payloads/sealed-payload.ts'
import { ownSubject, subjectName } from '../../ledger/subject.ts'
import type { ErasurePreview } from '../../schemas/api/erasures.ts'
import type { ErasureException, ErasureGround, Subject } from '../../schemas/erasure.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import { timestampFromMs } from '../../schemas/event/timestamp.ts'
import {
  findPersonalData,
  leavesUnder,
  type PersonalData,
  type SearchProgress,
  type Sought,
} from './find-personal-data.ts'

export interface EraserParts {
  readonly storage: LedgerStorage
  readonly payloads: PayloadStore
  readonly keyring: Keyring
  readonly control: Control
  readonly appender: LedgerAppender
  readonly clock: () => number
  readonly logger: Logger
}

/** Places beside the ledger, wired in cli/: each row of the register of derived data that says `eraser` is one of them. */
export interface DerivedPlaces {
  /** The fold stands still until the returned function is called, and then begins anew, or goes on. */
  holdFold(logId: string): Promise<(anew: boolean) => Promise<void>>
  /** Nothing is compared with the ledger until the returned function is called. */
  holdReconciliation(): Promise<() => void>
  waitUntilIndexed(logId: string, treeSize: number, timeoutMs: number): Promise<boolean>
  /** Resolves when the calls that the fold emitted are in the table. */
  callsDrained(logId: string): Promise<void>
  eraseRows(logId: string, leafIndexes: readonly number[]): Promise<void>
  /** Bundles that wait to be fetched. */
  discardExports(): Promise<void>
}

/** What is to be erased of a log. */
export type LogTarget =
  | { readonly kind: 'subject'; readonly subjects: readonly Subject[] }
  | { readonly kind: 'event'; readonly leafIndex: number }

export interface ErasureOrder {
  readonly logId: string
  readonly target: LogTarget
  readonly ground: ErasureGround
  readonly reference?: string | undefined
  readonly approver?: string | undefined
  readonly actor: string
}

const retryMs = 60_000
const projectionTimeoutMs = 60_000

/**
 * Carries out erasures, one at a time. First the order is on the record of the `_system` log, with everything that
 * carrying it out needs; then a leaf of the log says what goes, and in the same moment the keys open nothing any more;
 * then every derived place is cleaned; at last the order is marked as complete. What a crash cuts off is done again, as a
 * whole: each step may be repeated.
 */
export class Eraser {
  /**
   * Give this to the sequencer: keys that an erasure names are dead before the next leaf is sealed, so that what comes
   * after the leaf is sealed under new ones.
   */
  readonly observe: CommitObserver = (segment) => {
    for (const { event } of segment.leaves) {
      const erasure = fromErasureEvent(event)
      if (erasure === undefined) continue
      this.parts.keyring.destroyKeys(segment.logId, erasure.keyIds).catch((error: unknown) => {
        this.parts.logger.error({ err: error, erasure: erasure.id }, 'keys were not destroyed')
      })
    }
  }
  private readonly parts: EraserParts
  private places: DerivedPlaces | undefined
  private turn: Promise<unknown> = Promise.resolve()
  private timer: NodeJS.Timeout | undefined
  private readonly closing = new AbortController()

  constructor(parts: EraserParts) {
    this.parts = parts
  }

  /**
   * Destroys what unfinished erasures name, before anything reads the ledger. A restored keyring, which is older than an
   * erasure, loses its keys here too.
   *
   * @returns whether one is unfinished: what was learnt before it must not be taken over
   */
  async settle(): Promise<boolean> {
    const { control, keyring } = this.parts
    for (const erasure of control.erasures()) {
      const { request, completed } = erasure
      if (!('keyIds' in request)) continue
      if (completed === undefined) await this.endKeys(erasure)
      else await keyring.destroyKeys(request.logId, request.keyIds)
    }
    return this.unfinished().length > 0
  }

  /** Begins to carry out what is unfinished, and tries again each minute what failed. */
  start(places: DerivedPlaces): void {
    this.places = places
    const resume = () => {
      for (const erasure of this.unfinished()) {
        void this.exclusive(() => this.resume(erasure)).catch((error: unknown) => {
          if (this.closing.signal.aborted) return
          this.parts.logger.warn({ err: error, erasure: erasure.id }, 'an erasure is tried again')
        })
      }
    }
    resume()
    this.timer = setInterval(resume, retryMs).unref()
  }

  async stop(): Promise<void> {
    this.closing.abort()
    clearInterval(this.timer)
    await this.turn.catch(() => undefined)
  }

  /**
   * What an erasure would hit. Changes nothing.
   *
   * @throws SealtrailError `PERMISSION_DENIED` for Sealtrail's own record, `NOT_FOUND` when nothing is stored
   */
  async preview(
    logId: string,
    target: LogTarget,
    onProgress: SearchProgress,
    signal?: AbortSignal,
  ): Promise<ErasurePreview> {
    const found = await this.find(logId, target, onProgress, signal)
    const derived = new Map<string, number>()
    for (const each of found.derived.values()) derived.set(each, (derived.get(each) ?? 0) + 1)
    const byName = ([a]: [string, number], [b]: [string, number]) => (a < b ? -1 : 1)
    return {
      logId,
      events: found.hits.length,
      months: [...found.months].sort(byName).map(([month, events]) => ({ month, events })),
      derived: [...derived].sort(byName).map(([name, events]) => ({ class: name, events })),
    }
  }

  /**
   * Erases, and resolves when every place is clean.
   *
   * @throws SealtrailError `PERMISSION_DENIED`, `NOT_FOUND` before anything changed; `STORE_UNAVAILABLE` when a derived
   *   place could not be cleaned yet: the keys are destroyed, and it is tried again until it is clean
   */
  erase(
    order: ErasureOrder,
    onProgress: SearchProgress,
  ): Promise<{ id: string; leafIndex: number }> {
    return this.exclusive(() => this.eraseNow(order, onProgress))
  }

  /** Runs something while no erasure does: a copy of several files is of one moment. */
  standStill<T>(work: () => Promise<T>): Promise<T> {
    return this.exclusive(work)
  }

  /** Everything that was erased so far, for a restore of an older backup. */
  erasedList(): ErasedList {
    return {
      format: 'sealtrail-erased/v1',
      keys: [...this.parts.keyring.erasedKeys()],
      leaves: this.parts.control
        .erasures()
        .flatMap(({ request }) =>
          'keyIds' in request ? request.leaves.map((leaf) => ({ logId: request.logId, leaf })) : [],
        ),
    }
  }

  /** Puts a refused request on the record. @returns its id */
  refuse(
    logId: string,
    exception: ErasureException,
    reference: string,
    actor: string,
  ): Promise<string> {
    return this.parts.control.refuseErasure({ logId, exception, reference }, actor)
  }

  private async eraseNow(
    order: ErasureOrder,
    onProgress: SearchProgress,
  ): Promise<{ id: string; leafIndex: number }> {
    const { logId, target } = order
    // Held first: no finding about what goes comes after the search for them.
    const release = await this.derivedPlaces().holdFold(logId)
    let destroyed = false
    try {
      const found = await this.find(logId, target, onProgress, this.closing.signal)
      const shredded = target.kind === 'event' ? [target.leafIndex] : []
      const request = {
        logId,
        action: target.kind === 'event' ? ('shred' as const) : ('erase' as const),
        ground: order.ground,
        keyIds: target.kind === 'subject' ? [...this.soughtOf(logId, target).rootKeyIds] : [],
        leaves: [...new Set([...shredded, ...found.derived.keys()])].sort((a, b) => a - b),
        events: found.hits.length,
        ...(order.reference === undefined ? {} : { reference: order.reference }),
        ...(order.approver === undefined ? {} : { approver: order.approver }),
      }
      const id = await this.parts.control.createErasure(request, order.actor)
      const erasure = this.parts.control.erasures().find((each) => each.id === id)
      if (erasure === undefined) {
        throw new SealtrailError('INTERNAL', 'the new erasure is not in the fold')
      }
      const leafIndex = await this.destroy(erasure)
      destroyed = true
      await this.clean(erasure, leafIndex, found, onProgress, () => release(true))
      return { id, leafIndex }
    } finally {
      await release(destroyed)
    }
  }

  private async resume(erasure: Erasure): Promise<void> {
    if (!this.unfinished().some(({ id }) => id === erasure.id)) return
    const { logId } = erasure.request
    const release = await this.derivedPlaces().holdFold(logId)
    try {
      const recorded = await this.recorded(erasure)
      // The leaf is there, and what follows it may have failed: a full disk, or a payload that was not overwritten.
      if (recorded !== undefined) await this.endKeys(erasure)
      const leafIndex = recorded ?? (await this.destroy(erasure))
      const nothing = { hits: [], until: 0 }
      await this.clean(
        erasure,
        leafIndex,
        nothing,
        () => undefined,
        () => release(true),
      )
      this.parts.logger.info({ erasure: erasure.id }, 'an erasure that was cut off is complete')
    } finally {
      await release(true)
    }
  }

  /** Puts the leaf on the record, which ends the keys, and overwrites payloads. @returns index of the leaf */
  private async destroy(erasure: Erasure): Promise<number> {
    const { id, actor, request } = erasure
    if (!('keyIds' in request)) throw new SealtrailError('INTERNAL', 'a refusal erases nothing')
    const { logId, ...details } = request
    const now = timestampFromMs(this.parts.clock())
    const receipt = await this.parts.appender.append(logId, [
      toErasureEvent({ id, ...details }, actor, now),
    ])
    await this.endKeys(erasure)
    return receipt.leaves[0]?.first ?? 0
  }

  private async endKeys({ request }: Erasure): Promise<void> {
    if (!('keyIds' in request)) return
    await this.parts.keyring.destroyKeys(request.logId, request.keyIds)
    await this.shred(request.logId, request.leaves)
  }

  private async shred(logId: string, leaves: readonly number[]): Promise<void> {
    for (const index of leaves) await this.parts.payloads.shred(logId, index)
  }

  /** Cleans every derived place, and says so on the record. */
  private async clean(
    { id, request }: Erasure,
    leafIndex: number,
    found: Pick<PersonalData, 'hits' | 'until'>,
    onProgress: SearchProgress,
    releaseFold: () => Promise<void>,
  ): Promise<void> {
    if (!('keyIds' in request)) return
    const places = this.derivedPlaces()
    const { signal } = this.closing
    const { logId } = request
    const keys = new Set(request.keyIds)
    onProgress('cleaning the tables', 0, 2)
    const range = { from: found.until, until: leafIndex }
    const later = await leavesUnder(this.parts, logId, keys, range, signal)
    const leaves = [...new Set([...found.hits, ...later, ...request.leaves])].sort((a, b) => a - b)
    const continueComparing = await places.holdReconciliation()
    try {
      // Rows that were encoded before the keys went are on their way: they must be there to be cleaned.
      const drained = places.callsDrained(logId).then(() => true)
      const inTime = await Promise.all([
        places.waitUntilIndexed(logId, leafIndex + 1, projectionTimeoutMs),
        Promise.race([drained, sleep(projectionTimeoutMs, false, { signal, ref: false })]),
      ])
      await releaseFold()
      if (inTime.includes(false)) {
        throw new SealtrailError(
          'STORE_UNAVAILABLE',
          `the keys of erasure ${id} are destroyed; the tables have not caught up, and are cleaned as soon as they have`,
          { retryable: true },
        )
      }
      await places.eraseRows(logId, leaves)
    } finally {
      continueComparing()
    }
    onProgress('cleaning the tables', 1, 2)
    await places.discardExports()
    await this.parts.control.completeErasure(id, leafIndex)
    onProgress('cleaning the tables', 2, 2)
  }

  /** Index of the leaf that records an erasure, where a crash did not come before it. */
  private async recorded({ id, request }: Erasure): Promise<number | undefined> {
    const mark = Buffer.from(`"admin.target":"${id}"`)
    for await (const segment of this.parts.storage.readSegments(request.logId, 0)) {
      for (const [offset, leaf] of segment.leaves.entries()) {
        if (Buffer.from(leaf.buffer, leaf.byteOffset, leaf.byteLength).includes(mark))
          return segment.fromIndex + offset
      }
    }
    return undefined
  }

  private async find(
    logId: string,
    target: LogTarget,
    onProgress: SearchProgress,
    signal?: AbortSignal,
  ): Promise<PersonalData> {
    const own = this.parts.keyring.subjectKeyId(logId, ownSubject)
    const sought = this.soughtOf(logId, target)
    const payload =
      target.kind === 'event' ? await this.parts.payloads.get(logId, target.leafIndex) : undefined
    if (sought.rootKeyIds.has(own) || (payload !== undefined && rootKeyIdOf(payload) === own)) {
      throw new SealtrailError(
        'PERMISSION_DENIED',
        "this is Sealtrail's own record of who did what: it is kept for the duty to account for processing (GDPR Art. 17(3)(b))",
        { hint: 'Texts in it about an erased subject go with the erasure of that subject.' },
      )
    }
    const found = await findPersonalData(this.parts, logId, sought, onProgress, signal)
    if (found.hits.length > 0) return found
    throw new SealtrailError(
      'NOT_FOUND',
      target.kind === 'event'
        ? 'nothing sealed is stored of this event: it has no such content, or was erased before'
        : 'nothing is stored of this subject, or it was erased before',
      target.kind === 'event'
        ? {}
        : {
            hint: 'Events are stored by user id and issuer where they have them, else by e-mail address, else by source: open one to see which.',
          },
    )
  }

  private soughtOf(logId: string, target: LogTarget): Sought {
    if (target.kind === 'event')
      return { rootKeyIds: new Set(), leaves: new Set([target.leafIndex]), mentions: false }
    const names = target.subjects.map(subjectName)
    const rootKeyIds = new Set(names.map((name) => this.parts.keyring.subjectKeyId(logId, name)))
    return { rootKeyIds, leaves: new Set(), mentions: true }
  }

  private unfinished(): Erasure[] {
    return this.parts.control
      .erasures()
      .filter(({ request, completed }) => 'keyIds' in request && completed === undefined)
  }

  private derivedPlaces(): DerivedPlaces {
    if (this.places === undefined) {
      throw new SealtrailError('STORE_UNAVAILABLE', 'Sealtrail is still starting', {
        retryable: true,
      })
    }
    return this.places
  }

  private exclusive<T>(work: () => Promise<T>): Promise<T> {
    const next = this.turn.catch(() => undefined).then(work)
    this.turn = next.catch(() => undefined)
    return next
  }
}
