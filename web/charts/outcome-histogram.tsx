'use client'

import { type KeyboardEvent, type PointerEvent, useRef, useState } from 'react'
import { Bar, BarChart, CartesianGrid, ResponsiveContainer, XAxis, YAxis } from 'recharts'
import type { HistogramReply } from '../../schemas/api/search.ts'

const plotLeftPx = 44
const plotRightPx = 12

/** Buckets [from, until] of a selection, both included. */
interface Selection {
  readonly anchor: number
  readonly head: number
}

/**
 * Counts over time, stacked. Dragging picks a range and zooms; with the keyboard the arrows walk the buckets, Shift
 * extends, Enter zooms. The layer above the bars is our own: the brush of the chart library costs 100 ms a move.
 */
export function OutcomeHistogram({
  data,
  onRange,
}: {
  data: HistogramReply
  onRange: (fromMs: number, untilMs: number) => void
}) {
  const layer = useRef<HTMLDivElement>(null)
  const [hover, setHover] = useState<number>()
  const [selection, setSelection] = useState<Selection>()
  const [dragging, setDragging] = useState(false)
  const count = data.buckets.length
  const bucketMs = data.bucketSeconds * 1000
  const startOf = (bucket: number) => msOf(data.buckets[bucket]?.at ?? data.buckets[0]?.at ?? '')
  const bucketAt = (event: PointerEvent) => {
    const box = layer.current?.getBoundingClientRect()
    if (box === undefined || box.width === 0) return 0
    return Math.max(
      0,
      Math.min(count - 1, Math.floor(((event.clientX - box.left) / box.width) * count)),
    )
  }
  const zoom = ({ anchor, head }: Selection) => {
    setSelection(undefined)
    onRange(startOf(Math.min(anchor, head)), startOf(Math.max(anchor, head)) + bucketMs)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const head = selection?.head ?? hover ?? count - 1
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0
    if (step !== 0) {
      event.preventDefault()
      event.stopPropagation()
      const next = Math.max(0, Math.min(count - 1, head + (selection === undefined ? 0 : step)))
      setSelection({ head: next, anchor: event.shiftKey ? (selection?.anchor ?? head) : next })
    } else if (event.key === 'Enter' && selection !== undefined) {
      event.preventDefault()
      event.stopPropagation()
      zoom(selection)
    } else if (event.key === 'Escape' && selection !== undefined) {
      event.stopPropagation()
      setSelection(undefined)
    }
  }
  const shown = selection?.head ?? hover
  const marked = selection ?? (hover === undefined ? undefined : { anchor: hover, head: hover })
  const first = marked === undefined ? 0 : Math.min(marked.anchor, marked.head)
  const last = marked === undefined ? 0 : Math.max(marked.anchor, marked.head)
  const readout = describe(data, selection === undefined ? shown : undefined, selection)
  return (
    <div className="relative">
      <p
        aria-live="polite"
        className="pointer-events-none absolute right-3 top-0 z-10 rounded bg-panel/90 px-1 text-xs tabular-nums text-muted"
      >
        {readout}
      </p>
      <div className="h-32" aria-hidden>
        <ResponsiveContainer width="100%" height="100%">
          <BarChart
            data={data.buckets.map(({ at, counts }) => ({ at, ...counts }))}
            margin={{ left: 0, right: plotRightPx, top: 18, bottom: 0 }}
            barCategoryGap={1}
            accessibilityLayer={false}
          >
            <CartesianGrid vertical={false} stroke="var(--line)" />
            <XAxis
              dataKey="at"
              tickFormatter={(at: string) => tickOf(at, data)}
              stroke="var(--muted)"
              fontSize={11}
              minTickGap={56}
              tickLine={false}
            />
            <YAxis
              width={plotLeftPx}
              stroke="var(--muted)"
              fontSize={11}
              allowDecimals={false}
              tickLine={false}
              axisLine={false}
              tickCount={4}
            />
            {data.series.map((key) => (
              <Bar
                key={key}
                dataKey={key}
                stackId="all"
                fill={`var(--series-${key}, var(--series-unknown))`}
                isAnimationActive={false}
              />
            ))}
          </BarChart>
        </ResponsiveContainer>
      </div>
      <div
        ref={layer}
        role="slider"
        tabIndex={0}
        aria-label="Time histogram: arrows choose a bucket, Shift extends, Enter zooms"
        aria-valuemin={0}
        aria-valuemax={Math.max(0, count - 1)}
        aria-valuenow={shown ?? count - 1}
        aria-valuetext={readout}
        className="absolute inset-y-0 cursor-crosshair touch-none"
        style={{ left: plotLeftPx, right: plotRightPx, bottom: 28 }}
        onKeyDown={onKeyDown}
        onBlur={() => setSelection(undefined)}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId)
          const at = bucketAt(event)
          setDragging(true)
          setSelection({ anchor: at, head: at })
        }}
        onPointerMove={(event) => {
          const at = bucketAt(event)
          setHover(at)
          if (dragging && selection !== undefined) setSelection({ ...selection, head: at })
        }}
        onPointerUp={() => {
          setDragging(false)
          if (selection !== undefined) zoom(selection)
        }}
        onPointerCancel={() => {
          setDragging(false)
          setSelection(undefined)
        }}
        onPointerLeave={() => setHover(undefined)}
      >
        {marked !== undefined && (
          <div
            className={`absolute inset-y-0 ${selection === undefined ? 'bg-text/8' : 'border-x border-accent bg-accent/20'}`}
            style={{
              left: `${(first / count) * 100}%`,
              width: `${((last - first + 1) / count) * 100}%`,
            }}
          />
        )}
      </div>
    </div>
  )
}

/** One bucket, or all of a selection, in words. */
function describe(
  data: HistogramReply,
  bucket: number | undefined,
  selection: Selection | undefined,
): string {
  const first = selection === undefined ? bucket : Math.min(selection.anchor, selection.head)
  const last = selection === undefined ? bucket : Math.max(selection.anchor, selection.head)
  if (first === undefined || last === undefined) return ''
  const from = data.buckets[first]?.at
  const lastAt = data.buckets[last]?.at
  if (from === undefined || lastAt === undefined) return ''
  const untilText = new Date(msOf(lastAt) + data.bucketSeconds * 1000).toISOString()
  const parts = data.series.flatMap((key) => {
    let sum = 0
    for (let at = first; at <= last; at++) sum += data.buckets[at]?.counts[key] ?? 0
    return sum === 0 ? [] : [`${sum.toLocaleString('en')} ${key.replaceAll('_', ' ')}`]
  })
  const seconds = data.bucketSeconds < 60 ? 19 : 16
  return `${from.slice(5, 10)} ${from.slice(11, seconds)} – ${untilText.slice(11, seconds)} UTC: ${parts.length === 0 ? 'nothing' : parts.join(', ')}`
}

function msOf(timestamp: string): number {
  return Date.parse(`${timestamp.slice(0, 19)}Z`)
}

function tickOf(at: string, data: HistogramReply): string {
  if (data.bucketSeconds >= 21_600) return at.slice(5, 10)
  return data.bucketSeconds < 60 ? at.slice(11, 19) : at.slice(11, 16)
}
