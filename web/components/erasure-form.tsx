'use client'

import { useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useEffect, useRef, useState } from 'react'
import type { ErasurePreview } from '../../schemas/api/erasures.ts'
import type { Subject } from '../../schemas/erasure.ts'
import { ErasureOrderForm } from './erasure-order-form.tsx'
import { ErasureStepLine } from './erasure-step-line.tsx'
import { FormError } from './form-error.tsx'
import { type ErasureStep, runErasure } from './run-erasure.ts'

interface Previewed {
  readonly subjects: readonly Subject[]
  readonly preview: ErasurePreview
}

const names = [
  { name: 'user', title: 'User id', placeholder: 'e.g. 4711 or ann.lee' },
  { name: 'issuer', title: 'Issuer of the user id', placeholder: 'e.g. https://id.example' },
  { name: 'email', title: 'E-mail address', placeholder: 'e.g. ann@example.com' },
  { name: 'source', title: 'Source id', placeholder: 'for what has neither of them' },
] as const

/** Names a person, shows what would go, and erases it. Nothing goes before the number of events was typed. */
export function ErasureForm({ approvers }: { approvers: readonly string[] }) {
  const client = useQueryClient()
  const [step, setStep] = useState<ErasureStep>()
  const [previewing, setPreviewing] = useState(false)
  const [previewed, setPreviewed] = useState<Previewed>()
  const [missing, setMissing] = useState(false)
  const [error, setError] = useState<Error>()
  const [erasedAt, setErasedAt] = useState<number>()
  const form = useRef<HTMLFormElement>(null)
  const outcome = useRef<HTMLParagraphElement>(null)
  useEffect(() => {
    if (erasedAt !== undefined) outcome.current?.focus()
  }, [erasedAt])
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const subjects = subjectsOf(new FormData(event.currentTarget))
    setPreviewed(undefined)
    setErasedAt(undefined)
    setError(undefined)
    setMissing(subjects.length === 0)
    if (subjects.length === 0) return
    setPreviewing(true)
    try {
      const body = { target: { kind: 'subject', subjects } }
      const end = await runErasure('/api/v1/erasures/preview', body, setStep)
      if (end.kind === 'preview') setPreviewed({ subjects, preview: end.preview })
    } catch (cause) {
      setError(cause instanceof Error ? cause : new Error(String(cause)))
    }
    setStep(undefined)
    setPreviewing(false)
  }
  const onEnd = async (leafIndex: number | undefined) => {
    if (leafIndex !== undefined) {
      setErasedAt(leafIndex)
      setPreviewed(undefined)
      // The names stay nowhere, not even here.
      form.current?.reset()
    }
    // What other screens remember may hold what is gone.
    client.removeQueries({ type: 'inactive' })
    await client.invalidateQueries({ queryKey: ['erasures'] })
  }
  return (
    <section className="panel relative p-5" aria-labelledby="erase-title">
      <h2 id="erase-title" className="font-semibold">
        Erase a person
      </h2>
      <p className="mt-1 max-w-3xl text-muted">
        An event belongs to its user id and issuer where it has them, else to its e-mail address,
        else to its source. One person may be known under several: fill in all that you know.
      </p>
      <form
        ref={form}
        onSubmit={submit}
        // What was shown is about other names now.
        onChange={() => setPreviewed(undefined)}
        className="mt-4"
      >
        <fieldset disabled={previewing}>
          <legend className="sr-only">Whose data</legend>
          <div className="grid gap-3 sm:grid-cols-2">
            {names.map(({ name, title, placeholder }) => (
              <label key={name} className="block">
                <span className="label">{title}</span>
                <input
                  name={name}
                  type={name === 'email' ? 'email' : 'text'}
                  maxLength={256}
                  placeholder={placeholder}
                  autoComplete="off"
                  spellCheck={false}
                  className="field mt-1"
                />
              </label>
            ))}
          </div>
          <button type="submit" className="button mt-4">
            Show what would go
          </button>
        </fieldset>
      </form>
      {missing && (
        <p role="alert" className="mt-4 text-bad">
          Fill in a user id, an e-mail address or a source id.
        </p>
      )}
      {previewing && <ErasureStepLine label="Preview" step={step} />}
      {error !== undefined && (
        <div className="mt-4">
          <FormError error={error} />
        </div>
      )}
      {erasedAt !== undefined && (
        <p
          ref={outcome}
          role="status"
          tabIndex={-1}
          className="mt-4 rounded-md bg-ok-soft px-3 py-2"
        >
          <span className="font-semibold text-ok">
            Erased, and on the record as leaf {erasedAt.toLocaleString('en')}.
          </span>{' '}
          Every proof still verifies. Backups and bundles that were given away still hold it.
        </p>
      )}
      {previewed !== undefined && (
        <ErasureOrderForm
          subjects={previewed.subjects}
          preview={previewed.preview}
          approvers={approvers}
          onEnd={onEnd}
        />
      )}
    </section>
  )
}

function subjectsOf(form: FormData): Subject[] {
  const text = (name: (typeof names)[number]['name']) => String(form.get(name) ?? '').trim()
  const [id, issuer, email, source] = [text('user'), text('issuer'), text('email'), text('source')]
  return [
    ...(id === '' ? [] : [{ kind: 'user' as const, id, issuer }]),
    ...(email === '' ? [] : [{ kind: 'email' as const, email }]),
    ...(source === '' ? [] : [{ kind: 'source' as const, id: source }]),
  ]
}
