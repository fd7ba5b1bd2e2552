'use client'

import { useQuery, useQueryClient } from '@tanstack/react-query'
import {
  CircleCheck,
  CircleX,
  FileCheck,
  RefreshCw,
  ShieldCheck,
  TriangleAlert,
} from 'lucide-react'
import { useState } from 'react'
import type { LogAnchoring } from '../../../../schemas/api/anchors.ts'
import {
  IntegrityReply,
  type LogIntegrity,
  VerifyProgress,
} from '../../../../schemas/api/integrity.ts'
import { request, requestLines } from '../../../api/request.ts'
import { CommandLine } from '../../../components/command-line.tsx'
import { CopyButton } from '../../../components/copy-button.tsx'
import { Failure, Loading } from '../../../components/states.tsx'
import { formatInstant } from '../../../format/instant.ts'
import { checkNewestCheckpoint } from '../../../verify/load-verified.ts'
import { forgetLog } from '../../../verify/remembered-logs.ts'

export default function IntegrityPage() {
  const query = useQuery({
    queryKey: ['integrity'],
    queryFn: ({ signal }) => request(IntegrityReply, '/api/v1/integrity', { signal }),
    refetchInterval: 3000,
  })
  if (query.isPending) return <Loading />
  if (query.error !== null) return <Failure error={query.error} onRetry={() => query.refetch()} />
  const { logs, warnings, notDetected, bus, columnar, rebuild, version } = query.data
  return (
    <div className="mx-auto max-w-5xl space-y-5 p-6">
      <header>
        <h1 className="text-xl font-semibold tracking-tight">Integrity</h1>
        <p className="text-muted">
          What is on the record, what proves it, and what nothing here can prove.
        </p>
      </header>
      {warnings.length > 0 && (
        <section className="panel border-warn p-5" role="alert" aria-labelledby="warnings">
          <h2 id="warnings" className="mb-2 flex items-center gap-2 font-semibold">
            <TriangleAlert className="size-4 text-warn" aria-hidden /> To be seen to
          </h2>
          <ul className="list-disc space-y-1.5 pl-5">
            {warnings.map((sentence) => (
              <li key={sentence}>{sentence}</li>
            ))}
          </ul>
        </section>
      )}
      {rebuild !== null && <RebuildPanel rebuild={rebuild} />}
      {logs.map((log) => (
        <LogPanel key={log.logId} log={log} />
      ))}
      <section className="panel p-5" aria-labelledby="evidence">
        <h2 id="evidence" className="mb-2 flex items-center gap-2 font-semibold">
          <FileCheck className="size-4 text-accent" aria-hidden /> Evidence for somebody outside
        </h2>
        <ol className="list-decimal space-y-3 pl-5">
          <li>
            Keep the verifier key where this machine cannot change it; it is what every later check
            rests on:
            <CommandLine command="sealtrail vkey" />
          </li>
          <li>
            Make a bundle of a time range: in Explore, for the view that is open, or as a command.
            The export itself goes on the record:
            <CommandLine command="sealtrail export --from 2026-11-01 --to 2026-12-01 --out november" />
          </li>
          <li>
            The auditor checks it on another machine, with nothing but Node and the key of step 1;
            VERIFY.md in the bundle says how, and what it does not show:
            <CommandLine command="node november/verify.mjs 'VERIFIER KEY' november" />
          </li>
        </ol>
      </section>
      <section className="panel p-5" aria-labelledby="limits">
        <h2 id="limits" className="mb-2 flex items-center gap-2 font-semibold">
          <TriangleAlert className="size-4 text-warn" aria-hidden /> What is not detected
        </h2>
        <ul className="list-disc space-y-1.5 pl-5 text-muted">
          {notDetected.map((sentence) => (
            <li key={sentence}>{sentence}</li>
          ))}
        </ul>
      </section>
      <p className="text-xs text-muted">
        Sealtrail {version} · bus {bus.kind}, {bus.lag} waiting · columnar store {columnar}
      </p>
    </div>
  )
}

