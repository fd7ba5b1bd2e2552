import { Ban, CircleAlert, CircleDashed, Clock, TriangleAlert } from 'lucide-react'
import type { ComponentType } from 'react'

type Icon = ComponentType<{ className?: string; 'aria-hidden'?: boolean }>

/** Everything but success stands out, by sign and word and not by colour alone. */
const looks: Readonly<Record<string, { style: string; icon?: Icon }>> = {
  success: { style: 'text-muted' },
  mapped: { style: 'text-muted' },
  denied: { style: 'bg-bad-soft text-bad font-semibold', icon: Ban },
  rejected: { style: 'bg-bad-soft text-bad font-semibold', icon: Ban },
  gap: { style: 'bg-bad-soft text-bad font-semibold', icon: CircleDashed },
  critical: { style: 'bg-bad-soft text-bad font-semibold', icon: TriangleAlert },
  high: { style: 'bg-bad-soft text-bad font-semibold', icon: TriangleAlert },
  medium: { style: 'bg-warn-soft text-warn', icon: TriangleAlert },
  tool_error: { style: 'bg-warn-soft text-warn', icon: CircleAlert },
  protocol_error: { style: 'bg-warn-soft text-warn', icon: CircleAlert },
  unmapped: { style: 'bg-warn-soft text-warn', icon: CircleDashed },
  timeout: { style: 'bg-warn-soft text-warn', icon: Clock },
}

export function OutcomeLabel({ outcome }: { outcome: string }) {
  if (outcome === '') return null
  const { style, icon: Icon } = looks[outcome] ?? { style: 'text-muted' }
  return (
    <span
      className={`inline-flex items-center gap-1 rounded py-0.5 text-xs ${Icon === undefined ? '' : 'px-1.5'} ${style}`}
    >
      {Icon !== undefined && <Icon className="size-3" aria-hidden />}
      {outcome.replaceAll('_', ' ')}
    </span>
  )
}
