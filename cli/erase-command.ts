import { z } from 'zod'
import { ErasedList } from '../ledger/backup/erased-list.ts'
import {
  type ErasurePreview,
  ErasureProgress,
  ErasuresReply,
  type ErasureTarget,
} from '../schemas/api/erasures.ts'
import type { ErasureException, ErasureGround } from '../schemas/erasure.ts'
import { type ErrorCode, errorCatalogue, SealtrailError } from '../schemas/errors.ts'
import type { ControlClient } from './control-client.ts'
import { ProgressLine } from './progress-line.ts'

export interface EraseFlags {
  readonly user?: string | undefined
  readonly issuer?: string | undefined
  readonly email?: string | undefined
  readonly source?: string | undefined
  readonly ground?: ErasureGround | undefined
  readonly reference?: string | undefined
  readonly approver?: string | undefined
  readonly refuse?: ErasureException | undefined
  readonly yes?: boolean | undefined
}

/**
 * Shows what an erasure would hit, and with `--yes` erases it.
 *
 * @throws SealtrailError `CONFIG_INVALID` for flags that do not go together, and as the server says
 */
export async function eraseCommand(flags: EraseFlags, client: ControlClient): Promise<void> {
  if (flags.refuse !== undefined) {
    if (flags.reference === undefined) {
      throw new SealtrailError('CONFIG_INVALID', '--refuse needs --reference', {
        hint: 'Name the request by its number: the record of the refusal names nobody.',
      })
    }
    const body = { exception: flags.refuse, reference: flags.reference }
    const { id } = await client.call(
      z.object({ id: z.string() }),
      'POST',
      '/api/v1/erasures/refusals',
      body,
    )
    say(`Refused, and on the record as ${id}. Nothing was erased.`)
    return
  }
  await erase({ kind: 'subject', subjects: subjectsOf(flags) }, flags, client)
}

/** Shows what shredding one event would take away, and with `--yes` does it. */
export async function shredCommand(
  eventId: string,
  flags: EraseFlags,
  client: ControlClient,
): Promise<void> {
  if (!z.uuid().safeParse(eventId).success) {
    throw new SealtrailError('CONFIG_INVALID', `${eventId} is no id of an event`, {
      hint: 'Copy it from the event in the dashboard.',
    })
  }
  await erase({ kind: 'event', eventId }, flags, client)
}

/** Prints what was erased so far, as a restore takes it. */
export async function printErasedList(client: ControlClient): Promise<void> {
  say(JSON.stringify(await client.call(ErasedList, 'GET', '/control/erased')))
}

/** Prints the erasures, and those that were refused. */
export async function listErasures(client: ControlClient): Promise<void> {
  const { erasures } = await client.call(ErasuresReply, 'GET', '/api/v1/erasures')
  if (erasures.length === 0) say('Nothing was erased.')
  for (const each of erasures) {
    const what =
      each.kind === 'refusal'
        ? `refused: ${each.exception}`
        : `${each.kind}, ${counted(each.events, 'event')}, ${each.ground}`
    const where = each.leafIndex === null ? '' : `, leaf ${each.leafIndex}`
    const reference = each.reference === null ? '' : `, ${each.reference}`
    say(`${each.requestedAt.slice(0, 19)}Z  ${each.id}  ${each.state}  ${what}${where}${reference}`)
  }
}

async function erase(
  target: ErasureTarget,
  flags: EraseFlags,
  client: ControlClient,
): Promise<void> {
  if (flags.yes === true && flags.ground === undefined) {
    throw new SealtrailError('CONFIG_INVALID', '--yes needs --ground', {
      hint: 'Why it is erased goes on the record: see the grounds in --help.',
    })
  }
  const preview = await run(client, '/api/v1/erasures/preview', { target })
  if (preview.kind === 'preview') say(previewText(preview.preview))
  if (flags.yes !== true) {
    say('Nothing was erased. It cannot be undone: repeat with --ground and --yes to erase it.')
    return
  }
  const result = await run(client, '/api/v1/erasures', {
    target,
    ground: flags.ground,
    ...(flags.reference === undefined ? {} : { reference: flags.reference }),
    ...(flags.approver === undefined ? {} : { approver: flags.approver }),
  })
  if (result.kind === 'result') {
    say(`Erased: ${result.id}, leaf ${result.leafIndex}. Every proof still verifies.`)
    say('Backups and bundles that were given away still hold it: see docs/erasure.md.')
  }
}

async function run(
  client: ControlClient,
  path: string,
  body: unknown,
): Promise<Extract<ErasureProgress, { kind: 'preview' | 'result' }>> {
  const progress = new ProgressLine()
  try {
    for await (const line of client.lines(ErasureProgress, 'POST', path, body)) {
      if (line.kind === 'progress') progress.update(line.stage, line.done, line.total)
      else if (line.kind === 'problem') throw new SealtrailError(codeOf(line.code), line.detail)
      else return line
    }
  } finally {
    progress.done()
  }
  throw new SealtrailError('INTERNAL', 'the erasure ended without a result')
}

function previewText({ logId, events, months, derived }: ErasurePreview): string {
  return [
    `In log ${logId}: the sealed content of ${counted(events, 'event')}`,
    ...months.map((each) => `  ${each.month}  ${each.events}`),
    ...(derived.length === 0
      ? []
      : [
          'and texts that Sealtrail itself wrote about it:',
          ...derived.map((each) => `  ${each.class}  ${each.events}`),
        ]),
    'Leaves, their clear fields, counts and proofs stay.',
  ].join('\n')
}

function subjectsOf(flags: EraseFlags): Extract<ErasureTarget, { kind: 'subject' }>['subjects'] {
  if (flags.issuer !== undefined && flags.user === undefined) {
    throw new SealtrailError('CONFIG_INVALID', '--issuer goes with --user')
  }
  const subjects = [
    ...(flags.user === undefined
      ? []
      : [{ kind: 'user' as const, id: flags.user, issuer: flags.issuer ?? '' }]),
    ...(flags.email === undefined ? [] : [{ kind: 'email' as const, email: flags.email }]),
    ...(flags.source === undefined ? [] : [{ kind: 'source' as const, id: flags.source }]),
  ]
  if (subjects.length > 0) return subjects
  throw new SealtrailError('CONFIG_INVALID', 'whose data is to be erased is not said', {
    hint: 'Name it with --user (and --issuer), --email or --source.',
  })
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

function codeOf(code: string): ErrorCode {
  const known = Object.keys(errorCatalogue).find((each): each is ErrorCode => each === code)
  return known ?? 'INTERNAL'
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
