'use client'

import { Clock } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import { describeTimeRange, formatTimeRange, parseTimeRange, presets } from '../state/time-range.ts'

/** Presets, or two instants in UTC. */
export function TimeRangePicker({
  value,
  onChange,
}: {
  value: string
  onChange: (value: string) => void
}) {
  const [open, setOpen] = useState(false)
  const box = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  useEffect(() => {
    if (!open) return
    const onPointer = (event: PointerEvent) => {
      if (event.target instanceof Node && !box.current?.contains(event.target)) setOpen(false)
    }
    window.addEventListener('pointerdown', onPointer)
    return () => window.removeEventListener('pointerdown', onPointer)
  }, [open])
  const choose = (next: string) => {
    setOpen(false)
    button.current?.focus()
    onChange(next)
  }
  return (
    <div ref={box} className="relative shrink-0">
      <button
        ref={button}
        type="button"
        className="button h-9"
        aria-expanded={open}
        aria-haspopup="dialog"
        aria-label={`Time range: ${describeTimeRange(value)}`}
        onClick={() => setOpen(!open)}
      >
        <Clock className="size-4 text-muted" aria-hidden />
        <span className="tabular-nums">{describeTimeRange(value)}</span>
      </button>
      {open && (
        <div
          role="dialog"
          aria-label="Time range"
          className="panel absolute right-0 top-10 z-30 w-80 p-3 shadow-lg"
          onKeyDown={(event) => {
            if (event.key !== 'Escape') return
            event.stopPropagation()
            setOpen(false)
            button.current?.focus()
          }}
        >
          <ul className="grid grid-cols-2 gap-1">
            {presets.map((preset) => (
              <li key={preset}>
                <button
                  type="button"
                  aria-pressed={preset === value}
                  className={`w-full rounded px-2 py-1.5 text-left ${preset === value ? 'bg-accent-soft font-medium text-accent' : 'hover:bg-raised'}`}
                  onClick={() => choose(preset)}
                >
                  {describeTimeRange(preset)}
                </button>
              </li>
            ))}
          </ul>
          <AbsoluteRange value={value} onApply={choose} />
        </div>
      )}
    </div>
  )
}

function AbsoluteRange({ value, onApply }: { value: string; onApply: (value: string) => void }) {
  const shown = parseTimeRange(value, Date.now())
  const [from, setFrom] = useState(shown.from.slice(0, 19))
  const [until, setUntil] = useState(shown.until.slice(0, 19))
  const fromMs = Date.parse(`${from}Z`)
  const untilMs = Date.parse(`${until}Z`)
  const valid = fromMs < untilMs
  return (
    <form
      className="mt-3 space-y-2 border-t border-line pt-3"
      onSubmit={(event) => {
        event.preventDefault()
        if (valid)
          onApply(
            formatTimeRange({
              from: new Date(fromMs).toISOString(),
              until: new Date(untilMs).toISOString(),
            }),
          )
      }}
    >
      {[
        { label: 'From (UTC)', text: from, set: setFrom },
        { label: 'Until (UTC)', text: until, set: setUntil },
      ].map(({ label, text, set }) => (
        <label key={label} className="flex items-center justify-between gap-2 text-xs text-muted">
          {label}
          <input
            type="datetime-local"
            step={1}
            className="field w-52 text-xs"
            value={text}
            onChange={(event) => set(event.target.value)}
          />
        </label>
      ))}
      <div className="flex items-center justify-between">
        <span className="text-xs text-bad">{valid ? '' : 'From must be before until'}</span>
        <button type="submit" className="button" disabled={!valid}>
          Apply
        </button>
      </div>
    </form>
  )
}
