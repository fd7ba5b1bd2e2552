import type { Subject } from '../schemas/erasure.ts'
import type { EventFields } from '../schemas/event/event.ts'

/** Whose data an event is: (issuer, sub), else the e-mail address, else the source. */
export function subjectOf(event: EventFields): string {
  const id = event['user.id']
  if (id !== undefined) return JSON.stringify(['sub', event['user.issuer'] ?? '', id])
  const email = event['user.email']
  if (email !== undefined) return JSON.stringify(['email', email.toLowerCase()])
  return JSON.stringify(['source', event['source.id'] ?? 'sealtrail'])
}

/** Name of a subject in the keyring, as {@link subjectOf} gives it for its events. */
export function subjectName(subject: Subject): string {
  switch (subject.kind) {
    case 'user':
      return JSON.stringify(['sub', subject.issuer, subject.id])
    case 'email':
      return JSON.stringify(['email', subject.email.toLowerCase()])
    case 'source':
      return JSON.stringify(['source', subject.id])
  }
}

/** The subject of what Sealtrail itself puts on the record. Its key is never destroyed. */
export const ownSubject = subjectName({ kind: 'source', id: 'sealtrail' })
