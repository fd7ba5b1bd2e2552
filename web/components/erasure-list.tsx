'use client'

import Link from 'next/link'
import type { ErasureRow } from '../../schemas/api/erasures.ts'
import { exceptionText, groundText } from '../../schemas/erasure.ts'
import { formatInstant } from '../format/instant.ts'
import { leafLink } from './erasure-notice.tsx'
import { HostileText } from './hostile-text.tsx'

const columns = [
  'Requested (UTC)',
  'What',
  'Ground or exception',
  'Reference',
  'Who',
  'Events',
  'Texts',
  'State',
]
const kinds = { subject: 'Erased', event: 'Shredded', refusal: 'Refused' } as const

/** What was erased or refused, newest first. It names nobody whose data went. */
export function ErasureList(props: {
  erasures: readonly ErasureRow[]
  /** Names of users by id, as far as they are known. */
  names: ReadonlyMap<string, string>
}) {
  return (
    <div className="relative overflow-x-auto border-t border-line">
      <table className="w-full text-sm" aria-labelledby="erasures-title">
        <thead>
          <tr className="border-b border-line bg-raised text-left">
            {columns.map((title) => (
              <th
                key={title}
                className={`label whitespace-nowrap px-3 py-2 ${isCount(title) ? 'text-right' : ''}`}
              >
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="divide-y divide-line">
          {props.erasures.map((erasure) => (
            <Line key={erasure.id} erasure={erasure} names={props.names} />
          ))}
        </tbody>
      </table>
    </div>
  )
}

const isCount = (title: string) => title === 'Events' || title === 'Texts'

function Line({ erasure, names }: { erasure: ErasureRow; names: ReadonlyMap<string, string> }) {
  const { kind, ground, exception, reference, actor, approver, requestedAt } = erasure
  const why = ground === null ? exception && exceptionText[exception] : groundText[ground]
  return (
    <tr>
      <td className="whitespace-nowrap px-3 py-2 font-mono text-xs">
        {formatInstant(requestedAt).slice(0, 19)}
      </td>
      <td className="px-3 py-2 font-medium">{kinds[kind]}</td>
      <td className="min-w-44 px-3 py-2 first-letter:uppercase">{why}</td>
      <td className="min-w-32 px-3 py-2">
        <HostileText text={reference ?? ''} limit={64} />
      </td>
      <td className="px-3 py-2">
        <HostileText text={names.get(actor.replace(/^user:/, '')) ?? actor} limit={64} />
        {approver !== null && (
          <span className="block text-xs text-muted">
            approved by <HostileText text={approver} limit={64} />
          </span>
        )}
      </td>
      <Count count={kind === 'refusal' ? undefined : erasure.events} />
      <Count count={kind === 'refusal' ? undefined : erasure.derived} />
      <td className="px-3 py-2">
        <State erasure={erasure} />
      </td>
    </tr>
  )
}

function Count({ count }: { count: number | undefined }) {
  return (
    <td className="px-3 py-2 text-right tabular-nums">
      {count === undefined ? <span className="text-muted">–</span> : count.toLocaleString('en')}
    </td>
  )
}

function State({ erasure: { state, leafIndex, requestedAt } }: { erasure: ErasureRow }) {
  if (state === 'refused')
    return <span className="chip whitespace-nowrap bg-raised text-muted">nothing went</span>
  if (state === 'running') {
    return (
      <span
        className="chip bg-warn-soft text-warn"
        title="The keys are destroyed; a place that was derived from the record is not clean yet."
      >
        running
      </span>
    )
  }
  return (
    <>
      <span className="chip bg-ok-soft text-ok">complete</span>
      {leafIndex !== null && (
        <Link
          href={leafLink(requestedAt)}
          className="mt-1 block whitespace-nowrap text-xs text-accent underline decoration-dotted"
        >
          leaf {leafIndex.toLocaleString('en')}
        </Link>
      )}
    </>
  )
}
