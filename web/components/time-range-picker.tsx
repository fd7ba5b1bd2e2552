'use client'

import { useState } from 'react'
import { formatTimeRange, parseTimeRange, presets } from '../state/time-range.ts'

/** Presets, or two instants in UTC. */
export function TimeRangePicker({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const isPreset = presets.some((preset) => preset === value)
  const [custom, setCustom] = useState(!isPreset)
  const range = parseTimeRange(value, Date.now())
  return (
    <div className="flex shrink-0 items-center gap-2">
      <select
        aria-label="Time range"
        className="field w-auto py-2"
        value={custom || !isPreset ? 'custom' : value}
        onChange={(event) => {
          setCustom(event.target.value === 'custom')
          onChange(event.target.value === 'custom' ? formatTimeRange(range) : event.target.value)
        }}
      >
        {presets.map((preset) => (
          <option key={preset} value={preset}>
            Last {preset}
          </option>
        ))}
        <option value="custom">From … until</option>
      </select>
      {(custom || !isPreset) && (
        <>
          <UtcInput label="From (UTC)" value={range.from} onChange={(from) => onChange(formatTimeRange({ ...range, from }))} />
          <UtcInput label="Until (UTC)" value={range.until} onChange={(until) => onChange(formatTimeRange({ ...range, until }))} />
        </>
      )}
    </div>
  )
}

function UtcInput({ label, value, onChange }: { label: string; value: string; onChange: (value: string) => void }) {
  return (
    <input
      type="datetime-local"
      aria-label={label}
      title={label}
      step={1}
      className="field w-auto py-1.5 text-xs"
      value={value.slice(0, 19)}
      onChange={(event) => {
        const at = Date.parse(`${event.target.value}Z`)
        if (!Number.isNaN(at)) onChange(new Date(at).toISOString())
      }}
    />
  )
}
