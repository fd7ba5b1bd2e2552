'use client'

import { useQuery } from '@tanstack/react-query'
import { ArrowLeft } from 'lucide-react'
import Link from 'next/link'
import { useParams } from 'next/navigation'
import type { ReactNode } from 'react'
import { Me } from '../../../../../schemas/api/session.ts'
import { SourceDetailReply, type SourceRow } from '../../../../../schemas/api/sources.ts'
import { request } from '../../../../api/request.ts'
import { HourBars } from '../../../../charts/hour-bars.tsx'
import { HostileText } from '../../../../components/hostile-text.tsx'
import { SourceQuotaForm } from '../../../../components/source-quota-form.tsx'
import { SourceStateChip } from '../../../../components/source-state-chip.tsx'
import { RecordsLink } from '../../../../components/source-table.tsx'
import { Empty, Failure, Loading } from '../../../../components/states.tsx'
import { formatBytes, formatRate } from '../../../../format/figures.ts'
import { formatDuration, formatInstant } from '../../../../format/instant.ts'

export default function SourcePage() {
  const { id } = useParams<{ id: string }>()
  const query = useQuery({
    queryKey: ['sources', id],
    queryFn: ({ signal }) =>
      request(SourceDetailReply, `/api/v1/sources/${encodeURIComponent(id)}`, { signal }),
    refetchInterval: 10_000,
  })
  const me = useQuery({
    queryKey: ['me'],
    queryFn: ({ signal }) => request(Me, '/api/v1/me', { signal }),
  })
  return (
    <div className="mx-auto max-w-6xl space-y-5 p-6">
      <title>Source · Sealtrail</title>
      <Link href="/sources" className="inline-flex items-center gap-1 text-sm text-accent">
        <ArrowLeft className="size-4" aria-hidden /> Sources
      </Link>
      {query.isPending && <Loading />}
      {query.error !== null && <Failure error={query.error} onRetry={() => query.refetch()} />}
      {query.data !== undefined && (
        <Detail detail={query.data} mayChange={me.data?.user.role === 'admin'} />
      )}
    </div>
  )
}

