import type { Severity } from '../../schemas/finding.ts'

export const severities = [
  'critical',
  'high',
  'medium',
  'low',
] as const satisfies readonly Severity[]

const styles: Readonly<Record<Severity, string>> = {
  critical: 'bg-bad text-on-accent',
  high: 'bg-bad-soft text-bad',
  medium: 'bg-warn-soft text-warn',
  low: 'bg-raised text-muted',
}

export function SeverityChip({ severity }: { severity: Severity }) {
  return (
    <span className={`chip w-fit justify-center capitalize ${styles[severity]}`}>{severity}</span>
  )
}
