import type { LedgerAppender } from '../../ledger/ledger-appender.ts'
import { systemLogId } from '../../ledger/log-id.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import { timestampFromMs } from '../../schemas/event/timestamp.ts'
import { actorOf, type Principal } from './principal.ts'

const coalesceMs = 10 * 60_000
const maxRemembered = 10_000

/**
 * Reading is on the record, in the log that was read. Views are coalesced to one leaf an actor and screen in ten
 * minutes; payload opens and exports stand singly and fail closed: without a leaf there is no answer. Figures of the
 * system itself (integrity, list of sources) hold no record, and must be answered while nothing can be written: they are
 * not on it.
 */
export class AccessLog {
  private readonly appender: LedgerAppender
  private readonly clock: () => number
  private readonly recent = new Map<string, { atMs: number; durable: Promise<void> }>()

  constructor(appender: LedgerAppender, clock: () => number) {
    this.appender = appender
    this.clock = clock
  }

  /** One leaf for a screen, at most every ten minutes. Resolves when it is durable, or at once when coalesced. */
  async viewed(principal: Principal, logId: string, screen: string): Promise<void> {
    await this.once(principal, logId, 'view', screen)
  }

  /** One leaf for an opened payload. Reloading the same event within ten minutes is the same opening. */
  async opened(principal: Principal, logId: string, eventId: string): Promise<void> {
    await this.once(principal, logId, 'payload.open', eventId)
  }

  /**
   * One leaf for refused sign-ins at an account, at most every ten minutes: whoever guesses fills no log. A name that
   * nobody has is not put down, because it may be a password in the wrong field.
   */
  async refused(userId: string | undefined): Promise<void> {
    await this.once(undefined, systemLogId, 'sign_in.refused', userId ?? 'unknown')
  }

  private async once(
    principal: Principal | undefined,
    logId: string,
    action: string,
    target: string,
  ): Promise<void> {
    const now = this.clock()
    const key = JSON.stringify([principal && actorOf(principal), logId, action, target])
    const last = this.recent.get(key)
    if (last !== undefined && now - last.atMs < coalesceMs) return last.durable
    const durable = this.appender
      .append(logId, [accessEvent(principal, action, target, now)])
      .then(() => undefined)
    if (this.recent.size >= maxRemembered) this.recent.clear()
    // Before it is durable: a screen asks for rows, histogram and facets at once, and each waits for the same leaf.
    this.recent.set(key, { atMs: now, durable })
    try {
      await durable
    } catch (error) {
      if (this.recent.get(key)?.durable === durable) this.recent.delete(key)
      throw error
    }
  }
}

/** An event of class `access`: who read what; `nobody` is who was not let in. */
export function accessEvent(
  principal: Principal | undefined,
  action: string,
  target: string,
  nowMs: number,
): ObservedEvent {
  const now = timestampFromMs(nowMs)
  return {
    'event.class': 'access',
    'record.disposition': 'mapped',
    'source.id': 'sealtrail',
    'time.occurred': now,
    'time.observed': now,
    'admin.action': action,
    'admin.target': target,
    'admin.actor': principal === undefined ? 'nobody' : actorOf(principal),
  }
}
