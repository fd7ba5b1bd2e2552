'use client'

import { useInfiniteQuery } from '@tanstack/react-query'
import { AdministrationReply, type AdministrationRow } from '../../schemas/api/users.ts'
import { request } from '../api/request.ts'
import { formatInstant } from '../format/instant.ts'
import { HostileText } from './hostile-text.tsx'
import { Empty, Failure, Loading } from './states.tsx'

/** What administrators did and who looked at it, newest first, from the log `_system` itself. */
export function AdministrationLog() {
  const query = useInfiniteQuery({
    queryKey: ['administration'],
    queryFn: ({ pageParam, signal }) =>
      request(AdministrationReply, '/api/v1/administration', {
        params: { limit: 50, before: pageParam },
        signal,
      }),
    initialPageParam: undefined as number | undefined,
    getNextPageParam: (last) => last.next ?? undefined,
  })
  const rows = query.data?.pages.flatMap((page) => page.rows) ?? []
  return (
    <section className="panel" aria-labelledby="administration-title">
      <div className="p-5 pb-3">
        <h2 id="administration-title" className="font-semibold">
          What was administered
        </h2>
        <p className="mt-1 text-muted">
          Each is a leaf of the log <code className="font-mono text-xs">_system</code>, under its
          signed checkpoints. Passwords, keys and secrets are never shown.
        </p>
      </div>
      {query.isPending && <Loading />}
      {query.error !== null && <Failure error={query.error} onRetry={() => query.refetch()} />}
      {query.data !== undefined && rows.length === 0 && <Empty title="Nothing yet" />}
      {rows.length > 0 && (
        <div className="overflow-x-auto border-t border-line">
          <table className="w-full text-sm" aria-labelledby="administration-title">
            <thead>
              <tr className="border-b border-line bg-raised text-left">
                {['Leaf', 'Recorded (UTC)', 'Who', 'What', 'Whom or what', 'Details'].map(
                  (title) => (
                    <th key={title} className="label px-4 py-2">
                      {title}
                    </th>
                  ),
                )}
              </tr>
            </thead>
            <tbody className="divide-y divide-line">
              {rows.map((row) => (
                <Line key={row.leafIndex} row={row} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {query.hasNextPage && (
        <div className="border-t border-line p-3 text-center">
          <button
            type="button"
            className="button"
            disabled={query.isFetchingNextPage}
            onClick={() => query.fetchNextPage()}
          >
            {query.isFetchingNextPage ? 'One moment…' : 'Earlier ones'}
          </button>
        </div>
      )}
    </section>
  )
}

function Line({ row }: { row: AdministrationRow }) {
  return (
    <tr>
      <td className="px-4 py-1.5 text-right font-mono text-xs text-muted">{row.leafIndex}</td>
      <td className="whitespace-nowrap px-4 py-1.5 font-mono text-xs">
        {formatInstant(row.recordedAt).slice(0, 19)}
      </td>
      <td className="px-4 py-1.5">
        <HostileText text={row.actorName ?? row.actor} limit={64} />
      </td>
      <td className="whitespace-nowrap px-4 py-1.5 font-mono text-xs">{row.action}</td>
      <td className="px-4 py-1.5">
        <HostileText text={row.targetName ?? row.target} limit={64} />
      </td>
      <td className="px-4 py-1.5 text-muted">
        <HostileText text={row.change} limit={200} />
      </td>
    </tr>
  )
}
