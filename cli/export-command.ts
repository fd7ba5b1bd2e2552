import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { ExportProgress } from '../schemas/api/exports.ts'
import { type ErrorCode, errorCatalogue, SealtrailError } from '../schemas/errors.ts'
import { normaliseTimestamp } from '../schemas/event/timestamp.ts'
import type { ControlClient } from './control-client.ts'
import { ProgressLine } from './progress-line.ts'
import { systemErrorCode } from './system-error.ts'

export interface ExportFlags {
  readonly from: string
  readonly to: string
  readonly query: string
  readonly out: string
}

/** Writes an evidence bundle into a new or empty folder. */
export async function exportCommand(flags: ExportFlags, client: ControlClient): Promise<void> {
  const from = readTime(flags.from, '--from')
  const until = readTime(flags.to, '--to')
  if (from >= until) {
    throw new SealtrailError(
      'CONFIG_INVALID',
      `--from ${flags.from} is not before --to ${flags.to}`,
      {
        hint: '--to names the end of the range, which is not part of it: one day is --from 2026-11-24 --to 2026-11-25.',
      },
    )
  }
  await prepareFolder(flags.out)
  const body = { q: flags.query, from, until }
  const progress = new ProgressLine()
  for await (const line of client.lines(ExportProgress, 'POST', '/api/v1/exports', body)) {
    if (line.kind === 'progress') progress.update('export', line.done, line.total)
    else if (line.kind === 'problem') throw new SealtrailError(codeOf(line.code), line.detail)
    else {
      progress.done()
      try {
        for (const name of line.files) {
          await writeFile(
            join(flags.out, name),
            await client.bytes('GET', `/api/v1/exports/${line.id}/${name}`),
          )
        }
      } finally {
        // Also of a bundle that could not be written: it holds opened records.
        await client.call(z.object({}), 'DELETE', `/api/v1/exports/${line.id}`)
      }
      process.stdout.write(
        `${line.rows === 0 ? '0 rows (nothing matched)' : `${line.rows} rows`}, export leaf ${line.exportLeaf}, in ${flags.out}\n`,
      )
      process.stdout.write(
        `Check it: node '${join(flags.out, 'verify.mjs')}' '<verifier key>' '${flags.out}'   (see VERIFY.md; sealtrail vkey prints the key)\n`,
      )
    }
  }
}

/** Before the export leaf is written: a bundle that has no place to go must not be on the record. */
async function prepareFolder(out: string): Promise<void> {
  let names: string[]
  try {
    // Not recursive: where the system refuses a name, Node would try for ever.
    // What a bundle opens is sealed everywhere else: it is its owner's until he gives it away.
    await mkdir(out, { mode: 0o700 }).catch((error: unknown) => {
      if (systemErrorCode(error) !== 'EEXIST') throw error
    })
    names = await readdir(out)
  } catch (cause) {
    const code = systemErrorCode(cause) ?? String(cause)
    throw new SealtrailError('CONFIG_INVALID', `--out ${out} cannot be made: ${code}`, {
      cause,
      hint: 'Name a new or empty folder in one that exists and that you may write to.',
    })
  }
  if (names.length > 0) {
    throw new SealtrailError('CONFIG_INVALID', `--out ${out} is not empty`, {
      hint: 'Name a new folder with --out.',
    })
  }
}

function codeOf(code: string): ErrorCode {
  const known = Object.keys(errorCatalogue).find((each): each is ErrorCode => each === code)
  return known ?? 'INTERNAL'
}

/** A day, or an RFC 3339 time. */
function readTime(text: string, flag: string): string {
  const normal = normaliseTimestamp(/^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00Z` : text)
  if (normal === undefined) {
    throw new SealtrailError('CONFIG_INVALID', `${flag} ${text} is no day and no RFC 3339 time`, {
      hint: 'For example 2026-11-24 or 2026-11-24T13:00:00Z.',
    })
  }
  return normal
}
