'use client'

import {
  Area,
  Bar,
  CartesianGrid,
  Cell,
  ComposedChart,
  ResponsiveContainer,
  Tooltip,
  XAxis,
  YAxis,
} from 'recharts'
import type { Baseline } from '../../schemas/finding.ts'
import { formatInstant } from '../format/instant.ts'

/** Counts over time on the band that was expected; what leaves the band stands out, with its number. */
export function SeriesBaselineChart({
  baseline,
}: {
  baseline: Extract<Baseline, { kind: 'series' }>
}) {
  const rows = baseline.points.map(({ at, count, low, high }) => ({
    at,
    count,
    low,
    high,
    band: [low, high],
    outside: count > high || count < low,
  }))
  const outside = rows.filter((row) => row.outside)
  const peak = outside.reduce(
    (most, row) => (row.count > (most?.count ?? -1) ? row : most),
    outside[0],
  )
  return (
    <figure>
      <div className="h-60" aria-hidden>
        <ResponsiveContainer width="100%" height="100%">
          <ComposedChart
            data={rows}
            margin={{ left: 0, right: 16, top: 16, bottom: 0 }}
            barCategoryGap={1}
            accessibilityLayer={false}
          >
            <CartesianGrid vertical={false} stroke="var(--line)" />
            <XAxis
              dataKey="at"
              tickFormatter={(at: string) => at.slice(11, 16)}
              stroke="var(--muted)"
              fontSize={11}
              minTickGap={48}
              tickLine={false}
            />
            <YAxis
              width={44}
              stroke="var(--muted)"
              fontSize={11}
              allowDecimals={false}
              axisLine={false}
              tickLine={false}
            />
            <Tooltip
              isAnimationActive={false}
              cursor={{ fill: 'var(--raised)' }}
              labelFormatter={(at) => `${formatInstant(String(at)).slice(0, 19)} UTC`}
              formatter={(value, name) => [
                Array.isArray(value) ? value.join(' to ') : String(value),
                String(name),
              ]}
              contentStyle={{
                background: 'var(--panel)',
                border: '1px solid var(--line)',
                borderRadius: 6,
                fontSize: 12,
                color: 'var(--text)',
              }}
              itemStyle={{ color: 'var(--text)' }}
            />
            <Area
              dataKey="band"
              name="expected"
              stroke="var(--series-success)"
              strokeOpacity={0.6}
              strokeDasharray="3 3"
              fill="var(--series-success)"
              fillOpacity={0.2}
              isAnimationActive={false}
              type="step"
            />
            <Bar dataKey="count" name="observed" isAnimationActive={false} minPointSize={1}>
              {rows.map((row) => (
                <Cell key={row.at} fill={row.outside ? 'var(--bad)' : 'var(--series-success)'} />
              ))}
            </Bar>
          </ComposedChart>
        </ResponsiveContainer>
      </div>
      <figcaption className="mt-2 flex flex-wrap gap-x-5 gap-y-1 text-xs text-muted">
        <span className="flex items-center gap-1.5">
          <span
            aria-hidden
            className="size-2.5 rounded-sm"
            style={{ background: 'var(--series-success)' }}
          />{' '}
          observed, {baseline.bucketSeconds / 60} min each
        </span>
        <span className="flex items-center gap-1.5">
          <span
            aria-hidden
            className="h-2.5 w-4 border-y border-dashed"
            style={{
              background: 'color-mix(in srgb, var(--series-success) 20%, transparent)',
              borderColor: 'var(--series-success)',
            }}
          />{' '}
          expected band
        </span>
        {peak !== undefined && (
          <span className="flex items-center gap-1.5 font-semibold text-bad">
            <span aria-hidden className="size-2.5 rounded-sm bg-bad" /> outside:{' '}
            {peak.count.toLocaleString('en')} at {peak.at.slice(11, 16)} UTC, expected{' '}
            {peak.low.toLocaleString('en')} to {peak.high.toLocaleString('en')}
          </span>
        )}
      </figcaption>
    </figure>
  )
}
