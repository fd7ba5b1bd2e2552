import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Logger } from 'pino'
import { SealtrailError } from '../../schemas/errors.ts'
import {
  diskKeyVariable,
  passwordVariable,
  serverConfigXml,
  usersConfigXml,
  writerUser,
} from './columnar-config.ts'

export interface ColumnarProcessOptions {
  /** Folder of the store; made when it is not there. One engine a folder. */
  readonly directory: string
  /** Loopback port; a free one when absent. Kept over restarts. */
  readonly port?: number
  /** Of both product users, for this run. Random text, never stored. */
  readonly password: string
  /** Key of the encrypted disk: 64 hex digits. The same one for the life of the folder. */
  readonly diskKey: string
  readonly memoryLimitBytes: number
  readonly logger: Logger
  /** Told when the engine ended without being asked to; it is started again. */
  readonly onExit?: (exit: ColumnarExit) => void
}

export interface ColumnarExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** How long until the next start. */
  readonly restartInMs: number
}

interface ColumnarProcessEvents {
  /** The engine answers again after it had ended. */
  restarted: []
}

const startTimeoutMs = 30_000
const pollMs = 25
const firstBackoffMs = 100
const maxBackoffMs = 10_000
/** An engine that ran this long was healthy: its next restart is quick again. */
const healthyAfterMs = 60_000
const keptStderrBytes = 4096
const readyQuery = 'SELECT number FROM system.numbers LIMIT 1'

/**
 * Starts ClickHouse's engine, out of npm's `chdb`, as a child process with its HTTP interface on loopback, and keeps
 * it running. The child ends when this process does, however it does.
 *
 * @throws SealtrailError `STORE_UNAVAILABLE` when it does not answer a query within 30 s.
 * @throws SealtrailError `CONFIG_INVALID` for a key that is not 32 bytes of hex, or an empty password.
 */
export async function startColumnarProcess(
  options: ColumnarProcessOptions,
): Promise<ColumnarProcess> {
  if (!/^[0-9a-fA-F]{64}$/.test(options.diskKey)) {
    throw new SealtrailError('CONFIG_INVALID', 'the disk key is not 32 bytes of hex')
  }
  if (options.password === '') {
    throw new SealtrailError('CONFIG_INVALID', 'the password of the columnar store is empty')
  }
  const directory = resolve(options.directory)
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await chmod(directory, 0o700)
  const config = { directory, memoryLimitBytes: options.memoryLimitBytes }
  await writePrivate(join(directory, 'config.xml'), serverConfigXml(config))
  await writePrivate(join(directory, 'users.xml'), usersConfigXml(config))
  const port = options.port ?? (await freePort())
  const columnar = new ColumnarProcess({ ...options, directory, port })
  await columnar.start()
  return columnar
}

export class ColumnarProcess extends EventEmitter<ColumnarProcessEvents> {
  readonly url: string
  readonly user = writerUser
  readonly password: string
  private readonly options: ColumnarProcessOptions & { readonly port: number }
  private readonly stopping = new AbortController()
  private child: ChildProcess | undefined
  private answers = false
  private backoffMs = firstBackoffMs
  private supervisor: Promise<void> = Promise.resolve()

  constructor(options: ColumnarProcessOptions & { readonly port: number }) {
    super()
    this.options = options
    this.password = options.password
    this.url = `http://127.0.0.1:${options.port}`
  }

  /** True while the engine answers. */
  get ready(): boolean {
    return this.answers
  }

  /** Process id of the engine while it runs. */
  get pid(): number | undefined {
    return this.child?.pid
  }

  /** Called once, by {@link startColumnarProcess}. */
  async start(): Promise<void> {
    const child = this.launch()
    try {
      await this.waitUntilReady(child)
    } catch (error) {
      await this.stop()
      throw error
    }
    this.supervisor = this.supervise(child)
  }

