import type { CommittedLeaf } from '../../ledger/committed.ts'
import type { AdministrationRow } from '../../schemas/api/users.ts'
import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'

/** Details that may be read, in the order of the sentence. Everything else may be a secret, or the hash of one. */
const readable = [
  'name',
  'role',
  'logId',
  'method',
  'totpRoles',
  'expiresAt',
  'overlapUntil',
] as const
const labels: Readonly<Record<(typeof readable)[number], string>> = {
  name: 'name',
  role: 'role',
  logId: 'log',
  method: 'by',
  totpRoles: 'second factor for',
  expiresAt: 'expires',
  overlapUntil: 'the former key works until',
}

/** A leaf of `_system` as auditors read it; undefined for one that is neither administration nor access. */
export function administrationRow(
  { index, event }: CommittedLeaf,
  nameOf: (id: string) => string | undefined,
): AdministrationRow | undefined {
  const kind = event['event.class']
  if (kind !== 'admin' && kind !== 'access') return undefined
  const actor = event['admin.actor'] ?? ''
  const target = event['admin.target'] ?? ''
  return {
    leafIndex: index,
    eventId: event['event.id'],
    recordedAt: event['time.recorded'],
    class: kind,
    action: event['admin.action'] ?? '',
    actor,
    actorName: nameOf(actor.replace(/^user:/, '')) ?? null,
    target,
    targetName: nameOf(target) ?? null,
    change: changeOf(event['admin.details']),
  }
}

function changeOf(details: JsonValue | undefined): string {
  if (typeof details !== 'object' || details === null) return ''
  const given = new Map(Object.entries(details))
  return readable
    .flatMap((key) => {
      const text = textOf(given.get(key))
      return text === '' ? [] : [`${labels[key]}: ${text}`]
    })
    .join(', ')
}

function textOf(value: JsonValue | undefined): string {
  if (Array.isArray(value)) return value.length === 0 ? 'nobody' : value.map(String).join(', ')
  return typeof value === 'string' ? value : ''
}