function Detail({ detail, mayChange }: { detail: SourceDetailReply; mayChange: boolean }) {
  const { source, hours, signals, reasons, epochs } = detail
  return (
    <>
      <header className="space-y-1">
        <div className="flex flex-wrap items-center gap-3">
          <h1 className="text-xl font-semibold tracking-tight">
            <HostileText text={source.name} limit={80} />
          </h1>
          <SourceStateChip state={source.state} />
        </div>
        <p className="font-mono text-xs text-muted">
          {source.id} · made {formatInstant(source.createdAt).slice(0, 16)} UTC
        </p>
        <p className="max-w-3xl">{numberingText(source)}</p>
        {source.certificate !== null && (
          <p className="max-w-3xl text-muted">
            {source.certificate.use === 'with_key'
              ? 'Shows a client certificate besides its key: '
              : 'Is whoever shows this client certificate; its key is not needed: '}
            <span className="font-mono text-xs text-text">
              <HostileText text={source.certificate.certificate} limit={512} />
            </span>
          </p>
        )}
      </header>
      <Figures source={source} />
      <Section title="Events of each hour, last 24 hours (UTC)">
        <HourBars hours={hours} />
      </Section>
      <div className="grid gap-5 lg:grid-cols-2">
        <Section title="Said of its streams">
          {signals.length === 0 ? (
            <Empty title="Nothing">
              <p>No stream was opened, nothing is missing, and nobody fell silent.</p>
            </Empty>
          ) : (
            <Rows titles={['Recorded (UTC)', 'What', 'Stream']}>
              {signals.slice(0, shownSignals).map((each) => (
                <tr key={each.leafIndex}>
                  <td className="whitespace-nowrap px-4 py-1.5 font-mono text-xs">
                    {formatInstant(each.recordedAt).slice(0, 19)}
                  </td>
                  <td className="px-4 py-1.5">
                    <span className={isBad(each.signal) ? 'font-semibold text-bad' : ''}>
                      {each.signal}
                      {each.missing === null ? '' : ` of ${each.missing.toLocaleString('en')}`}
                    </span>
                    {each.note !== null && (
                      <div className="text-xs text-muted [overflow-wrap:anywhere]">
                        <HostileText text={each.note} limit={120} />
                      </div>
                    )}
                  </td>
                  <td className="px-4 py-1.5 font-mono text-xs">
                    <HostileText text={each.epoch ?? ''} limit={20} />
                  </td>
                </tr>
              ))}
            </Rows>
          )}
        </Section>
        <Section title="Why records are unmapped or rejected">
          {reasons.length === 0 ? (
            <Empty title="All records are understood">
              <p>What is not stands here with its reason; its bytes are kept.</p>
            </Empty>
          ) : (
            <Rows titles={['Records', 'Reason', 'Newest']}>
              {reasons.map((each) => (
                <tr key={`${each.disposition} ${each.reason}`}>
                  <td className="px-4 py-1.5 text-right tabular-nums">
                    {each.count.toLocaleString('en')}
                  </td>
                  <td className="px-4 py-1.5 [overflow-wrap:anywhere]">
                    <span className={each.disposition === 'rejected' ? 'text-bad' : 'text-muted'}>
                      {each.disposition}
                    </span>{' '}
                    <HostileText text={each.reason} limit={160} />
                  </td>
                  <td className="whitespace-nowrap px-4 py-1.5 font-mono text-xs">
                    <Link
                      href={`/explore?${new URLSearchParams({ view: 'events', t: '90d', q: `id:${each.newestEventId}`, ev: each.newestEventId })}`}
                      className="underline decoration-dotted"
                    >
                      {formatInstant(each.newestAt).slice(0, 16)}
                    </Link>
                  </td>
                </tr>
              ))}
            </Rows>
          )}
        </Section>
      </div>
      {epochs.length > 0 && (
        <Section title="Streams, heard last first">
          <Rows
            titles={['Stream', 'Last number', 'Events', 'Missing', 'Last record (UTC)', 'Ended']}
          >
            {epochs.map((each) => (
              <tr key={each.epoch}>
                <td className="px-4 py-1.5 font-mono text-xs">
                  <HostileText text={each.epoch} limit={64} />
                </td>
                <td className="px-4 py-1.5 tabular-nums">{each.lastSeq.toLocaleString('en')}</td>
                <td className="px-4 py-1.5 tabular-nums">{each.events.toLocaleString('en')}</td>
                <td
                  className={`px-4 py-1.5 tabular-nums ${each.missing > 0 ? 'font-semibold text-bad' : ''}`}
                >
                  {each.missing.toLocaleString('en')}
                </td>
                <td className="whitespace-nowrap px-4 py-1.5 font-mono text-xs">
                  {formatInstant(each.lastAt).slice(0, 19)}
                </td>
                <td className="px-4 py-1.5">{endText(each.lastSignal)}</td>
              </tr>
            ))}
          </Rows>
        </Section>
      )}
      <Section title="Quota">
        <SourceQuotaForm key={source.quotaVersion} source={source} mayChange={mayChange} />
      </Section>
    </>
  )
}

