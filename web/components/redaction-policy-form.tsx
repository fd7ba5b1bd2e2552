'use client'

import { useQueryClient } from '@tanstack/react-query'
import { Plus, X } from 'lucide-react'
import { useState } from 'react'
import { z } from 'zod'
import {
  RedactionPolicy,
  type RedactionPolicyReply,
  RedactionPreview,
  redactableFields,
} from '../../schemas/api/redaction.ts'
import {
  type PathAction,
  type PersonalDataKind,
  type RedactionPolicy as Policy,
  pathActions,
  personalDataKinds,
} from '../../schemas/redaction-policy.ts'
import { request } from '../api/request.ts'
import { RedactionPreviewPanel } from './redaction-preview-panel.tsx'
import { Failure } from './states.tsx'

const kindText: Readonly<Record<PersonalDataKind, string>> = {
  email: 'Mail address',
  phone: 'Telephone number',
  card: 'Payment card',
  iban: 'Bank account (IBAN)',
  'us-ssn': 'US social security number',
  'uk-nino': 'UK national insurance number',
  'de-tax-id': 'German tax id',
  'fr-nir': 'French social security number',
  'es-dni': 'Spanish DNI and NIE',
  'it-codice-fiscale': 'Italian codice fiscale',
  'nl-bsn': 'Dutch BSN',
  'pl-pesel': 'Polish PESEL',
  'br-cpf': 'Brazilian CPF',
  'in-aadhaar': 'Indian Aadhaar',
}

const actionText: Readonly<Record<PathAction, string>> = {
  hash: 'hash: equal values stay comparable',
  drop: 'drop: nothing is left of it',
  keep: 'keep: only credentials are replaced',
}

interface Row {
  readonly id: number
  readonly path: string
  readonly action: PathAction
}

let nextRow = 0
const newRow = (path: string, action: PathAction): Row => ({ id: nextRow++, path, action })

