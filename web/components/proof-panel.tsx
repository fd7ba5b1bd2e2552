'use client'

import { CircleAlert, CircleCheck, CircleDashed, CircleX, Download } from 'lucide-react'
import type { Evidence } from '../../schemas/api/event-detail.ts'
import type { Verification } from '../verify/verify-evidence.ts'

const badges = {
  verified: { text: 'Verified in this browser', style: 'bg-ok-soft text-ok', icon: CircleCheck },
  partial: { text: 'Verified, parts withheld', style: 'bg-warn-soft text-warn', icon: CircleAlert },
  pending: {
    text: 'Durable, not yet published',
    style: 'bg-warn-soft text-warn',
    icon: CircleDashed,
  },
  failed: { text: 'Verification FAILED', style: 'bg-bad-soft text-bad', icon: CircleX },
} as const

export function ProofBadge({ state }: { state: Verification['state'] | undefined }) {
  if (state === undefined) return <span className="chip bg-raised text-muted">Verifying…</span>
  const { text, style, icon: Icon } = badges[state]
  return (
    <span className={`chip gap-1.5 ${style}`} data-proof={state}>
      <Icon className="size-3.5" aria-hidden /> {text}
    </span>
  )
}

/** Each check with its figures, and how to repeat it without this page. */
export function ProofPanel({
  verification,
  evidence,
  eventId,
}: {
  verification: Verification
  evidence: Evidence
  eventId: string
}) {
  return (
    <div className="space-y-4">
      <ProofBadge state={verification.state} />
      <ul className="space-y-2">
        {verification.checks.map((check) => {
          const Icon =
            check.state === 'passed'
              ? CircleCheck
              : check.state === 'failed'
                ? CircleX
                : CircleDashed
          const colour =
            check.state === 'passed'
              ? 'text-ok'
              : check.state === 'failed'
                ? 'text-bad'
                : 'text-warn'
          return (
            <li key={check.id} className="flex gap-2">
              <Icon className={`mt-0.5 size-4 shrink-0 ${colour}`} aria-label={check.state} />
              <div className="min-w-0">
                <p className="font-medium">{check.label}</p>
                <p className="break-all font-mono text-xs text-muted">{check.detail}</p>
              </div>
            </li>
          )
        })}
      </ul>
      <dl className="grid grid-cols-[8rem_1fr] gap-x-3 gap-y-1 border-t border-line pt-3 text-xs">
        <dt className="text-muted">Log</dt>
        <dd className="font-mono">{evidence.logId}</dd>
        <dt className="text-muted">Leaf index</dt>
        <dd className="font-mono">{evidence.leafIndex}</dd>
        <dt className="text-muted">Verifier key</dt>
        <dd className="break-all font-mono">{evidence.verifierKey}</dd>
      </dl>
      <p className="text-xs text-muted">
        A check by code that this server sent is weaker than one outside:{' '}
        <code className="font-mono text-text">sealtrail prove {eventId}</code> writes a C2SP
        tlog-proof that other programs verify. A proof shows that the record did not change since it
        was logged, not that its source told the truth.
      </p>
      <a
        className="button"
        href={`/api/v1/events/${eventId}/tlog-proof`}
        download={`${eventId}.tlog-proof.json`}
      >
        <Download className="size-4" aria-hidden /> Download proof
      </a>
    </div>
  )
}
