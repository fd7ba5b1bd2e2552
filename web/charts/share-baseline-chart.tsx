'use client'

import type { Baseline } from '../../schemas/finding.ts'
import { HostileText } from '../components/hostile-text.tsx'

/** How often each known value was seen, and the observed one beside them. Bars as a list: readable without sight. */
export function ShareBaselineChart({
  baseline,
}: {
  baseline: Extract<Baseline, { kind: 'share' }>
}) {
  const total = baseline.otherCount + baseline.values.reduce((sum, { count }) => sum + count, 0)
  const most = Math.max(1, baseline.otherCount, ...baseline.values.map(({ count }) => count))
  const rows = [
    {
      label: baseline.observed,
      count: baseline.values.find(({ label }) => label === baseline.observed)?.count ?? 0,
      observed: true,
    },
    ...baseline.values
      .filter(({ label }) => label !== baseline.observed)
      .map((each) => ({ ...each, observed: false })),
    ...(baseline.otherCount > 0
      ? [{ label: 'all other values', count: baseline.otherCount, observed: false }]
      : []),
  ]
  return (
    <ul className="space-y-1.5" aria-label="Observed value against the baseline">
      {rows.map(({ label, count, observed }) => (
        <li
          key={`${observed}-${label}`}
          className="grid grid-cols-[minmax(0,14rem)_1fr_7rem] items-center gap-3"
        >
          <span
            className={`truncate text-right font-mono text-xs ${observed ? 'font-bold text-bad' : 'text-text'}`}
            title={label.slice(0, 200)}
          >
            <HostileText text={label} limit={120} />
          </span>
          <span
            className={`block h-5 rounded-sm ${observed ? 'border border-dashed border-bad bg-bad-soft' : 'bg-raised'}`}
          >
            <span
              className="block h-full rounded-sm"
              style={{
                width: `${(count / most) * 100}%`,
                background: observed ? 'var(--bad)' : 'var(--series-success)',
              }}
            />
          </span>
          <span
            className={`text-xs tabular-nums ${observed ? 'font-bold text-bad' : 'text-muted'}`}
          >
            {observed
              ? count === 0
                ? 'observed, never before'
                : `observed, ${count} before`
              : `${count.toLocaleString('en')} of ${total.toLocaleString('en')}`}
          </span>
        </li>
      ))}
    </ul>
  )
}
