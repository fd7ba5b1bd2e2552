'use client'

import { type FormEvent, useState } from 'react'
import type { ErasurePreview } from '../../schemas/api/erasures.ts'
import { ErasureGround, groundText, type Subject } from '../../schemas/erasure.ts'
import { ErasureStepLine } from './erasure-step-line.tsx'
import { FormError } from './form-error.tsx'
import { type ErasureStep, runErasure } from './run-erasure.ts'

/** What would go and what stays, why it goes, and the number of events typed: then it goes. */
export function ErasureOrderForm(props: {
  subjects: readonly Subject[]
  preview: ErasurePreview
  /** Names of the other admins. */
  approvers: readonly string[]
  /** The erasure ended: with its leaf, or undefined when it failed. */
  onEnd: (leafIndex: number | undefined) => Promise<void>
}) {
  const { subjects, preview, approvers, onEnd } = props
  const [typed, setTyped] = useState('')
  const [erasing, setErasing] = useState(false)
  const [step, setStep] = useState<ErasureStep>()
  const [error, setError] = useState<Error>()
  const confirmed = typed.replaceAll(/[\s,]/g, '') === String(preview.events)
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    if (!confirmed) return
    const form = new FormData(event.currentTarget)
    const optional = (name: string) => {
      const text = String(form.get(name) ?? '').trim()
      return text === '' ? {} : { [name]: text }
    }
    const body = {
      target: { kind: 'subject', subjects },
      ground: form.get('ground'),
      ...optional('reference'),
      ...optional('approver'),
    }
    setError(undefined)
    setErasing(true)
    let leafIndex: number | undefined
    try {
      const end = await runErasure('/api/v1/erasures', body, setStep)
      if (end.kind === 'result') leafIndex = end.leafIndex
    } catch (cause) {
      setError(cause instanceof Error ? cause : new Error(String(cause)))
    }
    setStep(undefined)
    setErasing(false)
    await onEnd(leafIndex)
  }
  return (
    <div className="mt-5 space-y-5 border-t border-line pt-5">
      <div className="grid gap-6 md:grid-cols-2">
        <WhatGoes preview={preview} />
        <WhatStays />
      </div>
      <form onSubmit={submit}>
        <fieldset disabled={erasing}>
          <legend className="sr-only">Why it goes</legend>
          <div className="grid gap-3 sm:grid-cols-3">
            <label className="block">
              <span className="label">Ground</span>
              <select name="ground" required defaultValue="" className="field mt-1">
                <option value="" disabled>
                  Why it goes
                </option>
                {ErasureGround.options.map((ground) => (
                  <option key={ground} value={ground}>
                    {groundText[ground]}
                  </option>
                ))}
              </select>
            </label>
            <label className="block">
              <span className="label">Reference, optional</span>
              <input
                name="reference"
                maxLength={64}
                placeholder="Number of the request"
                autoComplete="off"
                className="field mt-1"
              />
              <span className="text-xs text-muted">It stays on the record: never a name.</span>
            </label>
            <label className="block">
              <span className="label">Approved by, optional</span>
              <select name="approver" className="field mt-1">
                <option value="">Nobody else</option>
                {approvers.map((name) => (
                  <option key={name}>{name}</option>
                ))}
              </select>
              <span className="text-xs text-muted">
                Another admin, as you state it; nobody is asked.
              </span>
            </label>
          </div>
          <div className="mt-4 flex flex-wrap items-end gap-3">
            <label className="block">
              <span className="label block">
                Type {preview.events.toLocaleString('en')} to confirm
              </span>
              <input
                value={typed}
                onChange={(event) => setTyped(event.target.value)}
                inputMode="numeric"
                autoComplete="off"
                className="field mt-1 w-44"
              />
            </label>
            <button type="submit" className="button button-danger" disabled={!confirmed}>
              Erase for good
            </button>
            <p className="pb-1.5 text-muted">
              It cannot be undone. What arrives of the person until then goes too.
            </p>
          </div>
        </fieldset>
      </form>
      {erasing && <ErasureStepLine label="Erasure" step={step} />}
      {error !== undefined && <FormError error={error} />}
    </div>
  )
}

function WhatGoes({ preview: { logId, events, months, derived } }: { preview: ErasurePreview }) {
  const rows = [
    ...months.map(({ month, events: count }) => ({ name: `Recorded in ${month}`, count })),
    ...derived.map(({ class: name, events: count }) => ({
      name: derivedNames.get(name) ?? `Texts in records of class ${name}`,
      count,
    })),
  ]
  return (
    <section aria-labelledby="erasure-goes">
      <h3 id="erasure-goes" className="font-semibold">
        What goes: the sealed content of {events.toLocaleString('en')}{' '}
        {events === 1 ? 'event' : 'events'} of log {logId}
      </h3>
      <p className="mt-1 text-muted">
        Who it was, arguments, results, addresses, texts and raw records.
      </p>
      <table className="mt-2 w-full">
        <caption className="sr-only">What goes, counted</caption>
        <tbody className="divide-y divide-line border-y border-line">
          {rows.map(({ name, count }) => (
            <tr key={name}>
              <th scope="row" className="py-1 text-left font-normal">
                {name}
              </th>
              <td className="py-1 text-right tabular-nums">{count.toLocaleString('en')}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

const derivedNames: ReadonlyMap<string, string> = new Map([
  ['finding', 'Findings that lose their text'],
  ['access', 'Notes of who looked at what, that lose their text'],
  ['admin', 'Notes of administration that lose their text'],
])

function WhatStays() {
  return (
    <section aria-labelledby="erasure-stays">
      <h3 id="erasure-stays" className="font-semibold">
        What stays
      </h3>
      <ul className="mt-1 list-disc space-y-1 pl-4 text-muted">
        <li>Every leaf and proof: when something happened, with which tool, how it ended.</li>
        <li>
          What is not sealed: names of tools and servers, scopes, ids of traces, requests and
          workflows that the source chose.
        </li>
        <li>
          What others’ events say about the person: find it with a search, and shred each with{' '}
          <code className="font-mono text-xs text-text">sealtrail shred EVENT_ID</code>.
        </li>
        <li>
          What was given away: bundles that were exported, backups. A restore applies the erasures
          that the log names.
        </li>
        <li>What arrives later: it is recorded, and can be erased again.</li>
      </ul>
    </section>
  )
}
