'use client'

import {
  Area,
  CartesianGrid,
  ComposedChart,
  Line,
  ResponsiveContainer,
  Tooltip,
  XAxis,
  YAxis,
} from 'recharts'
import type { Baseline } from '../../schemas/finding.ts'
import { formatInstant } from '../format/instant.ts'

/** Counts over time with the band that was expected; the last bucket is the one that fired. */
export function SeriesBaselineChart({
  baseline,
}: {
  baseline: Extract<Baseline, { kind: 'series' }>
}) {
  const rows = baseline.points.map(({ at, count, low, high }) => ({ at, count, band: [low, high] }))
  return (
    <div className="h-64">
      <ResponsiveContainer width="100%" height="100%">
        <ComposedChart data={rows} margin={{ left: 0, right: 16, top: 8, bottom: 0 }}>
          <CartesianGrid vertical={false} stroke="var(--line)" />
          <XAxis
            dataKey="at"
            tickFormatter={(at: string) => at.slice(11, 16)}
            stroke="var(--muted)"
            fontSize={11}
            minTickGap={48}
          />
          <YAxis
            width={44}
            stroke="var(--muted)"
            fontSize={11}
            allowDecimals={false}
            axisLine={false}
          />
          <Tooltip
            isAnimationActive={false}
            labelFormatter={(at) => `${formatInstant(String(at))} UTC`}
            contentStyle={{
              background: 'var(--panel)',
              border: '1px solid var(--line)',
              borderRadius: 6,
              fontSize: 12,
              color: 'var(--text)',
            }}
          />
          <Area
            dataKey="band"
            name="expected"
            stroke="none"
            fill="var(--series-success)"
            fillOpacity={0.22}
            isAnimationActive={false}
          />
          <Line
            dataKey="count"
            name="observed"
            stroke="var(--bad)"
            strokeWidth={2}
            dot={false}
            isAnimationActive={false}
            type="stepAfter"
          />
        </ComposedChart>
      </ResponsiveContainer>
    </div>
  )
}
