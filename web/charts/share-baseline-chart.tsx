import type { Baseline } from '../../schemas/finding.ts'
import { HostileText } from '../components/hostile-text.tsx'

/** How often each known value was seen, and the observed one among them. Bars as a list: readable without sight. */
export function ShareBaselineChart({
  baseline,
}: {
  baseline: Extract<Baseline, { kind: 'share' }>
}) {
  const total = baseline.otherCount + baseline.values.reduce((sum, { count }) => sum + count, 0)
  const most = Math.max(1, baseline.otherCount, ...baseline.values.map(({ count }) => count))
  const known = baseline.values.find(({ label }) => label === baseline.observed)
  const rows = [
    { label: baseline.observed, count: known?.count ?? 0, kind: 'observed' as const },
    ...baseline.values
      .filter((each) => each !== known)
      .map((each) => ({ ...each, kind: 'known' as const })),
    ...(baseline.otherCount > 0
      ? [{ label: 'all other values', count: baseline.otherCount, kind: 'other' as const }]
      : []),
  ]
  return (
    <>
      <ul className="space-y-1" aria-label="Observed value against the baseline">
        {rows.map(({ label, count, kind }) => {
          const observed = kind === 'observed'
          return (
            <li
              key={`${kind}-${label}`}
              className={`grid grid-cols-[minmax(0,13rem)_minmax(3rem,1fr)_8.5rem] items-center gap-3 max-sm:grid-cols-[minmax(0,1fr)_2.5rem_7.5rem] ${observed ? 'mb-2 border-b border-line pb-2' : ''}`}
            >
              <span
                className={`truncate text-right font-mono text-xs ${observed ? 'font-bold text-bad' : kind === 'other' ? 'italic text-muted' : ''}`}
                title={label.slice(0, 200)}
              >
                <HostileText text={label} limit={120} />
              </span>
              <span className={`relative block h-4 rounded-sm ${observed ? '' : 'bg-raised'}`}>
                <span
                  className="block h-full rounded-sm"
                  style={{
                    width: `${Math.max(count > 0 ? 0.5 : 0, (count / most) * 100)}%`,
                    background: observed
                      ? 'var(--bad)'
                      : kind === 'other'
                        ? 'var(--series-unknown)'
                        : 'var(--series-success)',
                  }}
                />
                {observed && count === 0 && (
                  <span className="absolute inset-y-0 left-0 w-1 rounded-sm bg-bad" aria-hidden />
                )}
              </span>
              <span
                className={`text-xs tabular-nums ${observed ? 'font-bold text-bad' : 'text-muted'}`}
              >
                {observed
                  ? `now; ${count === 0 ? 'never before' : `${count.toLocaleString('en')} before`}`
                  : `${count.toLocaleString('en')} · ${percent(count, total)}`}
              </span>
            </li>
          )
        })}
      </ul>
      <p className="mt-3 text-xs text-muted">
        {baseline.peerCount === 0
          ? 'No peer was ever seen with the observed value.'
          : `Peers were seen with the observed value ${baseline.peerCount.toLocaleString('en')} ${baseline.peerCount === 1 ? 'time' : 'times'}.`}
      </p>
    </>
  )
}

function percent(count: number, total: number): string {
  if (total === 0) return '0 %'
  const share = (count / total) * 100
  return `${share > 0 && share < 0.1 ? '< 0.1' : share.toFixed(share < 10 ? 1 : 0)} %`
}
