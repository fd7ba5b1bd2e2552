'use client'

import { X } from 'lucide-react'
import { type KeyboardEvent, useEffect, useRef } from 'react'
import type { EventDetail } from '../../schemas/api/event-detail.ts'
import type { EventFields } from '../../schemas/event/event.ts'
import type { ListedRow } from '../verify/load-verified.ts'
import { useVerifiedEvent } from '../verify/use-verified-event.ts'
import type { CompareMore, Verification } from '../verify/verify-evidence.ts'
import { CapturedValue } from './captured-value.tsx'
import { CopyButton } from './copy-button.tsx'
import { ErasureNotice } from './erasure-notice.tsx'
import { EventOverview } from './event-overview.tsx'
import { FailureNotice } from './failure-notice.tsx'
import { HostileText } from './hostile-text.tsx'
import { JsonView, LongText } from './json-view.tsx'
import { ProofBadge, ProofPanel } from './proof-panel.tsx'
import { Failure, Loading } from './states.tsx'
import { ToolDefinition } from './tool-definition.tsx'

export const drawerTabs = ['overview', 'arguments', 'result', 'definition', 'proof', 'raw'] as const
export type DrawerTab = (typeof drawerTabs)[number]

/** One event, verified in this browser, beside the list. What it shows comes from the ledger, not from the list. */
export function EventDrawer(props: {
  eventId: string
  /** The row of the list that was opened: it is verified too. */
  listed?: ListedRow | undefined
  /** What else the screen shows of this event, to be compared with its leaf. */
  compareMore?: CompareMore | undefined
  tab: DrawerTab
  onTab: (tab: DrawerTab) => void
  onClose: () => void
  onFilter?: (term: string) => void
  onContext?: (occurredAt: string) => void
  onVerdict?: (eventId: string, state: Verification['state']) => void
}) {
  const { eventId, listed, tab, onTab, onClose, onVerdict } = props
  const panel = useRef<HTMLElement>(null)
  const { query, verification } = useVerifiedEvent(eventId, listed, props.compareMore)
  const loaded = query.data
  const state = verification?.state
  // biome-ignore lint/correctness/useExhaustiveDependencies: another event takes the focus again
  useEffect(() => panel.current?.focus(), [eventId])
  useEffect(() => {
    if (state !== undefined) onVerdict?.(eventId, state)
  }, [state, eventId, onVerdict])
  const step = (by: number) => {
    const next = drawerTabs[(drawerTabs.indexOf(tab) + by + drawerTabs.length) % drawerTabs.length]
    if (next !== undefined) onTab(next)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape') onClose()
    else if (event.key === ']' || event.key === '[') step(event.key === ']' ? 1 : -1)
  }
  return (
    <aside
      ref={panel}
      aria-label="Event"
      tabIndex={-1}
      onKeyDown={onKeyDown}
      className="flex w-[30rem] shrink-0 flex-col border-l border-line bg-panel outline-none max-xl:absolute max-xl:inset-y-0 max-xl:right-0 max-xl:z-20 max-xl:max-w-[75vw] max-xl:shadow-2xl max-md:w-full max-md:max-w-full"
    >
      <header
        className={`flex items-start gap-3 border-b border-line px-4 py-3 ${state === 'failed' ? 'bg-bad-soft' : ''}`}
      >
        <div className="min-w-0 flex-1">
          <h2 className="truncate text-[15px] font-semibold">
            <HostileText
              text={
                loaded === undefined || verification === undefined
                  ? 'Event'
                  : titleOf(loaded.detail, verification)
              }
              limit={120}
            />
          </h2>
          <p className="flex items-center gap-1 text-xs text-muted">
            <span className="truncate font-mono">{eventId}</span>
            <CopyButton
              text={eventId}
              label="Copy event id"
              className="inline-flex size-6 shrink-0 items-center justify-center rounded hover:bg-raised"
            />
          </p>
          <div className="mt-1" aria-live="polite">
            {query.error === null && <ProofBadge state={state} />}
          </div>
        </div>
        <button
          type="button"
          onClick={onClose}
          aria-label="Close"
          title="Close (Esc)"
          className="icon-button"
        >
          <X className="size-4" aria-hidden />
        </button>
      </header>
      {verification?.state === 'failed' && tab !== 'proof' && (
        <FailureNotice verification={verification} onProof={() => onTab('proof')} />
      )}
      {loaded !== undefined && <ErasureNotice detail={loaded.detail} />}
      <div
        role="tablist"
        aria-label="Parts of the event"
        className="flex overflow-x-auto border-b border-line px-2"
      >
        {drawerTabs.map((each) => (
          <button
            key={each}
            type="button"
            role="tab"
            id={`tab-${each}`}
            aria-selected={each === tab}
            aria-controls="drawer-panel"
            tabIndex={each === tab ? 0 : -1}
            onClick={() => onTab(each)}
            onKeyDown={(event) => {
              if (event.key !== 'ArrowRight' && event.key !== 'ArrowLeft') return
              event.preventDefault()
              event.stopPropagation()
              step(event.key === 'ArrowRight' ? 1 : -1)
              const by = event.key === 'ArrowRight' ? 1 : -1
              const at = (drawerTabs.indexOf(each) + by + drawerTabs.length) % drawerTabs.length
              document.getElementById(`tab-${drawerTabs[at]}`)?.focus()
            }}
            className={`-mb-px min-h-9 border-b-2 px-2.5 text-[13px] font-medium capitalize ${each === tab ? 'border-accent text-accent' : 'border-transparent text-muted hover:text-text'}`}
          >
            {each}
          </button>
        ))}
      </div>
      <div
        role="tabpanel"
        id="drawer-panel"
        aria-labelledby={`tab-${tab}`}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
        tabIndex={0}
        className="flex-1 overflow-auto p-4"
      >
        {query.isPending && <Loading />}
        {query.error !== null && <Failure error={query.error} onRetry={() => query.refetch()} />}
        {loaded !== undefined && verification !== undefined && (
          <DrawerContent
            detail={loaded.detail}
            verification={verification}
            tab={tab}
            onFilter={props.onFilter}
            onContext={props.onContext}
          />
        )}
      </div>
    </aside>
  )
}

