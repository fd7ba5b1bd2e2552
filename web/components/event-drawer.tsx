'use client'

import { useQuery } from '@tanstack/react-query'
import { X } from 'lucide-react'
import Link from 'next/link'
import { type KeyboardEvent, useEffect, useRef } from 'react'
import { ConsistencyReply, EventDetail } from '../../schemas/api/event-detail.ts'
import type { EventFields } from '../../schemas/event/event.ts'
import { eventFieldNames, eventFields } from '../../schemas/event/fields.ts'
import { request } from '../api/request.ts'
import { formatDuration, formatInstant } from '../format/instant.ts'
import { sha256, verifyEd25519 } from '../verify/browser-crypto.ts'
import { rememberedLog, rememberLog } from '../verify/remembered-logs.ts'
import { type Verification, verifyEvidence } from '../verify/verify-evidence.ts'
import { HostileText } from './hostile-text.tsx'
import { JsonView } from './json-view.tsx'
import { ProofBadge, ProofPanel } from './proof-panel.tsx'
import { Failure, Loading } from './states.tsx'

export const drawerTabs = ['overview', 'arguments', 'result', 'definition', 'proof', 'raw'] as const
export type DrawerTab = (typeof drawerTabs)[number]

interface VerifiedDetail {
  readonly detail: EventDetail
  readonly verification: Verification
}

/** One event, verified in this browser, beside the list. What it shows comes from the ledger, not from the list. */
export function EventDrawer(props: {
  eventId: string
  tab: DrawerTab
  onTab: (tab: DrawerTab) => void
  onClose: () => void
  onFilter?: (term: string) => void
}) {
  const { eventId, tab, onTab, onClose } = props
  const panel = useRef<HTMLElement>(null)
  const query = useQuery({
    queryKey: ['event', eventId],
    queryFn: ({ signal }) => loadVerified(eventId, signal),
    // What is not published yet is asked for again until it is.
    refetchInterval: ({ state }) => (state.data?.verification.state === 'pending' ? 1000 : false),
  })
  useEffect(() => panel.current?.focus(), [eventId])
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape') onClose()
    const step = event.key === ']' ? 1 : event.key === '[' ? -1 : 0
    const next =
      drawerTabs[(drawerTabs.indexOf(tab) + step + drawerTabs.length) % drawerTabs.length]
    if (step !== 0 && next !== undefined) onTab(next)
  }
  return (
    <aside
      ref={panel}
      aria-label="Event"
      tabIndex={-1}
      onKeyDown={onKeyDown}
      className="flex w-[34rem] max-w-[50vw] shrink-0 flex-col border-l border-line bg-panel outline-none"
    >
      <header className="flex items-start gap-3 border-b border-line p-4">
        <div className="min-w-0 flex-1">
          <h2 className="truncate text-base font-semibold">
            <HostileText
              text={query.data === undefined ? 'Event' : titleOf(query.data)}
              limit={120}
            />
          </h2>
          <p className="truncate font-mono text-xs text-muted">{eventId}</p>
          <div className="mt-2">
            <ProofBadge state={query.data?.verification.state} />
          </div>
        </div>
        <button
          type="button"
          onClick={onClose}
          aria-label="Close"
          className="rounded p-1 hover:bg-raised"
        >
          <X className="size-5" />
        </button>
      </header>
      <div
        role="tablist"
        aria-label="Parts of the event"
        className="flex border-b border-line px-2"
      >
        {drawerTabs.map((each) => (
          <button
            key={each}
            type="button"
            role="tab"
            id={`tab-${each}`}
            aria-selected={each === tab}
            aria-controls="drawer-panel"
            onClick={() => onTab(each)}
            className={`-mb-px border-b-2 px-2.5 py-2 text-sm font-medium capitalize ${each === tab ? 'border-accent text-accent' : 'border-transparent text-muted hover:text-text'}`}
          >
            {each}
          </button>
        ))}
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard */}
      <div
        role="tabpanel"
        id="drawer-panel"
        aria-labelledby={`tab-${tab}`}
        tabIndex={0}
        className="flex-1 overflow-auto p-4"
      >
        {query.isPending && <Loading />}
        {query.error !== null && <Failure error={query.error} onRetry={() => query.refetch()} />}
        {query.data !== undefined && (
          <DrawerContent {...query.data} tab={tab} onFilter={props.onFilter} />
        )}
      </div>
    </aside>
  )
}

