import type { SourceRow } from '../../schemas/api/sources.ts'

const looks: Readonly<
  Record<SourceRow['state'], { readonly style: string; readonly means: string }>
> = {
  active: { style: 'bg-ok-soft text-ok', means: 'heard within five minutes, or a stream is open' },
  silent: {
    style: 'bg-bad-soft text-bad',
    means: 'a collector opened a stream, did not close it, and is not heard any more',
  },
  idle: { style: 'bg-raised text-muted', means: 'nothing lately, and no stream is open' },
  never: { style: 'bg-raised text-muted', means: 'nothing came yet' },
  revoked: { style: 'bg-raised text-muted', means: 'its key is refused' },
}

/** How a source is, as a word; what the word means stands in its title. */
export function SourceStateChip({ state }: { state: SourceRow['state'] }) {
  const { style, means } = looks[state]
  return (
    <span className={`chip ${style}`} title={means}>
      {state === 'never' ? 'never heard' : state}
    </span>
  )
}
