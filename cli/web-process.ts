import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { SealtrailError } from '../schemas/errors.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const endWithParent = new URL('./end-with-parent.mjs', import.meta.url).href
/** Written after a whole build, which begins by clearing its folder: what an interrupted one leaves behind has none. */
const builtMark = join(root, 'web/.next/sealtrail-built')
const next = join(root, 'node_modules/next/dist/bin/next')
const environment = {
  ...minimalEnvironment(),
  NEXT_TELEMETRY_DISABLED: '1',
  NODE_ENV: 'production',
}

/** The dashboard gets no variable of ours: it has no key and no secret to lose. */
function minimalEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !name.startsWith('SEALTRAIL_') && name !== 'NODE_OPTIONS',
    ),
  ) as NodeJS.ProcessEnv
}

/** True when the dashboard was never built, or its sources are newer than the build. */
export function dashboardIsStale(): boolean {
  if (!existsSync(builtMark)) return true
  const builtMs = statSync(builtMark).mtimeMs
  return ['web', 'schemas'].some((folder) => newestMs(join(root, folder)) > builtMs)
}

function newestMs(folder: string): number {
  let newest = 0
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (
      entry.name === '.next' ||
      entry.name === 'next-env.d.ts' ||
      entry.name === 'tsconfig.tsbuildinfo'
    )
      continue
    const path = join(folder, entry.name)
    newest = Math.max(newest, entry.isDirectory() ? newestMs(path) : statSync(path).mtimeMs)
  }
  return newest
}

/** Builds the dashboard. @throws SealtrailError `INTERNAL` with what the build printed */
export async function buildDashboard(): Promise<void> {
  rmSync(builtMark, { force: true })
  const child = spawn(process.execPath, [next, 'build', 'web'], {
    cwd: root,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const end = () => child.kill('SIGKILL')
  process.once('exit', end)
  const output: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  process.off('exit', end)
  if (code !== 0) {
    throw new SealtrailError(
      'INTERNAL',
      `building the dashboard failed:\n${Buffer.concat(output).toString('utf8').slice(-4000)}`,
    )
  }
  writeFileSync(builtMark, '')
}

export interface WebProcess {
  readonly port: number
  stop(): Promise<void>
}

/** Starts the dashboard on a loopback port that only core talks to. It ends with this process, however that ends. */
export async function startDashboard(
  port: number,
  onExit: (code: number | null) => void,
): Promise<WebProcess> {
  let stopping = false
  let child: ChildProcess
  const launch = () => {
    child = spawn(
      process.execPath,
      ['--import', endWithParent, next, 'start', 'web', '-p', String(port), '-H', '127.0.0.1'],
      {
        cwd: root,
        env: environment,
        stdio: ['pipe', 'ignore', 'inherit'],
        // In a group of its own: Ctrl-C is for core, which ends the dashboard after its last answer.
        detached: true,
      },
    )
    child.stdin?.on('error', () => undefined)
    child.once('exit', (code) => {
      if (stopping) return
      onExit(code)
      setTimeout(() => {
        if (!stopping) launch()
      }, 1000)
    })
    return child
  }
  child = launch()
  const end = () => child.kill('SIGKILL')
  process.once('exit', end)
  await untilAnswers(port)
  return {
    port,
    async stop() {
      stopping = true
      process.off('exit', end)
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGTERM')
      const killer = setTimeout(() => child.kill('SIGKILL'), 3000)
      await gone
      clearTimeout(killer)
    },
  }
}

async function untilAnswers(port: number): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt++) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/login`, {
        signal: AbortSignal.timeout(2000),
      })
      await response.arrayBuffer()
      return
    } catch {
      await sleep(100)
    }
  }
  throw new SealtrailError('INTERNAL', 'the dashboard did not answer within 30 s')
}
