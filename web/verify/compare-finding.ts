import type { FindingDetail } from '../../schemas/api/findings.ts'
import type { EventFields } from '../../schemas/event/event.ts'
import { textOf, type WrongCell } from './compare-cells.ts'

/**
 * Compares everything that the page of a finding tells with the leaf of the finding: what it says, why, and which
 * events are its evidence.
 */
export function compareFinding(
  { finding, explanation, evidence }: FindingDetail,
  event: EventFields,
  /** Where the leaf is in the log. */
  leafIndex: number,
): readonly WrongCell[] {
  const recordedWhy = event['finding.explanation']
  const pairs: readonly (readonly [string, unknown, unknown])[] = [
    ['finding.id', finding.findingId, event['finding.id']],
    ['leaf index', finding.leafIndex, leafIndex],
    ['event.id', finding.eventId, event['event.id']],
    ['finding.detector', finding.detector, event['finding.detector']],
    ['finding.severity', finding.severity, event['finding.severity']],
    ['finding.p', finding.p, event['finding.p']],
    ['finding.sentence', finding.sentence, event['finding.sentence']],
    ['time.occurred', finding.occurredAt, event['time.occurred']],
    ['time.recorded', finding.recordedAt, event['time.recorded']],
    ['finding.explanation', explanation, recordedWhy],
    ['entity', finding.entity, partOf(recordedWhy, 'entity')],
    ['subject', finding.subject, partOf(recordedWhy, 'subject')],
    [
      'finding.evidence',
      inOrder(evidence.map(({ leafIndex }) => String(leafIndex))),
      event['finding.evidence'] === undefined ? undefined : inOrder(event['finding.evidence']),
    ],
  ]
  return pairs.flatMap(([field, shown, recorded]) => {
    const texts = {
      shown: textOf(shown),
      recorded: recorded === undefined ? undefined : textOf(recorded),
    }
    return texts.shown === texts.recorded ? [] : [{ field, ...texts }]
  })
}

/** The leaf names the event that fired first; the page shows its rows in the order of the log. */
function inOrder(leafIndexes: readonly string[]): string[] {
  return [...leafIndexes].sort((a, b) => Number(a) - Number(b))
}

function partOf(explanation: unknown, key: 'entity' | 'subject'): unknown {
  return typeof explanation === 'object' && explanation !== null
    ? Reflect.get(explanation, key)
    : undefined
}
