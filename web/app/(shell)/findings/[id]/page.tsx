'use client'

import { useQuery } from '@tanstack/react-query'
import { ArrowLeft } from 'lucide-react'
import dynamic from 'next/dynamic'
import Link from 'next/link'
import { useParams } from 'next/navigation'
import { parseAsString, parseAsStringLiteral, useQueryStates } from 'nuqs'
import { Suspense } from 'react'
import { FindingDetail } from '../../../../../schemas/api/findings.ts'
import { request } from '../../../../api/request.ts'
import { ShareBaselineChart } from '../../../../charts/share-baseline-chart.tsx'
import { drawerTabs, EventDrawer } from '../../../../components/event-drawer.tsx'
import { HostileText } from '../../../../components/hostile-text.tsx'
import { SeverityChip } from '../../../../components/severity-chip.tsx'
import { Failure, Loading } from '../../../../components/states.tsx'
import { formatInstant, formatProbability } from '../../../../format/instant.ts'

const SeriesBaselineChart = dynamic(() => import('../../../../charts/series-baseline-chart.tsx').then((module) => module.SeriesBaselineChart), { ssr: false, loading: () => <div className="h-64" /> })

const viewState = { ev: parseAsString, tab: parseAsStringLiteral(drawerTabs).withDefault('overview') }

export default function FindingPage() {
  return (
    <Suspense fallback={<Loading />}>
      <Finding />
    </Suspense>
  )
}

function Finding() {
  const { id } = useParams<{ id: string }>()
  const [{ ev, tab }, setState] = useQueryStates(viewState, { history: 'push' })
  const query = useQuery({
    queryKey: ['finding', id],
    queryFn: ({ signal }) => request(FindingDetail, `/api/v1/findings/${encodeURIComponent(id)}`, { signal }),
  })
  return (
    <div className="flex h-full">
      <div className="min-w-0 flex-1 overflow-auto p-6">
        <Link href="/findings" className="mb-4 inline-flex items-center gap-1.5 text-muted hover:text-text">
          <ArrowLeft className="size-4" aria-hidden /> All findings
        </Link>
        {query.isPending && <Loading />}
        {query.error !== null && <Failure error={query.error} onRetry={() => query.refetch()} />}
        {query.data !== undefined && <Why detail={query.data} selected={ev} onOpen={(eventId) => void setState({ ev: eventId })} />}
      </div>
      {ev !== null && <EventDrawer eventId={ev} tab={tab} onTab={(next) => void setState({ tab: next }, { history: 'replace' })} onClose={() => void setState({ ev: null })} />}
    </div>
  )
}

function Why({ detail, selected, onOpen }: { detail: FindingDetail; selected: string | null; onOpen: (eventId: string) => void }) {
  const { finding, explanation, evidence } = detail
  const { baseline, window: learnt } = explanation
  return (
    <article className="mx-auto max-w-4xl space-y-5">
      <header>
        <div className="flex items-center gap-3">
          <SeverityChip severity={finding.severity} />
          <span className="text-sm text-muted">
            {finding.detector} · {formatInstant(finding.occurredAt)} UTC
          </span>
          <button type="button" className="ml-auto text-sm text-accent underline" onClick={() => onOpen(finding.eventId)}>
            Proof of this finding
          </button>
        </div>
        <h1 className="mt-3 break-words text-xl font-semibold leading-snug tracking-tight">
          <HostileText text={finding.sentence} limit={2000} />
        </h1>
      </header>
      <section className="panel p-5" aria-labelledby="baseline">
        <h2 id="baseline" className="font-semibold">
          Observed against what is usual
        </h2>
        <p className="mb-4 text-muted">
          <HostileText text={explanation.subject} limit={200} /> · {learnt.samples.toLocaleString('en')} samples from {formatInstant(learnt.from).slice(0, 16)} to {formatInstant(learnt.until).slice(0, 16)} UTC
        </p>
        {baseline.kind === 'share' ? <ShareBaselineChart baseline={baseline} /> : <SeriesBaselineChart baseline={baseline} />}
      </section>
      <section className="panel overflow-hidden" aria-labelledby="score">
        <div className="flex flex-wrap items-baseline justify-between gap-2 p-5 pb-3">
          <h2 id="score" className="font-semibold">
            How the score came about
          </h2>
          <p className="text-sm text-muted">
            {formatProbability(finding.p)}; alerts below {explanation.threshold.toPrecision(2)}
          </p>
        </div>
        <table className="w-full text-sm">
          <thead>
            <tr className="border-y border-line bg-raised text-left">
              <th className="label px-5 py-1.5">Feature</th>
              <th className="label px-3 py-1.5">Observed</th>
              <th className="label px-3 py-1.5">Expected</th>
              <th className="label px-5 py-1.5 text-right">Share of the score</th>
            </tr>
          </thead>
          <tbody className="divide-y divide-line">
            {explanation.contributions.map((each) => (
              <tr key={each.feature}>
                <td className="px-5 py-2">{each.feature}</td>
                <td className="px-3 py-2 font-mono text-xs">
                  <HostileText text={each.observed} limit={160} />
                </td>
                <td className="px-3 py-2 text-muted">
                  <HostileText text={each.expected} limit={160} />
                </td>
                <td className="px-5 py-2 text-right tabular-nums">{each.nats.toFixed(1)} nats</td>
              </tr>
            ))}
          </tbody>
        </table>
        <p className="border-t border-line p-5 pt-3 text-muted">
          <HostileText text={explanation.counterfactual} limit={600} />
        </p>
      </section>
      <section className="panel overflow-hidden" aria-labelledby="evidence">
        <h2 id="evidence" className="p-5 pb-3 font-semibold">
          Evidence
        </h2>
        <ul className="divide-y divide-line border-t border-line">
          {evidence.map((row) => (
            <li key={row.eventId}>
              <button
                type="button"
                onClick={() => onOpen(row.eventId)}
                className={`grid w-full grid-cols-[11.5rem_10rem_1fr] gap-3 px-5 py-2 text-left hover:bg-raised ${row.eventId === selected ? 'bg-accent-soft' : ''}`}
              >
                <span className="font-mono text-xs leading-5">{formatInstant(row.event['time.occurred'])}</span>
                <span className="truncate font-medium">
                  <HostileText text={`${row.event['mcp.server.name'] ?? ''} / ${row.event['gen_ai.tool.name'] ?? row.event['event.class'] ?? ''}`} limit={80} />
                </span>
                <span className="truncate font-mono text-xs leading-5 text-muted">
                  <HostileText text={JSON.stringify(row.event['gen_ai.tool.call.arguments'] ?? '')} limit={300} />
                </span>
              </button>
            </li>
          ))}
        </ul>
      </section>
    </article>
  )
}
