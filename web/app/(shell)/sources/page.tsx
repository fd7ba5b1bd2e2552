'use client'

import { useQuery, useQueryClient } from '@tanstack/react-query'
import Link from 'next/link'
import { type FormEvent, useState } from 'react'
import { Me } from '../../../../schemas/api/session.ts'
import { CreateSourceKeyReply, SourcesReply } from '../../../../schemas/api/sources.ts'
import { request } from '../../../api/request.ts'
import { CommandLine } from '../../../components/command-line.tsx'
import { SourceTable } from '../../../components/source-table.tsx'
import { Empty, Failure, Loading } from '../../../components/states.tsx'

export default function SourcesPage() {
  const me = useQuery({
    queryKey: ['me'],
    queryFn: ({ signal }) => request(Me, '/api/v1/me', { signal }),
  })
  const mayChange = me.data?.user.role === 'admin'
  const query = useQuery({
    queryKey: ['sources'],
    queryFn: ({ signal }) => request(SourcesReply, '/api/v1/sources', { signal }),
    refetchInterval: 5000,
  })
  const [created, setCreated] = useState<CreateSourceKeyReply>()
  return (
    <div className="mx-auto max-w-7xl space-y-5 p-6">
      <header className="flex flex-wrap items-end justify-between gap-4">
        <div className="min-w-0 flex-1 basis-72">
          <h1 className="text-xl font-semibold tracking-tight">Sources</h1>
          <p className="text-muted">
            Gateways, servers and clients that may put records into the log, each with a key of its
            own.{' '}
            <Link href="/sources/redaction" className="text-accent underline decoration-dotted">
              What is replaced in their records
            </Link>
            {' · '}
            <Link href="/sources/keys" className="text-accent underline decoration-dotted">
              Keys and their rotation
            </Link>
          </p>
        </div>
        {mayChange && <NewSource onCreated={setCreated} />}
      </header>
      {created !== undefined && (
        <ShownOnce created={created} onDone={() => setCreated(undefined)} />
      )}
      {query.isPending && <Loading />}
      {query.error !== null && <Failure error={query.error} onRetry={() => query.refetch()} />}
      {query.data?.sources.length === 0 && (
        <div className="panel">
          <Empty title="No source yet">
            <p>{mayChange ? 'Make one above. Its key is shown once.' : 'An admin can make one.'}</p>
          </Empty>
        </div>
      )}
      {query.data !== undefined && query.data.sources.length > 0 && (
        <SourceTable sources={query.data.sources} mayChange={mayChange} />
      )}
    </div>
  )
}

function NewSource({ onCreated }: { onCreated: (created: CreateSourceKeyReply) => void }) {
  const client = useQueryClient()
  const [error, setError] = useState<string>()
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    try {
      onCreated(
        await request(CreateSourceKeyReply, '/api/v1/source-keys', {
          method: 'POST',
          body: { name: String(new FormData(form).get('name')) },
        }),
      )
      form.reset()
      setError(undefined)
      await client.invalidateQueries({ queryKey: ['sources'] })
    } catch (cause) {
      setError(cause instanceof Error ? cause.message : String(cause))
    }
  }
  return (
    <form onSubmit={submit} className="flex items-center gap-2">
      {error !== undefined && (
        <span role="alert" className="text-sm text-bad">
          {error}
        </span>
      )}
      <input
        name="name"
        aria-label="Name of the new source"
        placeholder="Name, e.g. laptop or gateway"
        required
        maxLength={64}
        className="field w-60 max-sm:w-auto max-sm:flex-1"
      />
      <button type="submit" className="button button-primary shrink-0 py-2">
        New source
      </button>
    </form>
  )
}

function ShownOnce({ created, onDone }: { created: CreateSourceKeyReply; onDone: () => void }) {
  const origin = typeof window === 'undefined' ? '' : window.location.origin
  const lines = [
    { title: 'Key: the Bearer token of gateways, servers and scripts', text: created.key },
    { title: 'Secret: for the Sealtrail tap, which derives the key', text: created.secret },
    {
      title: 'Ship a first event',
      text: `curl ${origin}/v1/events -H 'authorization: Bearer ${created.key}' -H 'content-type: application/json' -d '{"event.class":"tool_call","gen_ai.tool.name":"hello","mcp.server.name":"demo"}'`,
    },
    {
      title: 'Tap an MCP server',
      text: `SEALTRAIL_SOURCE_SECRET=${created.secret} sealtrail tap --server files -- npx mcp-server-filesystem /srv`,
    },
  ]
  return (
    <section className="panel border-accent p-5" aria-label="The new source">
      <h2 className="font-semibold">Shown once: copy it now</h2>
      <p className="text-muted">Only a hash of the key is kept.</p>
      <dl className="mt-3 space-y-3">
        {lines.map(({ title, text }) => (
          <div key={title}>
            <dt className="label">{title}</dt>
            <dd className="mt-1">
              <CommandLine command={text} />
            </dd>
          </div>
        ))}
      </dl>
      <button type="button" className="button mt-4" onClick={onDone}>
        I have copied it
      </button>
    </section>
  )
}
