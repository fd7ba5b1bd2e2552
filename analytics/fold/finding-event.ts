import type { ObservedEvent, RecordedEvent } from '../../schemas/event/event.ts'
import { Explanation, type Finding } from '../../schemas/finding.ts'

/** A finding as the event that puts it on the record. */
export function toFindingEvent(finding: Finding, observedAt: string): ObservedEvent {
  return {
    'event.class': 'finding',
    'record.disposition': 'mapped',
    'source.id': 'sealtrail',
    'time.occurred': finding.occurredAt,
    'time.observed': observedAt,
    'finding.id': finding.id,
    'finding.detector': finding.detector,
    'finding.severity': finding.severity,
    'finding.p': finding.p,
    'finding.evidence': finding.evidence.map(String),
    'finding.sentence': finding.sentence,
    'finding.explanation': finding.explanation,
  }
}

/** The finding that an event of class `finding` holds; undefined when its sealed part is gone. */
export function fromFindingEvent(event: RecordedEvent): Finding | undefined {
  const {
    'finding.id': id,
    'finding.detector': detector,
    'finding.severity': severity,
    'finding.p': p,
    'finding.evidence': evidence,
    'finding.sentence': sentence,
  } = event
  const explanation = Explanation.safeParse(event['finding.explanation'])
  if (
    id === undefined ||
    detector === undefined ||
    severity === undefined ||
    p === undefined ||
    evidence === undefined ||
    sentence === undefined ||
    !explanation.success
  ) {
    return undefined
  }
  return {
    id,
    logId: event['log.id'],
    detector,
    severity,
    p,
    evidence: evidence.map(Number),
    occurredAt: event['time.occurred'],
    sentence,
    explanation: explanation.data,
  }
}
