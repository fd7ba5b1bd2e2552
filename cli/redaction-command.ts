import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import {
  RedactionPolicy,
  RedactionPolicyReply,
  RedactionPreview,
} from '../schemas/api/redaction.ts'
import { SealtrailError } from '../schemas/errors.ts'
import type { ControlClient } from './control-client.ts'
import { systemErrorCode } from './system-error.ts'

const Empty = z.strictObject({})

/** `default` for all sources without a policy of their own, else the id of a source. */
function pathOf(target: string): string {
  return `/api/v1/redaction-policies/${encodeURIComponent(target)}`
}

/** Prints the policy in force as JSON, so that it can be changed and given to `set`. */
export async function showRedactionPolicy(target: string, client: ControlClient): Promise<void> {
  const { policy, origin } = await client.call(RedactionPolicyReply, 'GET', pathOf(target))
  process.stderr.write(`${originText[origin]}\n`)
  process.stdout.write(`${JSON.stringify(policy, undefined, 2)}\n`)
}

const originText: Readonly<Record<RedactionPolicyReply['origin'], string>> = {
  source: 'the policy of this source',
  log: 'the policy of all sources without one of their own',
  built_in: 'the built-in policy: nobody set another one',
}

/** @param file path of a policy as JSON; undefined takes the policy away. */
export async function setRedactionPolicy(
  target: string,
  file: string | undefined,
  client: ControlClient,
): Promise<void> {
  const policy = file === undefined ? null : await readPolicy(file)
  const { version } = await client.call(RedactionPolicyReply, 'GET', pathOf(target))
  await client.call(Empty, 'POST', pathOf(target), { policy, expectedVersion: version })
  process.stdout.write(
    `${policy === null ? 'taken away' : 'set'}; it holds for what is received from now on\n`,
  )
}

/** What a policy would replace in stored events. Changes nothing. */
export async function previewRedactionPolicy(
  target: string,
  options: { readonly file: string | undefined; readonly events: number },
  client: ControlClient,
): Promise<void> {
  const policy =
    options.file === undefined
      ? (await client.call(RedactionPolicyReply, 'GET', pathOf(target))).policy
      : await readPolicy(options.file)
  const preview = await client.call(RedactionPreview, 'POST', `${pathOf(target)}/preview`, {
    policy,
    events: options.events,
  })
  process.stdout.write(previewText(preview))
}

/** Paths hold keys that senders chose: control characters are not given to a terminal. */
export function previewText(preview: RedactionPreview): string {
  const lines = [`${preview.changed} of ${preview.events} events would be changed`]
  for (const { rule, action, values, events } of preview.counts) {
    lines.push(`  ${action} ${rule}: ${values} values in ${events} events`)
    for (const example of preview.examples) {
      if (example.rule !== rule || example.action !== action) continue
      lines.push(
        `    ${example.eventId} ${example.path.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '\u{FFFD}')}`,
      )
    }
  }
  return `${lines.join('\n')}\n`
}

async function readPolicy(file: string): Promise<z.infer<typeof RedactionPolicy>> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    throw new SealtrailError(
      'CONFIG_INVALID',
      `${file} cannot be read: ${systemErrorCode(cause) ?? String(cause)}`,
      { cause },
    )
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new SealtrailError('CONFIG_INVALID', `${file} is not JSON`, { cause })
  }
  const parsed = RedactionPolicy.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new SealtrailError(
    'CONFIG_INVALID',
    `${file}: ${issue?.path.join('.') ?? ''} ${issue?.message ?? 'is not a policy'}`,
    { hint: 'sealtrail redaction show prints one to begin with.' },
  )
}
