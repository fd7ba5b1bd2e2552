'use client'

import { useQuery } from '@tanstack/react-query'
import Link from 'next/link'
import { useQueryState } from 'nuqs'
import { RedactionPolicyReply } from '../../../../../schemas/api/redaction.ts'
import { Me } from '../../../../../schemas/api/session.ts'
import { SourcesReply } from '../../../../../schemas/api/sources.ts'
import { request } from '../../../../api/request.ts'
import { RedactionPolicyForm } from '../../../../components/redaction-policy-form.tsx'
import { Failure, Loading } from '../../../../components/states.tsx'

const originText: Readonly<Record<RedactionPolicyReply['origin'], string>> = {
  source: 'This source has a policy of its own.',
  log: 'The policy of all sources holds here: this source has none of its own.',
  built_in: 'The built-in policy holds: nobody has set another one.',
}

/** What is replaced in records before they are stored: of all sources, or of one. */
export default function RedactionPage() {
  const [target, setTarget] = useQueryState('source', { defaultValue: 'default' })
  const me = useQuery({
    queryKey: ['me'],
    queryFn: ({ signal }) => request(Me, '/api/v1/me', { signal }),
  })
  const sources = useQuery({
    queryKey: ['sources'],
    queryFn: ({ signal }) => request(SourcesReply, '/api/v1/sources', { signal }),
  })
  const policy = useQuery({
    queryKey: ['redaction-policy', target],
    queryFn: ({ signal }) =>
      request(RedactionPolicyReply, `/api/v1/redaction-policies/${encodeURIComponent(target)}`, {
        signal,
      }),
    // What somebody else saves must not change a form under the fingers of who fills it.
    refetchOnWindowFocus: false,
  })
  return (
    <div className="mx-auto max-w-4xl space-y-5 p-6">
      <header>
        <p className="text-sm">
          <Link href="/sources" className="text-accent underline decoration-dotted">
            Sources
          </Link>{' '}
          <span aria-hidden>/</span>
        </p>
        <h1 className="text-xl font-semibold tracking-tight">Redaction</h1>
        <p className="max-w-2xl text-muted">
          Credentials are always replaced before a record is stored. What else is, is said here. It
          holds for what is received from then on: the ledger is never rewritten.
        </p>
      </header>
      <label className="flex max-w-xl items-center gap-3">
        <span className="label shrink-0">Policy of</span>
        <select
          className="field"
          value={target}
          onChange={(event) => void setTarget(event.currentTarget.value)}
        >
          <option value="default">all sources without one of their own</option>
          {sources.data?.sources
            .filter((source) => source.revokedAt === null)
            .map((source) => (
              <option key={source.id} value={source.id}>
                {source.name.slice(0, 64)} ({source.id})
              </option>
            ))}
        </select>
      </label>
      {policy.isPending && <Loading />}
      {policy.error !== null && <Failure error={policy.error} onRetry={() => policy.refetch()} />}
      {policy.data !== undefined && (
        <>
          <p role="status">{originText[policy.data.origin]}</p>
          <RedactionPolicyForm
            key={`${target} ${policy.data.version}`}
            target={target}
            reply={policy.data}
            mayChange={me.data?.user.role === 'admin'}
          />
        </>
      )}
    </div>
  )
}
