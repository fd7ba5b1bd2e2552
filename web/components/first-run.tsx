'use client'

import { useQuery } from '@tanstack/react-query'
import Link from 'next/link'
import { useEffect } from 'react'
import { SourcesReply } from '../../schemas/api/sources.ts'
import { request } from '../api/request.ts'
import { CommandLine } from './command-line.tsx'
import { Empty, Loading } from './states.tsx'

/** Nothing in sight: either there is no source yet, or it is quiet, or it was quiet lately. Looks again by itself. */
export function FirstRun({
  range,
  onWiden,
  onArrived,
}: {
  range: string
  onWiden: () => void
  onArrived: () => void
}) {
  const sources = useQuery({
    queryKey: ['sources'],
    queryFn: ({ signal }) => request(SourcesReply, '/api/v1/sources', { signal }),
    refetchInterval: 3000,
  })
  const known = sources.data?.sources ?? []
  const delivered = known.some(({ lastEventAt }) => lastEventAt !== null)
  const live = known.filter(({ revokedAt }) => revokedAt === null)
  useEffect(() => {
    if (!delivered) return
    const timer = setInterval(onArrived, 5000)
    return () => clearInterval(timer)
  }, [delivered, onArrived])
  if (sources.isPending) return <Loading />
  if (delivered) {
    return (
      <Empty title="Nothing happened in this time range">
        <p>Sources have delivered before. This page looks again every few seconds.</p>
        {range !== '90d' && (
          <button type="button" className="button mt-4" onClick={onWiden}>
            Last 90 days
          </button>
        )}
      </Empty>
    )
  }
  return (
    <Empty title="Waiting for the first event">
      <div className="space-y-4 text-left">
        <p>
          {live.length === 0
            ? 'Make a key for your first source on '
            : 'Send a first event with a key of '}
          <Link href="/sources" className="text-accent underline">
            Sources
          </Link>
          , then put the tap in front of an MCP server:
        </p>
        <CommandLine command="SEALTRAIL_SOURCE_SECRET=… sealtrail tap --server files -- npx @modelcontextprotocol/server-filesystem /srv" />
        <p>Or see it at work first, with published MCP servers and one agent that is misled:</p>
        <CommandLine command="sealtrail demo" />
        <p className="flex items-center gap-2" role="status">
          <span className="relative flex size-2.5" aria-hidden>
            <span className="absolute inline-flex size-full animate-ping rounded-full bg-accent opacity-60" />
            <span className="relative inline-flex size-2.5 rounded-full bg-accent" />
          </span>
          Looking every three seconds; the first event appears here by itself.
        </p>
      </div>
    </Empty>
  )
}