/** A policy to be changed, tried on stored events, and saved. */
export function RedactionPolicyForm(props: {
  target: string
  reply: RedactionPolicyReply
  mayChange: boolean
}) {
  const { target, reply, mayChange } = props
  const client = useQueryClient()
  const [kinds, setKinds] = useState<ReadonlySet<PersonalDataKind>>(
    new Set(reply.policy.personalData),
  )
  const [rows, setRows] = useState(() =>
    reply.policy.paths.map(({ path, action }) => newRow(path, action)),
  )
  const [entropyHints, setEntropyHints] = useState(reply.policy.entropyHints)
  const [preview, setPreview] = useState<RedactionPreview>()
  const [running, setRunning] = useState<'preview' | 'save'>()
  const [error, setError] = useState<Error>()

  const policy: Policy = {
    personalData: personalDataKinds.filter((kind) => kinds.has(kind)),
    paths: rows.map(({ path, action }) => ({ path: path.trim(), action })),
    entropyHints,
  }
  const changed = JSON.stringify(policy) !== JSON.stringify(reply.policy)
  const problems = problemsOf(policy)
  const valid = problems.size === 0
  const url = `/api/v1/redaction-policies/${encodeURIComponent(target)}`

  const run = async (what: 'preview' | 'save', work: () => Promise<void>) => {
    setRunning(what)
    setError(undefined)
    try {
      await work()
    } catch (cause) {
      setError(cause instanceof Error ? cause : new Error(String(cause)))
    }
    setRunning(undefined)
  }
  const save = (next: Policy | null) =>
    run('save', async () => {
      const body = { policy: next, expectedVersion: reply.version }
      await request(z.strictObject({}), url, { method: 'POST', body })
      await client.invalidateQueries({ queryKey: ['redaction-policy'] })
    })
  const tryOut = () =>
    run('preview', async () => {
      setPreview(
        await request(RedactionPreview, `${url}/preview`, { method: 'POST', body: { policy } }),
      )
    })
  const editRow = (id: number, edit: Partial<Row>) =>
    setRows(rows.map((row) => (row.id === id ? { ...row, ...edit } : row)))

  return (
    <form
      className="space-y-5"
      onSubmit={(event) => {
        event.preventDefault()
        if (changed && valid) void save(policy)
      }}
    >
      <fieldset className="panel p-4" disabled={!mayChange}>
        <legend className="label px-1">Personal data, recognised by its form</legend>
        <div className="grid grid-cols-1 gap-x-6 gap-y-1 sm:grid-cols-2 lg:grid-cols-3">
          {personalDataKinds.map((kind) => (
            <label key={kind} className="flex min-h-7 items-center gap-2">
              <input
                type="checkbox"
                checked={kinds.has(kind)}
                onChange={(event) => {
                  const next = new Set(kinds)
                  if (event.currentTarget.checked) next.add(kind)
                  else next.delete(kind)
                  setKinds(next)
                }}
              />
              {kindText[kind]}
            </label>
          ))}
        </div>
        <p className="mt-2 text-muted">
          Looked for in arguments, results, texts and raw records. Who made a call stays on record.
        </p>
      </fieldset>

      <fieldset className="panel p-4" disabled={!mayChange}>
        <legend className="label px-1">Paths</legend>
        {rows.length === 0 && <p className="text-muted">No path is treated in a way of its own.</p>}
        <ol className="space-y-2">
          {rows.map((row, at) => {
            const problem = problems.get(at)
            const problemId = `path-problem-${row.id}`
            return (
              <li key={row.id}>
                <div className="flex flex-wrap items-center gap-2">
                  <input
                    className="field min-w-64 flex-1 font-mono text-xs"
                    aria-label={`Path ${at + 1}`}
                    aria-invalid={problem !== undefined}
                    aria-describedby={problem === undefined ? undefined : problemId}
                    list="redactable-fields"
                    placeholder="/gen_ai.tool.call.arguments/customer/name"
                    value={row.path}
                    onChange={(event) => editRow(row.id, { path: event.currentTarget.value })}
                  />
                  <select
                    className="field w-auto"
                    aria-label={`What happens at path ${at + 1}`}
                    value={row.action}
                    onChange={(event) => {
                      const action = pathActions.find((each) => each === event.currentTarget.value)
                      if (action !== undefined) editRow(row.id, { action })
                    }}
                  >
                    {pathActions.map((action) => (
                      <option key={action} value={action}>
                        {actionText[action]}
                      </option>
                    ))}
                  </select>
                  <button
                    type="button"
                    className="icon-button"
                    aria-label={`Remove path ${at + 1}`}
                    onClick={() => setRows(rows.filter((each) => each.id !== row.id))}
                  >
                    <X className="size-4" aria-hidden />
                  </button>
                </div>
                {problem !== undefined && (
                  <p id={problemId} className="mt-1 text-xs text-bad">
                    {problem}
                  </p>
                )}
              </li>
            )
          })}
        </ol>
        <datalist id="redactable-fields">
          {redactableFields.map((field) => (
            <option key={field} value={`/${field}`} />
          ))}
        </datalist>
        <button
          type="button"
          className="button mt-3"
          onClick={() => setRows([...rows, newRow('', 'hash')])}
        >
          <Plus className="size-4" aria-hidden /> Add a path
        </button>
        <p className="mt-2 text-muted">
          <code className="font-mono text-xs">*</code> stands for any one step,{' '}
          <code className="font-mono text-xs">**</code> for any number of them. The first path that
          matches decides. A record that loses a value loses its raw form too, unless a path into{' '}
          <code className="font-mono text-xs">/raw.record</code> says where the value stands there.
        </p>
      </fieldset>

      <fieldset className="panel p-4" disabled={!mayChange}>
        <legend className="label px-1">Hints</legend>
        <label className="flex min-h-7 items-center gap-2">
          <input
            type="checkbox"
            checked={entropyHints}
            onChange={(event) => setEntropyHints(event.currentTarget.checked)}
          />
          Note text that looks random on the record (it is kept)
        </label>
      </fieldset>

      {error !== undefined && <Failure error={error} />}
      {mayChange ? (
        <div className="flex flex-wrap items-center gap-2">
          <button
            type="submit"
            className="button button-primary"
            disabled={!changed || !valid || running !== undefined}
          >
            {running === 'save' ? 'Saving…' : 'Save'}
          </button>
          <button
            type="button"
            className="button"
            disabled={!valid || running !== undefined}
            onClick={tryOut}
          >
            {running === 'preview' ? 'Looking at stored events…' : 'Preview on stored events'}
          </button>
          {hasOwnPolicy(target, reply) && (
            <button
              type="button"
              className="button button-danger"
              disabled={running !== undefined}
              onClick={() => save(null)}
            >
              Take this policy away
            </button>
          )}
          <span role="status" className="text-muted">
            {changed ? 'Not saved yet.' : ''}
          </span>
        </div>
      ) : (
        <p className="text-muted">An administrator can change this.</p>
      )}
      {preview !== undefined && <RedactionPreviewPanel preview={preview} />}
    </form>
  )
}

function hasOwnPolicy(target: string, { origin }: RedactionPolicyReply): boolean {
  return origin === 'source' || (origin === 'log' && target === 'default')
}

/** By index of the path: what is wrong with it. */
function problemsOf(policy: Policy): ReadonlyMap<number, string> {
  const problems = new Map<number, string>()
  for (const { path, message } of RedactionPolicy.safeParse(policy).error?.issues ?? []) {
    if (path[0] === 'paths' && typeof path[1] === 'number') problems.set(path[1], message)
  }
  return problems
}
