'use client'

import { CircleAlert, CircleCheck, CircleDashed, CircleX, Download } from 'lucide-react'
import Link from 'next/link'
import type { Evidence } from '../../schemas/api/event-detail.ts'
import type { Check } from '../verify/check.ts'
import type { Verification } from '../verify/verify-evidence.ts'
import { CommandLine } from './command-line.tsx'
import { HostileText } from './hostile-text.tsx'

const badges = {
  verified: { text: 'Verified in this browser', style: 'bg-ok-soft text-ok', icon: CircleCheck },
  partial: { text: 'Verified in part', style: 'bg-warn-soft text-warn', icon: CircleAlert },
  pending: {
    text: 'Durable, not yet published',
    style: 'bg-warn-soft text-warn',
    icon: CircleDashed,
  },
  failed: { text: 'Verification FAILED', style: 'bg-bad text-on-accent', icon: CircleX },
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

/** What the badge claims, in a sentence for somebody who has never seen a Merkle tree. */
const meanings: Readonly<Record<Verification['state'], string>> = {
  verified:
    'This browser hashed the stored bytes itself and followed them to a checkpoint that the key of the log signed. Every part of this event, and its row in the list, is what those bytes say.',
  partial:
    'This browser followed the stored bytes to a signed checkpoint. Part of what is shown, or was recorded, is not proven by them: see what is marked below.',
  pending:
    'The record is stored and its bytes agree with what is shown. The checkpoint that covers it is not signed yet; this page asks again every two seconds.',
  failed:
    'What is shown is not what the log committed to, or the log is not the one this browser knew. Do not rely on it; keep the data directory as it is and run sealtrail verify.',
}

const looks = {
  passed: { icon: CircleCheck, style: 'text-ok' },
  failed: { icon: CircleX, style: 'text-bad' },
  pending: { icon: CircleDashed, style: 'text-warn' },
  limited: { icon: CircleAlert, style: 'text-warn' },
} as const

/** Checks with their figures, what failed first. */
export function CheckList({ checks }: { checks: readonly Check[] }) {
  const rank = { failed: 0, limited: 1, pending: 2, passed: 3 }
  const ordered = [...checks].sort((a, b) => rank[a.state] - rank[b.state])
  return (
    <ul className="divide-y divide-line rounded-md border border-line">
      {ordered.map((check) => {
        const { icon: Icon, style } = looks[check.state]
        return (
          <li
            key={check.id}
            data-check={check.state}
            className={`flex gap-2.5 px-3 py-2 ${check.state === 'failed' ? 'bg-bad-soft' : ''}`}
          >
            <Icon className={`mt-0.5 size-4 shrink-0 ${style}`} aria-label={check.state} />
            <div className="min-w-0">
              <p className="font-medium">{check.label}</p>
              <p
                className={`mt-0.5 font-mono text-xs [overflow-wrap:anywhere] ${check.state === 'failed' ? 'text-text' : 'text-muted'}`}
              >
                <HostileText text={check.detail} limit={2000} />
              </p>
            </div>
          </li>
        )
      })}
    </ul>
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
  const command = `sealtrail prove ${eventId}`
  return (
    <div className="space-y-4">
      <p data-meaning={verification.state}>{meanings[verification.state]}</p>
      <CheckList checks={verification.checks} />
      <dl className="grid grid-cols-[6.5rem_minmax(0,1fr)] gap-x-3 gap-y-1 text-xs">
        <dt className="text-muted">Log</dt>
        <dd className="font-mono">{evidence.logId}</dd>
        <dt className="text-muted">Leaf index</dt>
        <dd className="font-mono tabular-nums">{evidence.leafIndex}</dd>
        <dt className="text-muted">Verifier key</dt>
        <dd className="break-all font-mono">{evidence.verifierKey}</dd>
      </dl>
      <section className="space-y-2 rounded-md bg-raised p-3">
        <h3 className="font-medium">Check it without this page</h3>
        <p className="text-xs text-muted">
          A check by code that this server sent is weaker than one outside. This writes a C2SP
          tlog-proof that other programs verify too:
        </p>
        <CommandLine command={command} />
        {evidence.inclusion !== null && (
          <a
            className="button"
            href={`/api/v1/events/${eventId}/tlog-proof`}
            download={`${eventId}.tlog-proof.json`}
          >
            <Download className="size-4" aria-hidden /> Download the proof
          </a>
        )}
      </section>
      <section className="text-xs text-muted">
        <h3 className="label mb-1">What this does not cover</h3>
        <ul className="list-disc space-y-0.5 pl-4">
          <li>Whether the source told the truth, and what never reached a receiver.</li>
          <li>
            Totals, charts, facets and the marks of findings: the server computes them from its
            searchable copy, which it compares with the ledger all the time.
          </li>
          <li>
            <Link href="/integrity" className="text-accent underline">
              What nothing here can detect
            </Link>
            .
          </li>
        </ul>
      </section>
    </div>
  )
}
