'use client'

import { type PointerEvent, useRef, useState } from 'react'
import { Bar, BarChart, CartesianGrid, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts'
import type { HistogramReply } from '../../schemas/api/search.ts'
import { formatInstant } from '../format/instant.ts'

const plotLeft = 48
const plotRight = 12

/**
 * Counts over time, stacked. Dragging over it picks a range; the caller zooms. The drag layer is our own: the brush
 * of the chart library costs 100 ms a move.
 */
export function OutcomeHistogram({
  data,
  onRange,
}: {
  data: HistogramReply
  onRange: (fromMs: number, untilMs: number) => void
}) {
  const layer = useRef<HTMLDivElement>(null)
  const [drag, setDrag] = useState<{ from: number; until: number }>()
  const rows = data.buckets.map(({ at, counts }) => ({ at, ...counts }))
  const firstMs = Date.parse(data.buckets[0]?.at.slice(0, 23).concat('Z') ?? '')
  const spanMs = data.buckets.length * data.bucketSeconds * 1000
  const shareAt = (event: PointerEvent) => {
    const box = layer.current?.getBoundingClientRect()
    return box === undefined ? 0 : Math.min(1, Math.max(0, (event.clientX - box.left) / box.width))
  }
  const finish = () => {
    if (drag !== undefined && Math.abs(drag.until - drag.from) > 0.01) {
      const [from, until] = [Math.min(drag.from, drag.until), Math.max(drag.from, drag.until)]
      onRange(firstMs + from * spanMs, firstMs + until * spanMs)
    }
    setDrag(undefined)
  }
  return (
    <div className="relative h-36" aria-hidden>
      <ResponsiveContainer width="100%" height="100%">
        <BarChart
          data={rows}
          margin={{ left: 0, right: plotRight, top: 8, bottom: 0 }}
          barCategoryGap={1}
          accessibilityLayer={false}
        >
          <CartesianGrid vertical={false} stroke="var(--line)" />
          <XAxis
            dataKey="at"
            tickFormatter={(at: string) => tickOf(at, data.bucketSeconds)}
            stroke="var(--muted)"
            fontSize={11}
            minTickGap={48}
            tickLine={false}
          />
          <YAxis
            width={plotLeft}
            stroke="var(--muted)"
            fontSize={11}
            allowDecimals={false}
            tickLine={false}
            axisLine={false}
          />
          <Tooltip
            isAnimationActive={false}
            cursor={{ fill: 'var(--raised)' }}
            labelFormatter={(at) => `${formatInstant(String(at))} UTC`}
            contentStyle={{
              background: 'var(--panel)',
              border: '1px solid var(--line)',
              borderRadius: 6,
              fontSize: 12,
              color: 'var(--text)',
            }}
          />
          {data.series.map((key) => (
            <Bar
              key={key}
              dataKey={key}
              stackId="all"
              name={key.replaceAll('_', ' ')}
              fill={`var(--series-${key}, var(--series-unknown))`}
              isAnimationActive={false}
            />
          ))}
        </BarChart>
      </ResponsiveContainer>
      <div
        ref={layer}
        className="absolute inset-y-0 cursor-crosshair"
        style={{
          left: plotLeft,
          right: plotRight,
          pointerEvents: drag === undefined ? 'none' : 'auto',
        }}
      >
        {drag !== undefined && (
          <div
            className="absolute inset-y-0 border-x border-accent bg-accent/20"
            style={{
              left: `${Math.min(drag.from, drag.until) * 100}%`,
              width: `${Math.abs(drag.until - drag.from) * 100}%`,
            }}
          />
        )}
      </div>
      <div
        className="absolute inset-y-0"
        style={{ left: plotLeft, right: plotRight }}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId)
          const at = shareAt(event)
          setDrag({ from: at, until: at })
        }}
        onPointerMove={(event) => {
          if (drag !== undefined) setDrag({ ...drag, until: shareAt(event) })
        }}
        onPointerUp={finish}
        onPointerCancel={() => setDrag(undefined)}
      />
    </div>
  )
}

function tickOf(at: string, bucketSeconds: number): string {
  return bucketSeconds >= 21_600 ? at.slice(5, 10) : at.slice(11, 16)
}
