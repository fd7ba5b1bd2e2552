import type { EventDetail } from '../../schemas/api/event-detail.ts'
import { formatInstant } from '../format/instant.ts'
import { CopyButton } from './copy-button.tsx'
import { JsonView, LongText } from './json-view.tsx'

/** What the tool said of itself at the call. Written by the server, and read by the model: hostile like all of it. */
export function ToolDefinition({
  definition,
  recordedHash,
}: {
  definition: EventDetail['definition']
  /** Hash under which the leaf records the definition in force. */
  recordedHash: string | undefined
}) {
  if (definition === null) {
    return recordedHash === undefined ? (
      <p className="text-muted">
        The source did not say which definition of the tool was in force.
      </p>
    ) : (
      <p className="text-muted [overflow-wrap:anywhere]">
        The leaf records the definition with SHA-256{' '}
        <code className="font-mono">{recordedHash}</code>; its text is not on the record, or your
        role may not see it.
      </p>
    )
  }
  const parsed = parse(definition.json)
  const description =
    typeof parsed === 'object' && parsed !== null ? Reflect.get(parsed, 'description') : undefined
  return (
    <div className="space-y-4">
      <dl className="grid grid-cols-[6.5rem_minmax(0,1fr)] items-baseline gap-x-3 gap-y-1">
        <dt className="text-muted">First seen</dt>
        <dd className="font-mono text-xs">{formatInstant(definition.firstSeenAt)} UTC</dd>
        <dt className="text-muted">SHA-256</dt>
        <dd className="flex min-w-0 items-center gap-1 font-mono text-xs">
          <span className="truncate">{definition.hash}</span>
          <CopyButton text={definition.hash} label="Copy hash" />
        </dd>
      </dl>
      {typeof description === 'string' && (
        <section>
          <h3 className="label mb-1.5">Description, as the model reads it</h3>
          <p className="rounded-md border border-line bg-bg p-3">
            <LongText text={description} />
          </p>
        </section>
      )}
      <section>
        <h3 className="label mb-1.5">Definition in force at the call</h3>
        <JsonView value={parsed} />
      </section>
    </div>
  )
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return json
  }
}
