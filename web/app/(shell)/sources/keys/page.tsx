'use client'

import { useQuery } from '@tanstack/react-query'
import Link from 'next/link'
import { Me } from '../../../../../schemas/api/session.ts'
import { SourceKeysReply } from '../../../../../schemas/api/sources.ts'
import { request } from '../../../../api/request.ts'
import { SourceKeysPanel } from '../../../../components/source-keys-panel.tsx'
import { Empty, Failure, Loading } from '../../../../components/states.tsx'

/** Keys of all sources: which work, until when, and when they were last used. */
export default function SourceKeysPage() {
  const me = useQuery({
    queryKey: ['me'],
    queryFn: ({ signal }) => request(Me, '/api/v1/me', { signal }),
  })
  const query = useQuery({
    queryKey: ['source-keys'],
    queryFn: ({ signal }) => request(SourceKeysReply, '/api/v1/source-keys', { signal }),
  })
  return (
    <div className="mx-auto max-w-4xl space-y-5 p-6">
      <header>
        <p className="text-sm">
          <Link href="/sources" className="text-accent underline decoration-dotted">
            Sources
          </Link>
        </p>
        <h1 className="text-xl font-semibold tracking-tight">Keys of sources</h1>
        <p className="text-muted">
          A rotation makes a new key and lets the former one work for a while, so that nothing is
          lost while you replace it.
        </p>
      </header>
      {query.isPending && <Loading />}
      {query.error !== null && <Failure error={query.error} onRetry={() => query.refetch()} />}
      {query.data?.sources.length === 0 && (
        <div className="panel">
          <Empty title="No source yet">
            <p>Make one under Sources.</p>
          </Empty>
        </div>
      )}
      {query.data?.sources.map((source) => (
        <SourceKeysPanel
          key={source.id}
          source={source}
          mayChange={me.data?.user.role === 'admin'}
        />
      ))}
    </div>
  )
}
