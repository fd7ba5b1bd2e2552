import { JsonView } from './json-view.tsx'

const captures: Readonly<Record<string, string>> = {
  redacted: 'Secrets in it were replaced before it was stored.',
  truncated: 'Only the beginning was kept; the leaf commits to the hash of the whole.',
  hash_only: 'Only its hash was kept.',
}

/** Arguments or result as far as they were captured and may be seen. */
export function CapturedValue(props: {
  value: unknown
  capture: string | undefined
  sizeBytes: number | undefined
  redactions: unknown
  withheld: 'erased' | 'not_permitted' | undefined
  what: 'arguments' | 'result'
  onFilter: ((term: string) => void) | undefined
}) {
  const { value, capture, sizeBytes, withheld, what } = props
  if (value === undefined) {
    return <p className="text-muted">{absence(capture, withheld, what)}</p>
  }
  const note = capture === undefined ? undefined : captures[capture]
  return (
    <div className="space-y-3">
      {note !== undefined && (
        <p className="rounded-md bg-warn-soft px-3 py-2 text-warn">
          {note}
          {sizeBytes !== undefined && ` Full size ${sizeBytes.toLocaleString('en')} bytes.`}
        </p>
      )}
      <JsonView
        value={value}
        root={what === 'arguments' ? 'args' : 'result'}
        onFilter={props.onFilter}
      />
      {Array.isArray(props.redactions) && props.redactions.length > 0 && (
        <section>
          <h3 className="label mb-1.5">What was replaced</h3>
          <JsonView value={props.redactions} />
        </section>
      )}
    </div>
  )
}

function absence(
  capture: string | undefined,
  withheld: 'erased' | 'not_permitted' | undefined,
  what: string,
): string {
  if (withheld === 'erased')
    return `The ${what} were erased. The leaf still proves that they existed, and no longer what they were.`
  if (withheld === 'not_permitted')
    return `Your role may not see ${what}. Ask an administrator for the role analyst or auditor.`
  if (capture === 'absent') return `The call had no ${what}.`
  return `The source did not report the ${what}.`
}