async function loadVerified(eventId: string, signal: AbortSignal): Promise<VerifiedDetail> {
  const detail = await request(EventDetail, `/api/v1/events/${encodeURIComponent(eventId)}`, {
    signal,
  })
  const { evidence, row } = detail
  const remembered = rememberedLog(evidence.logId)
  const size = evidence.inclusion?.treeSize
  let consistency: readonly string[] | undefined
  if (remembered !== undefined && size !== undefined && size !== remembered.size) {
    const params = {
      log: evidence.logId,
      old: Math.min(size, remembered.size),
      new: Math.max(size, remembered.size),
    }
    // A server that cannot give the proof does not continue what was seen: that is what the check then says.
    consistency = await request(ConsistencyReply, '/api/v1/consistency', { params, signal }).then(
      (reply) => reply.hashes,
      () => undefined,
    )
  }
  const verification = verifyEvidence({
    evidence,
    row,
    remembered,
    consistency,
    digest: sha256,
    ed25519: verifyEd25519,
  })
  if (verification.state !== 'failed' && evidence.inclusion !== null) {
    rememberLog(evidence.logId, evidence.verifierKey, evidence.inclusion.checkpoint)
  }
  return { detail, verification }
}

function titleOf({ detail, verification }: VerifiedDetail): string {
  const event: EventFields = verification.event ?? detail.row.event
  return (
    event['gen_ai.tool.name'] ??
    event['mcp.method.name'] ??
    event['admin.action'] ??
    event['event.class'] ??
    'Event'
  )
}

function DrawerContent({
  detail,
  verification,
  tab,
  onFilter,
}: VerifiedDetail & { tab: DrawerTab; onFilter: ((term: string) => void) | undefined }) {
  const event: EventFields = verification.event ?? {}
  switch (tab) {
    case 'overview':
      return <Overview event={event} detail={detail} onFilter={onFilter} />
    case 'arguments':
      return (
        <Captured
          value={event['gen_ai.tool.call.arguments']}
          capture={event['arguments.capture']}
          sizeBytes={event['arguments.size_bytes']}
          redactions={event.redactions}
          what="arguments"
        />
      )
    case 'result':
      return (
        <Captured
          value={event['gen_ai.tool.call.result']}
          capture={event['result.capture']}
          sizeBytes={event['result.size_bytes']}
          redactions={undefined}
          what="result"
        />
      )
    case 'definition':
      return detail.definition === null ? (
        <p className="text-muted">No definition of this tool was seen before the call.</p>
      ) : (
        <div className="space-y-3">
          <p className="text-muted">
            The definition in force at the call, first seen{' '}
            {formatInstant(detail.definition.firstSeenAt)} UTC.
          </p>
          <p className="break-all font-mono text-xs text-muted">SHA-256 {detail.definition.hash}</p>
          <JsonView value={JSON.parse(detail.definition.json)} />
        </div>
      )
    case 'proof':
      return (
        <ProofPanel
          verification={verification}
          evidence={detail.evidence}
          eventId={detail.row.eventId}
        />
      )
    case 'raw':
      return (
        <div className="space-y-3">
          {event['raw.record'] !== undefined && (
            <section>
              <h3 className="label mb-1">As received, after redaction</h3>
              <pre className="overflow-auto whitespace-pre-wrap break-all rounded-md border border-line bg-bg p-3 font-mono text-xs">
                <HostileText text={event['raw.record']} limit={65_536} />
              </pre>
            </section>
          )}
          <section>
            <h3 className="label mb-1">Canonical event, from leaf and openings</h3>
            <JsonView value={event} />
          </section>
        </div>
      )
  }
}

