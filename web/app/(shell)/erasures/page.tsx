'use client'

import { useQuery } from '@tanstack/react-query'
import { ErasuresReply } from '../../../../schemas/api/erasures.ts'
import { Me } from '../../../../schemas/api/session.ts'
import { UsersReply } from '../../../../schemas/api/users.ts'
import { request } from '../../../api/request.ts'
import { ErasureForm } from '../../../components/erasure-form.tsx'
import { ErasureList } from '../../../components/erasure-list.tsx'
import { RefusalForm } from '../../../components/refusal-form.tsx'
import { Empty, Failure, Loading } from '../../../components/states.tsx'

/** What was erased and refused. Auditors read it; admins erase. */
export default function ErasuresPage() {
  const me = useQuery({
    queryKey: ['me'],
    queryFn: ({ signal }) => request(Me, '/api/v1/me', { signal }),
  })
  const query = useQuery({
    queryKey: ['erasures'],
    queryFn: ({ signal }) => request(ErasuresReply, '/api/v1/erasures', { signal }),
    refetchInterval: ({ state }) =>
      state.data?.erasures.some((erasure) => erasure.state === 'running') === true ? 2000 : 30_000,
  })
  const mayErase = me.data?.user.role === 'admin'
  const users = useQuery({
    queryKey: ['users'],
    queryFn: ({ signal }) => request(UsersReply, '/api/v1/users', { signal }),
    enabled: query.data !== undefined,
  })
  const everybody = users.data?.users ?? []
  const approvers = everybody
    .filter(
      ({ id, role, state }) => role === 'admin' && state !== 'disabled' && id !== me.data?.user.id,
    )
    .map(({ name }) => name)
  return (
    <div className="mx-auto max-w-6xl space-y-5 p-6">
      <title>Erasures · Sealtrail</title>
      <header>
        <h1 className="text-xl font-semibold tracking-tight">Erasures</h1>
        <p className="max-w-3xl text-muted">
          A person’s data goes; the record stays whole. The keys that open it are destroyed, every
          copy that was derived from it is cleaned, and a leaf of the log says so.
        </p>
      </header>
      {query.isPending && <Loading />}
      {query.error !== null && <Failure error={query.error} onRetry={() => query.refetch()} />}
      {query.data !== undefined && (
        <>
          {mayErase && <ErasureForm approvers={approvers} />}
          {mayErase && <RefusalForm />}
          <section className="panel overflow-hidden" aria-labelledby="erasures-title">
            <div className="p-5 pb-3">
              <h2 id="erasures-title" className="font-semibold">
                What was erased and refused
              </h2>
              <p className="mt-1 text-muted">
                Newest first. It names nobody: the reference leads to the request in your own
                register.
              </p>
            </div>
            {query.data.erasures.length === 0 ? (
              <Empty title="Nothing was erased or refused" />
            ) : (
              <ErasureList
                erasures={query.data.erasures}
                names={new Map(everybody.map(({ id, name }) => [id, name]))}
              />
            )}
          </section>
        </>
      )}
    </div>
  )
}
