import { setImmediate as nextTurn } from 'node:timers/promises'
import type { CommittedLeaf } from '../../ledger/committed.ts'
import type { RedactionPreview } from '../../schemas/api/redaction.ts'
import type { RecordedEvent } from '../../schemas/event/event.ts'

/** One value that a policy would replace or hint at. */
export interface InspectedValue {
  readonly path: string
  readonly rule: string
  readonly action: string
}

const maxExamplesOfRule = 5
const maxExamples = 200
/** Opened and searched before whoever waits for an answer gets his turn. */
const eventsATurn = 16

/** What a policy finds in stored events. Reads only; events whose sealed part was erased are passed over. */
export async function previewRedaction(
  reader: {
    readOne(
      logId: string,
      index: number,
    ): Promise<Pick<CommittedLeaf, 'event' | 'opened'> | undefined>
  },
  logId: string,
  leafIndexes: readonly number[],
  inspect: (event: RecordedEvent) => readonly InspectedValue[],
): Promise<RedactionPreview> {
  const counts = new Map<string, { rule: string; action: string; values: number; events: number }>()
  const examples: RedactionPreview['examples'] = []
  let events = 0
  let changed = 0
  for (const [turn, index] of leafIndexes.entries()) {
    if (turn % eventsATurn === eventsATurn - 1) await nextTurn()
    const leaf = await reader.readOne(logId, index)
    if (leaf === undefined || leaf.opened === 'erased') continue
    events++
    const found = inspect(leaf.event)
    if (found.some(({ action }) => action !== 'hint')) changed++
    const counted = new Set<string>()
    for (const { path, rule, action } of found) {
      const key = `${rule} ${action}`
      const count = counts.get(key) ?? { rule, action, values: 0, events: 0 }
      counts.set(key, count)
      count.values++
      if (!counted.has(key)) count.events++
      counted.add(key)
      if (count.values <= maxExamplesOfRule && examples.length < maxExamples) {
        examples.push({ eventId: leaf.event['event.id'], path, rule, action })
      }
    }
  }
  return {
    events,
    changed,
    counts: [...counts.values()].sort((a, b) => b.values - a.values || (a.rule < b.rule ? -1 : 1)),
    examples,
  }
}
