import { isSealtrailError } from '../schemas/errors.ts'
import { type Configuration, readConfiguration } from './configuration.ts'
import type { ControlClient } from './control-client.ts'
import { certificate } from './doctor/certificate-check.ts'
import { type Check, type Finding, fail, ok } from './doctor/check.ts'
import { disk, permissions, warnings } from './doctor/directory-checks.ts'
import { engine, keys, ledger } from './doctor/ledger-checks.ts'
import { limits, ports, runtime } from './doctor/machine-checks.ts'

/** In the order in which they are printed. A new one is a file or a function in cli/doctor, and a name here. */
export const checks: readonly Check[] = [
  runtime,
  limits,
  disk,
  permissions,
  ports,
  certificate,
  keys,
  ledger,
  engine,
  warnings,
]

export interface DoctorFlags {
  /** Absolute path. */
  readonly data: string
  readonly json?: boolean | undefined
}

export interface Diagnosis extends Finding {
  readonly check: string
}

/** Everything that was found, check by check. */
export async function* diagnose(
  directory: string,
  running: ControlClient | undefined,
  chosen: readonly Check[] = checks,
): AsyncGenerator<Diagnosis> {
  let configuration: Configuration | undefined
  try {
    configuration = readConfiguration({ data: directory }, process.env)
    yield { check: 'settings', ...ok('flags and environment are valid') }
  } catch (error) {
    if (!isSealtrailError(error)) throw error
    yield { check: 'settings', ...fail(error.message, error.hint ?? 'See sealtrail up --help.') }
  }
  for (const check of chosen) {
    for (const finding of await runCheck(check)) yield { check: check.name, ...finding }
  }

  async function runCheck(check: Check): Promise<readonly Finding[]> {
    try {
      return await check.run({ directory, configuration, running })
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      const hint = isSealtrailError(error) ? error.hint : undefined
      return [fail(message, hint ?? 'Look at the message; docs/errors.md explains the codes.')]
    }
  }
}

/**
 * Says what is wrong with machine, directory, keys and engines before it costs something.
 *
 * @returns exit code: 0, or 1 where something fails
 */
export async function doctorCommand(
  flags: DoctorFlags,
  running: ControlClient | undefined,
  say: (line: string) => void = (line) => process.stdout.write(`${line}\n`),
): Promise<number> {
  const all: Diagnosis[] = []
  for await (const found of diagnose(flags.data, running)) {
    all.push(found)
    if (flags.json) continue
    say(`${found.state.padEnd(5)} ${found.check.padEnd(12)} ${found.what}`)
    if (found.next !== undefined) say(`${' '.repeat(19)}${found.next}`)
  }
  const failed = all.some(({ state }) => state === 'fail')
  if (flags.json)
    say(
      JSON.stringify({ ok: !failed, running: running !== undefined, findings: all }, undefined, 2),
    )
  return failed ? 1 : 0
}
