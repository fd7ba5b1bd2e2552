'use client'

import { useQuery } from '@tanstack/react-query'
import Link from 'next/link'
import { SourcesReply } from '../../schemas/api/sources.ts'
import { request } from '../api/request.ts'
import { Empty } from './states.tsx'

/** Nothing in sight: either there is no source yet, or it is quiet, or it was quiet lately. */
export function FirstRun({ range, onWiden }: { range: string; onWiden: () => void }) {
  const sources = useQuery({ queryKey: ['sources'], queryFn: ({ signal }) => request(SourcesReply, '/api/v1/sources', { signal }), refetchInterval: 3000 })
  const known = sources.data?.sources ?? []
  const delivered = known.some(({ lastEventAt }) => lastEventAt !== null)
  if (delivered) {
    return (
      <Empty title="Nothing happened in this time range">
        <p>Sources have delivered before.</p>
        {range !== '30d' && (
          <button type="button" className="button mt-4" onClick={onWiden}>
            Look at 30 days
          </button>
        )}
      </Empty>
    )
  }
  return (
    <Empty title="Waiting for the first event">
      <p>
        Make a key on <Link href="/sources" className="text-accent underline">Sources</Link>, then put the tap in front of an MCP server or point your gateway at it. This page shows the first event as
        soon as it is on the record.
      </p>
    </Empty>
  )
}