function titleOf(detail: EventDetail, verification: Verification): string {
  const event: EventFields = verification.event ?? detail.row.event
  return (
    event['gen_ai.tool.name'] ??
    event['mcp.method.name'] ??
    event['finding.detector'] ??
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
  onContext,
}: {
  detail: EventDetail
  verification: Verification
  tab: DrawerTab
  onFilter: ((term: string) => void) | undefined
  onContext: ((occurredAt: string) => void) | undefined
}) {
  const { event } = verification
  if (event === undefined && tab !== 'proof' && tab !== 'definition') {
    return (
      <p className="text-muted">
        The stored bytes could not be read as this event. The Proof tab says what is wrong; nothing
        of it is shown here.
      </p>
    )
  }
  const fields: EventFields = event ?? {}
  switch (tab) {
    case 'overview':
      return (
        <EventOverview
          event={fields}
          detail={detail}
          wrongCells={verification.wrongCells}
          onFilter={onFilter}
          onContext={onContext}
        />
      )
    case 'arguments':
      return (
        <CapturedValue
          value={fields['gen_ai.tool.call.arguments']}
          capture={fields['arguments.capture']}
          sizeBytes={fields['arguments.size_bytes']}
          redactions={fields.redactions}
          withheld={detail.evidence.withheld.find(({ group }) => group === 'arguments')?.reason}
          what="arguments"
          onFilter={onFilter}
        />
      )
    case 'result':
      return (
        <CapturedValue
          value={fields['gen_ai.tool.call.result']}
          capture={fields['result.capture']}
          sizeBytes={fields['result.size_bytes']}
          redactions={undefined}
          withheld={detail.evidence.withheld.find(({ group }) => group === 'result')?.reason}
          what="result"
          onFilter={onFilter}
        />
      )
    case 'definition':
      return (
        <ToolDefinition
          definition={detail.definition}
          recordedHash={fields['tool.definition_hash']}
        />
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
        <div className="space-y-4">
          <section>
            <h3 className="label mb-1.5">As received, after redaction</h3>
            {fields['raw.record'] === undefined ? (
              <p className="text-muted text-sm">
                No raw record is kept: it is erased, or the source sent the canonical format, and
                the event below is all that it said.
              </p>
            ) : (
              <pre className="overflow-auto rounded-md border border-line bg-bg p-3 font-mono text-xs">
                <LongText text={fields['raw.record']} />
              </pre>
            )}
          </section>
          <section>
            <h3 className="label mb-1.5">Canonical event, from leaf and openings</h3>
            <JsonView value={fields} />
          </section>
        </div>
      )
  }
}