  /** Ends the engine and waits until it is gone. What was acknowledged is kept. */
  async stop(): Promise<void> {
    this.stopping.abort()
    const child = this.child
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit')
      child.stdin?.end()
      const killer = setTimeout(() => child.kill('SIGKILL'), 2000)
      await gone
      clearTimeout(killer)
    }
    await this.supervisor
    this.answers = false
  }

  private launch(): ChildProcess {
    const { directory, port, password, diskKey } = this.options
    const child = spawn(
      process.execPath,
      [launcherPath, directory, join(directory, 'config.xml'), String(port)],
      {
        cwd: directory,
        stdio: ['pipe', 'ignore', 'pipe'],
        env: {
          PATH: process.env.PATH,
          TZ: 'UTC',
          [passwordVariable]: password,
          [diskKeyVariable]: diskKey,
        },
      },
    )
    // A write to a child that is gone is no news: its exit is.
    child.stdin?.on('error', () => undefined)
    this.child = child
    return child
  }

  private async supervise(first: ChildProcess): Promise<void> {
    let child = first
    let startedAtMs = performance.now()
    for (;;) {
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      this.answers = false
      if (this.stopping.signal.aborted) return
      if (performance.now() - startedAtMs > healthyAfterMs) this.backoffMs = firstBackoffMs
      const exit = { code: child.exitCode, signal: child.signalCode, restartInMs: this.backoffMs }
      this.options.logger.warn(exit, 'the columnar store ended and is started again')
      this.options.onExit?.(exit)
      await sleep(this.backoffMs, undefined, { signal: this.stopping.signal }).catch(
        () => undefined,
      )
      if (this.stopping.signal.aborted) return
      this.backoffMs = Math.min(this.backoffMs * 2, maxBackoffMs)
      startedAtMs = performance.now()
      child = this.launch()
      try {
        await this.waitUntilReady(child)
        this.emit('restarted')
      } catch (error) {
        if (!this.stopping.signal.aborted) {
          this.options.logger.error({ err: error }, 'the columnar store did not start')
        }
        child.kill('SIGKILL')
      }
    }
  }

  /** Ready means that a query as the product's user was answered, by a child that still runs. */
  private async waitUntilReady(child: ChildProcess): Promise<void> {
    const stderr = collectStderr(child)
    const until = performance.now() + startTimeoutMs
    while (performance.now() < until) {
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new SealtrailError(
          'STORE_UNAVAILABLE',
          `the columnar store ended while starting: ${stderr() || 'no output'}`,
          {
            hint: 'Another process may use its folder, or the disk key is not the one of the folder.',
          },
        )
      }
      if (await this.answersQuery()) {
        await this.lockDefaultUser()
        this.answers = true
        return
      }
      await sleep(pollMs, undefined, { signal: this.stopping.signal })
    }
    throw new SealtrailError('STORE_UNAVAILABLE', 'the columnar store did not answer within 30 s')
  }

  private async answersQuery(): Promise<boolean> {
    try {
      return (await this.ask(this.user, this.password)) === '0\n'
    } catch {
      return false
    }
  }

  /** Uses up the quota of the user without a password, so that a stranger on loopback gets not one query. */
  private async lockDefaultUser(): Promise<void> {
    for (let query = 0; query < 4; query++) {
      if (/QUOTA_EXCEEDED|USER_SESSION_LIMIT_EXCEEDED/.test(await this.ask('default', ''))) return
    }
    throw new SealtrailError('STORE_UNAVAILABLE', 'the default user of the engine is not locked')
  }

  private async ask(user: string, password: string): Promise<string> {
    const reply = await fetch(`${this.url}/?query=${encodeURIComponent(readyQuery)}`, {
      headers: { 'X-ClickHouse-User': user, 'X-ClickHouse-Key': password },
      signal: AbortSignal.any([this.stopping.signal, AbortSignal.timeout(2000)]),
    })
    return reply.text()
  }
}

const launcherPath = fileURLToPath(new URL('./columnar-launcher.mjs', import.meta.url))

/** Keeps the beginning of what a child says while it starts and throws the rest away. */
function collectStderr(child: ChildProcess): () => string {
  let text = ''
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    if (text.length < keptStderrBytes) text += chunk.slice(0, keptStderrBytes - text.length)
  })
  return () => text.trim()
}

async function writePrivate(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o600 })
  await chmod(path, 0o600)
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') {
    throw new SealtrailError('STORE_UNAVAILABLE', 'no free loopback port was found')
  }
  return address.port
}