function Figures({ source }: { source: SourceRow }) {
  const { sinceStart } = source
  const figures: readonly { name: string; value: ReactNode; about: string }[] = [
    {
      name: 'Rate',
      value: formatRate(source.eventsPerMinute),
      about: `last five minutes; usually ${formatRate(source.usualEventsPerMinute)}`,
    },
    {
      name: 'Lag',
      value: source.lagMs === null ? '–' : formatDuration(source.lagMs),
      about: 'from happening to record, median of the last hour',
    },
    {
      name: 'Clock skew',
      value: source.skewMs === null ? '–' : formatSkew(source.skewMs),
      about: 'of its clock against ours, with the way at its best',
    },
    {
      name: 'Missing',
      value: counted(source, source.missing, 'source.signal:gap'),
      about: `in ${source.gaps.toLocaleString('en')} ${source.gaps === 1 ? 'gap' : 'gaps'}`,
    },
    {
      name: 'Broken chain',
      value: plain(source.chainBreaks),
      about: 'records that do not follow the one before',
    },
    {
      name: 'Silences',
      value: counted(source, source.silences, 'source.signal:silence'),
      about: 'streams that ended without saying so',
    },
    {
      name: 'Conflicts',
      value: plain(source.conflicts),
      about: 'an id that came again with other content',
    },
    {
      name: 'Duplicates',
      value: (sinceStart?.duplicates ?? 0).toLocaleString('en'),
      about: 'answered since the start of the server, not stored again',
    },
    {
      name: 'Unmapped',
      value: counted(source, source.unmapped, 'disposition:unmapped', false),
      about: 'kept raw',
    },
    {
      name: 'Rejected',
      value: counted(source, source.rejected, 'disposition:rejected'),
      about: 'kept raw, with the reason',
    },
    {
      name: 'Refused',
      value: (sinceStart?.refused ?? 0).toLocaleString('en'),
      about: 'requests past the quota, since the start of the server',
    },
    {
      name: 'Kept as hash',
      value: (sinceStart?.hashedToday ?? 0).toLocaleString('en'),
      about: `today; ${formatBytes(sinceStart?.rejectedBytesToday ?? 0)} of raw bytes kept`,
    },
  ]
  return (
    <dl className="grid grid-cols-2 gap-px overflow-hidden rounded-lg border border-line bg-line sm:grid-cols-3 lg:grid-cols-4">
      {figures.map(({ name, value, about }) => (
        <div key={name} className="bg-panel p-4">
          <dt className="label">{name}</dt>
          <dd className="mt-1 text-lg font-semibold tabular-nums">{value}</dd>
          <dd className="text-xs text-muted">{about}</dd>
        </div>
      ))}
    </dl>
  )
}

function counted(source: SourceRow, count: number, terms: string, bad = true): ReactNode {
  if (count === 0) return '0'
  return (
    <RecordsLink sourceId={source.id} terms={terms} bad={bad}>
      {count.toLocaleString('en')}
    </RecordsLink>
  )
}

/** The others are in Explore. */
const shownSignals = 12

/** A figure that is bad when it is not zero, and that no query of Explore counts. */
function plain(count: number): ReactNode {
  return <span className={count === 0 ? '' : 'text-bad'}>{count.toLocaleString('en')}</span>
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="panel min-w-0 overflow-hidden" aria-label={title}>
      <h2 className="border-b border-line px-4 py-2 font-semibold">{title}</h2>
      {children}
    </section>
  )
}

function Rows({ titles, children }: { titles: readonly string[]; children: ReactNode }) {
  return (
    <div className="relative overflow-x-auto">
      <table className="w-full text-sm">
        <thead>
          <tr className="text-left">
            {titles.map((title) => (
              <th key={title} className="label whitespace-nowrap px-4 py-2">
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="divide-y divide-line/60">{children}</tbody>
      </table>
    </div>
  )
}

function isBad(signal: string): boolean {
  return signal === 'gap' || signal === 'silence'
}

function endText(signal: string | null): string {
  if (signal === 'close') return 'closed'
  if (signal === 'silence') return 'fell silent'
  return signal === null ? 'unknown' : 'open'
}

function formatSkew(ms: number): string {
  const side = ms < 0 ? 'ahead' : 'behind'
  return Math.abs(ms) < 1 ? 'none' : `${formatDuration(Math.abs(ms))} ${side}`
}

/** What the numbers of this source prove, and what not. */
function numberingText({ numbering, lastEpoch, lastSeq }: SourceRow): string {
  switch (numbering) {
    case 'collector':
      return `Its collector numbers and chains what it sees, so a record that was left out, put in or changed on the way shows. Last: stream ${lastEpoch}, number ${lastSeq?.toLocaleString('en')}.`
    case 'both':
      return `Some of its records are numbered by a collector, and what is missing of those shows; the others are numbered when they arrive, which proves the last leg only. Last: stream ${lastEpoch}, number ${lastSeq?.toLocaleString('en')}.`
    case 'receiver':
      return 'Its records are numbered when they arrive. That proves the way from here on; what the source never sent, or what was lost before, cannot be seen.'
    default:
      return 'Nothing came yet.'
  }
}