function Overview({
  event,
  detail,
  onFilter,
}: {
  event: EventFields
  detail: EventDetail
  onFilter: ((term: string) => void) | undefined
}) {
  const hiddenHere = new Set([
    'gen_ai.tool.call.arguments',
    'gen_ai.tool.call.result',
    'raw.record',
    'attributes',
    'tool.list',
    'redactions',
    'finding.explanation',
    'provenance',
    'tool.annotations',
  ])
  const shown = eventFieldNames.filter(
    (field) => event[field] !== undefined && !hiddenHere.has(field),
  )
  return (
    <div className="space-y-4">
      <p className="text-base leading-relaxed">
        <HostileText text={sentenceOf(event)} />
      </p>
      {detail.row.findings.length > 0 && (
        <div className="rounded-md border border-warn bg-warn-soft p-3">
          <p className="font-medium">
            Evidence of{' '}
            {detail.row.findings.length === 1
              ? 'a finding'
              : `${detail.row.findings.length} findings`}
          </p>
          {detail.row.findings.map((id) => (
            <Link key={id} href={`/findings/${id}`} className="block text-accent underline">
              See why it stands out
            </Link>
          ))}
        </div>
      )}
      <dl className="divide-y divide-line">
        {shown.map((field) => {
          const value = event[field]
          const text =
            typeof value === 'string'
              ? value
              : Array.isArray(value)
                ? value.map(String).join(', ')
                : JSON.stringify(value)
          const filterable = onFilter !== undefined && eventFields[field].type === 'keyword'
          return (
            <div key={field} className="group grid grid-cols-[12rem_1fr] gap-3 py-1.5">
              <dt className="truncate text-muted" title={eventFields[field].doc}>
                {field}
              </dt>
              <dd className="min-w-0 break-words font-mono text-xs leading-5">
                <HostileText text={text} limit={2000} />
                {filterable && (
                  <span className="ml-2 inline-flex gap-1 opacity-0 focus-within:opacity-100 group-hover:opacity-100">
                    <button
                      type="button"
                      className="rounded border border-line px-1.5"
                      aria-label={`Only this ${field}`}
                      onClick={() => onFilter?.(termOf(field, text))}
                    >
                      +
                    </button>
                    <button
                      type="button"
                      className="rounded border border-line px-1.5"
                      aria-label={`Not this ${field}`}
                      onClick={() => onFilter?.(`-${termOf(field, text)}`)}
                    >
                      −
                    </button>
                  </span>
                )}
              </dd>
            </div>
          )
        })}
      </dl>
    </div>
  )
}

/** A query term for a value; quoted, so that nothing in it is read as syntax. */
export function termOf(field: string, value: string): string {
  return `${field}:"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}

function sentenceOf(event: EventFields): string {
  const who = event['user.name'] ?? event['user.email'] ?? event['user.id']
  const agent = event['gen_ai.agent.name'] ?? event['mcp.client.name']
  const tool =
    event['gen_ai.tool.name'] ?? event['mcp.method.name'] ?? event['event.class'] ?? 'something'
  const server = event['mcp.server.name']
  const outcome = event['outcome.status']
  const subject = [
    who,
    agent === undefined ? undefined : who === undefined ? agent : `through ${agent}`,
  ]
    .filter((part) => part !== undefined)
    .join(' ')
  const took = event.duration_ms === undefined ? '' : ` in ${formatDuration(event.duration_ms)}`
  return `${subject === '' ? 'Somebody unnamed' : subject} → ${server === undefined ? '' : `${server} / `}${tool}${outcome === undefined ? '' : ` → ${outcome.replaceAll('_', ' ')}`}${took}`
}

function Captured(props: {
  value: unknown
  capture: string | undefined
  sizeBytes: number | undefined
  redactions: unknown
  what: string
}) {
  if (props.value === undefined) {
    return (
      <p className="text-muted">
        {props.capture === 'absent'
          ? `The call had no ${props.what}.`
          : `The source did not report the ${props.what}, or they are not shown to your role.`}
      </p>
    )
  }
  return (
    <div className="space-y-3">
      {props.capture !== undefined && props.capture !== 'full' && (
        <p className="rounded-md bg-warn-soft px-3 py-2 text-warn">
          {props.capture === 'redacted'
            ? 'Secrets in it were replaced before it was stored.'
            : `Capture: ${props.capture.replaceAll('_', ' ')}.`}
          {props.sizeBytes !== undefined &&
            ` Full size ${props.sizeBytes.toLocaleString('en')} bytes.`}
        </p>
      )}
      <JsonView value={props.value} />
      {Array.isArray(props.redactions) && props.redactions.length > 0 && (
        <section>
          <h3 className="label mb-1">What was replaced</h3>
          <JsonView value={props.redactions} />
        </section>
      )}
    </div>
  )
}