function RebuildPanel({ rebuild }: { rebuild: NonNullable<IntegrityReply['rebuild']> }) {
  const { logId, done, total } = rebuild
  return (
    <section className="panel p-5" role="status" aria-labelledby="rebuild">
      <h2 id="rebuild" className="mb-2 flex items-center gap-2 font-semibold">
        <RefreshCw className="size-4 text-accent" aria-hidden /> The columnar store is made anew
        from the ledger
      </h2>
      <p className="mb-3 text-muted">
        Searches see the old rows until the new ones take their place in one step.
        {logId !== '' &&
          ` Log ${logId}: ${done.toLocaleString('en')} of ${total.toLocaleString('en')} rows.`}
      </p>
      <progress
        className="w-full accent-[var(--accent)]"
        max={Math.max(total, 1)}
        value={done}
        aria-label="Rebuild"
      />
    </section>
  )
}

const projectionTexts = {
  equal: 'equal to the ledger',
  checking: 'being compared',
  different: 'DIFFERS from the ledger',
  unavailable: 'not available; the ledger goes on',
} as const

function LogPanel({ log }: { log: LogIntegrity }) {
  const { anchoring, checkpoint, projection } = log
  const figures = [
    { label: 'Durable', value: log.treeSize, meaning: 'stored and synced' },
    { label: 'Published', value: checkpoint?.size ?? 0, meaning: 'under a signed checkpoint' },
    {
      label: 'Witnessed',
      value: anchoring.witnessedSize,
      meaning:
        anchoring.anchors.length === 0 ? 'by nobody outside: none is set up' : 'held outside',
    },
    { label: 'Indexed', value: log.indexed, meaning: 'can be searched' },
    { label: 'Judged', value: log.judged, meaning: 'seen by the detectors' },
  ]
  return (
    <section className="panel p-5" aria-label={`Log ${log.logId}`}>
      <div className="flex flex-wrap items-center justify-between gap-3">
        <h2 className="flex items-center gap-2 font-semibold">
          <ShieldCheck className="size-5 text-accent" aria-hidden />{' '}
          {log.logId === '_system' ? 'System log (users, keys, settings)' : `Log ${log.logId}`}
        </h2>
        <VerifyButton logId={log.logId} />
      </div>
      <dl className="mt-4 grid grid-cols-2 gap-3 sm:grid-cols-3 lg:grid-cols-5">
        {figures.map(({ label, value, meaning }) => (
          <div key={label} className="rounded-md bg-raised px-3 py-2">
            <dt className="label">{label}</dt>
            <dd className="text-lg font-semibold tabular-nums">{value.toLocaleString('en')}</dd>
            <dd className="text-xs text-muted">{meaning}</dd>
          </div>
        ))}
      </dl>
      {anchoring.contradiction !== null && (
        <p
          role="alert"
          className="mt-4 flex items-start gap-2 rounded-md border border-bad px-3 py-2 text-bad"
        >
          <CircleX className="mt-0.5 size-4 shrink-0" aria-hidden />
          <span>
            <span className="font-semibold">Nothing more is signed.</span> {anchoring.contradiction}
            . Events are still taken. Find out which directory holds the log that the anchor saw,
            before anything is deleted.
          </span>
        </p>
      )}
      <Anchors anchoring={anchoring} treeSize={log.treeSize} />
      <dl className="mt-4 grid grid-cols-[9rem_minmax(0,1fr)] gap-x-4 gap-y-1.5 max-sm:grid-cols-1 max-sm:gap-y-0.5">
        <dt className="text-muted">Columnar store</dt>
        <dd className={projection.state === 'different' ? 'font-semibold text-bad' : ''}>
          {projectionTexts[projection.state]}
          {projection.state !== 'unavailable' &&
            `, compared up to leaf ${projection.checkedUntil.toLocaleString('en')}`}
          {projection.firstDifference !== null && `: ${projection.firstDifference}`}
          {projection.state === 'different' && (
            <span className="mt-1 block font-normal text-text">
              The ledger counts and is not touched by this. Find out who wrote to the columnar
              store; then make it anew with{' '}
              <code className="font-mono text-xs">sealtrail rebuild</code>.
            </span>
          )}
        </dd>
        <dt className="text-muted">Newest checkpoint</dt>
        <dd>
          {checkpoint === null
            ? 'none yet'
            : `size ${checkpoint.size.toLocaleString('en')}, newest leaf ${formatInstant(checkpoint.signedAt)} UTC`}
        </dd>
        {checkpoint !== null && <BrowserCheck log={log} note={checkpoint.note} />}
        <dt className="text-muted">Root</dt>
        <dd className="break-all font-mono text-xs leading-5">{checkpoint?.root ?? log.root}</dd>
        <dt className="text-muted">Verifier key</dt>
        <dd className="flex items-start gap-2 [&>button]:-my-1">
          <span className="break-all font-mono text-xs leading-5">{log.verifierKey}</span>
          <CopyButton text={log.verifierKey} />
        </dd>
      </dl>
      {checkpoint !== null && (
        <details className="mt-3">
          <summary className="cursor-pointer text-[13px] text-accent">
            Signed checkpoint, and how to check it without this page
          </summary>
          <pre className="mt-2 overflow-auto rounded-md border border-line bg-bg p-3 font-mono text-xs">
            {checkpoint.note}
          </pre>
          <p className="mt-2 text-[13px] text-muted">
            On the machine, with Sealtrail stopped or on a copy of its data:{' '}
            <code className="font-mono text-text">
              sealtrail verify --data DIR --key '{log.verifierKey.slice(0, 24)}…'
            </code>
          </p>
        </details>
      )}
    </section>
  )
}

