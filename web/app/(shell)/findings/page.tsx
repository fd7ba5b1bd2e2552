'use client'

import { useQuery } from '@tanstack/react-query'
import Link from 'next/link'
import { parseAsString, parseAsStringLiteral, useQueryStates } from 'nuqs'
import { Suspense, useMemo } from 'react'
import { FindingsReply } from '../../../../schemas/api/findings.ts'
import { request } from '../../../api/request.ts'
import { HostileText } from '../../../components/hostile-text.tsx'
import { SeverityChip, severities } from '../../../components/severity-chip.tsx'
import { Empty, Failure, Loading } from '../../../components/states.tsx'
import { TimeRangePicker } from '../../../components/time-range-picker.tsx'
import { formatInstant, formatProbability } from '../../../format/instant.ts'
import { parseTimeRange } from '../../../state/time-range.ts'

const viewState = { t: parseAsString.withDefault('7d'), severity: parseAsStringLiteral(severities) }

export default function FindingsPage() {
  return (
    <Suspense fallback={<Loading />}>
      <Findings />
    </Suspense>
  )
}

function Findings() {
  const [{ t, severity }, setState] = useQueryStates(viewState, { history: 'push' })
  const range = useMemo(() => parseTimeRange(t, Date.now()), [t])
  const findings = useQuery({
    queryKey: ['findings', range.from, range.until, severity],
    queryFn: ({ signal }) => request(FindingsReply, '/api/v1/findings', { params: { ...range, severity: severity ?? undefined }, signal }),
    refetchInterval: 10_000,
  })
  return (
    <div className="mx-auto max-w-6xl p-6">
      <div className="mb-5 flex items-center justify-between gap-4">
        <div>
          <h1 className="text-xl font-semibold tracking-tight">Findings</h1>
          <p className="text-muted">What is unusual in rights, arguments and call rates, and why. Each finding is a leaf of the log itself.</p>
        </div>
        <div className="flex items-center gap-2">
          <select
            aria-label="Severity"
            className="field w-auto"
            value={severity ?? ''}
            onChange={(event) => void setState({ severity: severities.find((each) => each === event.target.value) ?? null })}
          >
            <option value="">Any severity</option>
            {severities.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
          <TimeRangePicker value={t} onChange={(next) => void setState({ t: next })} />
        </div>
      </div>
      {findings.isPending && <Loading />}
      {findings.error !== null && <Failure error={findings.error} onRetry={() => findings.refetch()} />}
      {findings.data?.rows.length === 0 && (
        <div className="panel">
          <Empty title="Nothing unusual">
            <p>No finding in this time range. Detectors learn an entity's habits first; what is imported teaches and never alerts.</p>
          </Empty>
        </div>
      )}
      {findings.data !== undefined && findings.data.rows.length > 0 && (
        <ul className="panel divide-y divide-line">
          {findings.data.rows.map((finding) => (
            <li key={finding.findingId}>
              <Link href={`/findings/${finding.findingId}`} className="grid grid-cols-[6rem_1fr_12rem] items-start gap-4 px-4 py-3 hover:bg-raised">
                <SeverityChip severity={finding.severity} />
                <span className="min-w-0">
                  <span className="block break-words font-medium leading-snug">
                    <HostileText text={finding.sentence} limit={400} />
                  </span>
                  <span className="mt-0.5 block text-xs text-muted">
                    {finding.detector} · <HostileText text={`${finding.entity.kind} ${finding.entity.value}`} limit={120} /> · {formatProbability(finding.p)}
                  </span>
                </span>
                <span className="text-right font-mono text-xs text-muted">{formatInstant(finding.occurredAt)} UTC</span>
              </Link>
            </li>
          ))}
        </ul>
      )}
    </div>
  )
}
