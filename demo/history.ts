import type { SourceEvent } from '../schemas/event/event.ts'
import { timestampFromMs } from '../schemas/event/timestamp.ts'
import { eventOf, habits, type Random, seededRandom } from './habits.ts'

export interface HistoryOptions {
  readonly days: number
  /** The history ends here, Unix milliseconds. */
  readonly untilMs: number
  /** Folder that paths in arguments lie in. */
  readonly workspace: string
  readonly seed: number
}

const dayMs = 86_400_000
const hourMs = 3_600_000

/** Days of ordinary work as imported native events, oldest first. The same options give the same events. */
export function* historyEvents(options: HistoryOptions): Iterable<SourceEvent> {
  const random = seededRandom(options.seed)
  const today = Math.floor(options.untilMs / dayMs) * dayMs
  for (let day = options.days; day >= 0; day--) {
    yield* eventsOfDay(today - day * dayMs, random, options)
  }
}

function eventsOfDay(startMs: number, random: Random, options: HistoryOptions): SourceEvent[] {
  const weekend = [0, 6].includes(new Date(startMs).getUTCDay())
  const events: { atMs: number; event: SourceEvent }[] = []
  for (const habit of habits) {
    const [from, until] = habit.hours
    const count = Math.round(habit.callsPerDay * (0.8 + 0.4 * random()) * (weekend ? 0.1 : 1))
    for (let i = 0; i < count; i++) {
      // The sum of two makes a hump in the middle of the hours rather than a plateau.
      const hour = from + ((until - from) * (random() + random())) / 2
      const atMs = Math.floor(startMs + hour * hourMs)
      const event = eventOf(habit, habit.args(random, options.workspace))
      const durationMs = Math.round(20 + 400 * random() ** 3)
      const failed = random() < 0.01
      const time = timestampFromMs(atMs)
      const day = new Date(startMs).toISOString().slice(0, 10)
      events.push({
        atMs,
        event: {
          ...event,
          imported: true,
          'time.occurred': time,
          'time.observed': time,
          'gen_ai.conversation.id': `${habit.agent}-${day}`,
          duration_ms: durationMs,
          ...(failed ? { 'outcome.status': 'tool_error', 'error.type': 'tool_error' } : {}),
        },
      })
    }
  }
  return events
    .filter(({ atMs }) => atMs < options.untilMs)
    .sort((a, b) => a.atMs - b.atMs)
    .map(({ event }) => event)
}