const anchorNames = {
  directory: 'Directory',
  webhook: 'Webhook',
  bucket: 'Locked bucket',
  witness: 'Witness',
} as const

const anchorStates = {
  current: { text: 'up to date', tone: 'text-ok' },
  waiting: { text: 'next checkpoint is on its way', tone: 'text-muted' },
  failing: { text: 'failing, tried again', tone: 'text-warn' },
  contradicts: { text: 'CONTRADICTS this log', tone: 'text-bad font-semibold' },
} as const

/** Which place outside covers what, since when, and what none covers. */
function Anchors({ anchoring, treeSize }: { anchoring: LogAnchoring; treeSize: number }) {
  if (anchoring.anchors.length === 0) return null
  const { cosigned, witnessedSize } = anchoring
  const uncovered = treeSize - witnessedSize
  return (
    <div className="mt-4 overflow-x-auto">
      <table className="w-full text-left text-[13px]">
        <caption className="mb-1 text-left">
          <span className="font-semibold">Anchors</span>{' '}
          <span className="text-muted">
            {uncovered > 0
              ? `the newest ${uncovered.toLocaleString('en')} leaves are not covered yet`
              : 'every leaf is covered'}
          </span>
        </caption>
        <thead className="text-muted">
          <tr className="border-b border-line">
            <th className="py-1.5 pr-4 font-normal">Kept by</th>
            <th className="py-1.5 pr-4 text-right font-normal">Covers leaves below</th>
            <th className="py-1.5 pr-4 font-normal">Taken (UTC)</th>
            <th className="py-1.5 font-normal">State</th>
          </tr>
        </thead>
        <tbody>
          {anchoring.anchors.map((anchor) => (
            <tr
              key={`${anchor.kind} ${anchor.target}`}
              className="border-b border-line align-top last:border-0"
            >
              <td className="py-1.5 pr-4">
                {anchorNames[anchor.kind]}{' '}
                <span className="break-all font-mono text-xs">{anchor.target}</span>
              </td>
              <td className="py-1.5 pr-4 text-right tabular-nums">
                {anchor.coveredSize.toLocaleString('en')}
              </td>
              <td className="whitespace-nowrap py-1.5 pr-4 tabular-nums">
                {anchor.coveredAt === null ? 'never' : formatInstant(anchor.coveredAt)}
              </td>
              <td className="py-1.5">
                <span className={anchorStates[anchor.state].tone}>
                  {anchorStates[anchor.state].text}
                </span>
                {anchor.problem !== null && (
                  <span className="mt-0.5 block break-words text-xs text-muted">
                    {anchor.problem}
                  </span>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {cosigned !== null && (
        <p className="mt-2 text-[13px] text-muted">
          Cosigned at size {cosigned.size.toLocaleString('en')} by{' '}
          {cosigned.witnesses.map(({ name }) => name).join(' and ')}
          {cosigned.quorum ? ', which the policy calls enough.' : ': not enough for the policy.'}
        </p>
      )}
    </div>
  )
}

/** What this browser itself finds of the newest checkpoint: key, signature, and whether it continues the last one. */
function BrowserCheck({ log, note }: { log: LogIntegrity; note: string }) {
  const client = useQueryClient()
  const query = useQuery({
    queryKey: ['checkpoint', log.logId, note],
    queryFn: ({ signal }) => checkNewestCheckpoint(log.logId, log.verifierKey, note, signal),
    staleTime: Number.POSITIVE_INFINITY,
  })
  const wrong = query.data?.find(({ state }) => state !== 'passed')
  return (
    <>
      <dt className="text-muted">In this browser</dt>
      <dd>
        {query.isPending && <span className="text-muted">checking …</span>}
        {query.error !== null && <span className="text-bad">{query.error.message}</span>}
        {query.data !== undefined && wrong === undefined && (
          <span className="flex items-center gap-1.5 text-ok">
            <CircleCheck className="size-4 shrink-0" aria-hidden /> signed by the pinned key, and
            continues the last checkpoint seen here
          </span>
        )}
        {wrong !== undefined && (
          <span className="text-bad">
            <CircleX className="mr-1.5 inline size-4" aria-hidden />
            {wrong.label}: {wrong.detail}{' '}
            <button
              type="button"
              className="underline"
              onClick={() => {
                forgetLog(log.logId)
                void client.invalidateQueries()
              }}
            >
              I know why: forget what this browser remembers
            </button>
          </span>
        )}
      </dd>
    </>
  )
}

type Result = Extract<VerifyProgress, { kind: 'result' }>

function VerifyButton({ logId }: { logId: string }) {
  const [progress, setProgress] = useState<{ stage: string; done: number; total: number }>()
  const [result, setResult] = useState<Result | Error>()
  const run = async () => {
    setResult(undefined)
    setProgress({ stage: 'starting', done: 0, total: 1 })
    try {
      for await (const line of requestLines(VerifyProgress, '/api/v1/integrity/verify', {
        method: 'POST',
        body: { logId },
      })) {
        if (line.kind === 'progress') setProgress(line)
        else setResult(line)
      }
    } catch (error) {
      setResult(error instanceof Error ? error : new Error(String(error)))
    }
    setProgress(undefined)
  }
  if (progress !== undefined) {
    return (
      <div role="status" className="flex w-72 items-center gap-3 text-[13px] text-muted">
        <span className="shrink-0">{progress.stage}</span>
        <progress
          className="w-full accent-[var(--accent)]"
          max={progress.total}
          value={progress.done}
          aria-label="Verification"
        />
      </div>
    )
  }
  return (
    <div className="flex items-center gap-3">
      {result instanceof Error && <span className="text-sm text-bad">{result.message}</span>}
      {result !== undefined && !(result instanceof Error) && <ResultLine result={result} />}
      <button type="button" className="button button-primary" onClick={run}>
        Verify everything now
      </button>
    </div>
  )
}

function ResultLine({ result }: { result: Result }) {
  const Icon = result.ok ? CircleCheck : CircleX
  return (
    <p
      role="status"
      className={`flex items-center gap-2 text-[13px] ${result.ok ? 'text-ok' : 'text-bad'}`}
    >
      <Icon className="size-4 shrink-0" aria-hidden />
      {result.ok
        ? `${result.treeSize.toLocaleString('en')} leaves, ${result.checkpoints.toLocaleString('en')} checkpoints, ${result.payloads.toLocaleString('en')} payloads${result.rows === null ? '' : `, ${result.rows.toLocaleString('en')} rows`} recomputed in ${(result.elapsedMs / 1000).toFixed(1)} s`
        : result.firstProblem}
    </p>
  )
}
