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

const viewState = {
  t: parseAsString.withDefault('7d'),
  severity: parseAsStringLiteral(severities),
  detector: parseAsString,
}

export default function FindingsPage() {
  return (
    <Suspense fallback={<Loading />}>
      <title>Findings · Sealtrail</title>
      <Findings />
    </Suspense>
  )
}

function Findings() {
  const [{ t, severity, detector }, setState] = useQueryStates(viewState, { history: 'push' })
  const now = useMemo(() => Date.now(), [])
  const range = useMemo(() => parseTimeRange(t, now), [t, now])
  const findings = useQuery({
    queryKey: ['findings', t, severity, detector],
    queryFn: ({ signal }) =>
      request(FindingsReply, '/api/v1/findings', {
        // Relative ranges move on with each look.
        params: {
          ...parseTimeRange(t, Date.now()),
          severity: severity ?? undefined,
          detector: detector ?? undefined,
        },
        signal,
      }),
    refetchInterval: 15_000,
  })
  const rows = findings.data?.rows ?? []
  const detectors = [
    ...new Set([...rows.map((row) => row.detector), ...(detector === null ? [] : [detector])]),
  ].sort()
  const filtered = severity !== null || detector !== null
  return (
    <div className="mx-auto max-w-6xl p-6">
      <div className="mb-5 flex flex-wrap items-end justify-between gap-4">
        <div className="min-w-0 flex-1 basis-96 max-sm:basis-full">
          <h1 className="text-xl font-semibold tracking-tight">Findings</h1>
          <p className="text-muted">
            What is unusual in rights, arguments and call rates, and why. Each finding is a leaf of
            the log itself.
          </p>
        </div>
        <div className="flex flex-wrap items-center gap-2">
          <select
            aria-label="Severity"
            className="field h-9 w-auto"
            value={severity ?? ''}
            onChange={(event) =>
              void setState({
                severity: severities.find((each) => each === event.target.value) ?? null,
              })
            }
          >
            <option value="">Any severity</option>
            {severities.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
          <select
            aria-label="Detector"
            className="field h-9 w-auto"
            value={detector ?? ''}
            onChange={(event) =>
              void setState({ detector: event.target.value === '' ? null : event.target.value })
            }
          >
            <option value="">Any detector</option>
            {detectors.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
          <TimeRangePicker value={t} onChange={(next) => void setState({ t: next })} />
        </div>
      </div>
      {findings.isPending && <Loading />}
      {findings.error !== null && (
        <Failure error={findings.error} onRetry={() => findings.refetch()} />
      )}
      {findings.data !== undefined && rows.length === 0 && (
        <div className="panel">
          <Empty title={filtered ? 'No finding fits these filters' : 'Nothing unusual'}>
            {filtered ? (
              <button
                type="button"
                className="button mt-3"
                onClick={() => void setState({ severity: null, detector: null })}
              >
                Clear the filters
              </button>
            ) : (
              <p>
                No finding in this time range. Detectors learn the habits of a user, agent or tool
                before they judge it; what is imported teaches and never alerts.
              </p>
            )}
          </Empty>
        </div>
      )}
      {rows.length > 0 && (
        <>
          <p className="mb-2 text-xs text-muted">
            {findings.data?.total.toLocaleString('en')}{' '}
            {findings.data?.total === 1 ? 'finding' : 'findings'}, newest first, since{' '}
            {formatInstant(range.from).slice(0, 16)} UTC
          </p>
          <ul className="panel divide-y divide-line overflow-hidden">
            {rows.map((finding) => (
              <li key={finding.findingId}>
                <Link
                  href={`/findings/${finding.findingId}`}
                  className="grid grid-cols-[5.5rem_minmax(0,1fr)_11rem] items-start gap-x-4 gap-y-1 px-4 py-3 hover:bg-raised max-md:grid-cols-[auto_minmax(0,1fr)]"
                >
                  <SeverityChip severity={finding.severity} />
                  <span className="min-w-0 max-md:col-span-2 max-md:row-start-2">
                    {finding.sentence === null ? (
                      <span className="block leading-snug text-muted">
                        The text of this finding was erased
                      </span>
                    ) : (
                      <span className="block font-medium leading-snug [overflow-wrap:anywhere]">
                        <HostileText text={finding.sentence} limit={400} />
                      </span>
                    )}
                    <span className="mt-1 block truncate text-xs text-muted">
                      {finding.detector}
                      {finding.entity !== null && (
                        <>
                          {` · ${finding.entity.kind} `}
                          <span className="text-text">
                            <HostileText text={finding.entity.value} limit={120} />
                          </span>
                        </>
                      )}
                      {` · ${formatProbability(finding.p)}`}
                    </span>
                  </span>
                  <span className="whitespace-nowrap text-right font-mono text-xs tabular-nums text-muted">
                    {formatInstant(finding.occurredAt).slice(0, 19)}
                  </span>
                </Link>
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  )
}
