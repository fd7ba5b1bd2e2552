import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { buildDashboard, dashboardIsStale } from '../../cli/web-process.ts'

const repository = join(import.meta.dirname, '../..')
const nextBinary = join(repository, 'node_modules/next/dist/bin/next')
const environment = { ...process.env, NEXT_TELEMETRY_DISABLED: '1' }

/** Builds the pages unless a build of these sources is there. */
export async function buildPages(): Promise<void> {
  if (dashboardIsStale()) await buildDashboard()
}

/** The production server of the pages on a free loopback port. */
export async function startPages(): Promise<{ url: string; close: () => Promise<void> }> {
  const port = await freePort()
  const child = spawn(
    process.execPath,
    [nextBinary, 'start', 'web', '-p', String(port), '-H', '127.0.0.1'],
    { cwd: repository, env: environment, stdio: ['ignore', 'pipe', 'pipe'], detached: true },
  )
  let output = ''
  child.stdout.on('data', (data) => {
    output += data
  })
  child.stderr.on('data', (data) => {
    output += data
  })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const close = async () => {
    // The whole group: `next start` may have children of its own.
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
    await exited
  }
  const url = `http://127.0.0.1:${port}`
  const deadline = Date.now() + 60_000
  for (;;) {
    try {
      await fetch(`${url}/login`, { redirect: 'manual' })
      return { url, close }
    } catch (cause) {
      if (Date.now() > deadline || child.exitCode !== null) {
        await close()
        throw new Error(`the pages did not start:\n${output}`, { cause })
      }
      await new Promise((resolve) => setTimeout(resolve, 150))
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        resolve(typeof address === 'object' && address !== null ? address.port : 0),
      )
    })
  })
}
