import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import { SealtrailError } from '../../schemas/errors.ts'
import { type Direction, McpObserver, type TapIdentity } from './mcp-observer.ts'
import type { Shipper } from './shipper.ts'

export interface StdioTapOptions {
  readonly serverName: string
  readonly command: string
  readonly args: readonly string[]
  readonly agentName: string | undefined
  readonly userName: string | undefined
  readonly workflowId: string | undefined
  /** Conversation of the client that this and other taps belong to. */
  readonly conversationId?: string | undefined
  /** Absent: everything is passed through and nothing is recorded. */
  readonly shipper: Shipper | undefined
  readonly clock: () => number
  readonly stdin: Readable
  readonly stdout: Writable
}

/** How long the end waits for the receiver; then the rest stays in the spool. Clients send SIGTERM after two seconds. */
const closeGraceMs = 1500

/**
 * Sits between an MCP client and a stdio server. Bytes are forwarded first and as they are, in both directions;
 * a copy is observed afterwards, and nothing that goes wrong there reaches the pipe.
 *
 * @returns the exit code of the wrapped server (128 + signal number when a signal ended it).
 * @throws SealtrailError `TAP_COMMAND_FAILED` when it cannot be started.
 */
export async function runStdioTap(options: StdioTapOptions): Promise<number> {
  const child = spawn(options.command, options.args, { stdio: ['pipe', 'pipe', 'inherit'] })
  await started(child, options.command)
  options.shipper?.start()
  const observer = new McpObserver(identityOf(options), (data) =>
    createHash('sha256').update(data).digest(),
  )
  const observe = (direction: Direction, chunk: Buffer) => {
    if (options.shipper === undefined) return
    const atMs = options.clock()
    // After the pipe has its bytes: parsing must not delay the next message.
    setImmediate(() => {
      try {
        for (const event of observer.feed(direction, chunk, atMs)) options.shipper?.record(event)
      } catch {
        // Whatever a message does to the observer, the session goes on; what is lost leaves a gap.
        options.shipper?.lost()
      }
      waitForRoom()
    })
  }
  const ways = [
    forward(options.stdin, child.stdin, (chunk) => observe('client_to_server', chunk)),
    forward(child.stdout, options.stdout, (chunk) => observe('server_to_client', chunk)),
  ]
  let holding = false
  /** Where nothing is to happen unrecorded: both directions stand still until records can be kept. */
  const waitForRoom = () => {
    const room = holding ? undefined : options.shipper?.room()
    if (room === undefined) return
    holding = true
    for (const way of ways) way.hold()
    void room.then(() => {
      holding = false
      for (const way of ways) way.release()
    })
  }
  let ended = false
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      // After the end of the server a signal must not end the tap before its records are in the spool.
      if (ended) options.shipper?.hurry()
      // The server is gone and something that it started holds its pipes: there is nobody to wait for.
      else if (child.exitCode !== null || child.signalCode !== null) child.stdout.destroy()
      else pass(signal, child)
    })
  }
  const code = await exitCodeOf(child)
  ended = true
  await new Promise((resolve) => setImmediate(resolve))
  try {
    for (const event of observer.end(options.clock())) options.shipper?.record(event)
  } catch {
    options.shipper?.lost()
  }
  await Promise.all([flushed(options.stdout), options.shipper?.close(closeGraceMs)])
  return code
}

/** A signal that a system does not have, or that the server may not be sent, is no reason to end the session. */
function pass(signal: NodeJS.Signals, child: ChildProcess): void {
  try {
    child.kill(signal)
  } catch {
    child.kill()
  }
}

/** The server's last bytes must be out before the process ends: where pipes are asynchronous they are not yet. */
function flushed(stdout: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (!stdout.writable || stdout.writableLength === 0) return resolve()
    stdout.once('close', resolve)
    stdout.write('', () => resolve())
  })
}

/** Forwards with backpressure; the copy is handed on after the write. */
function forward(
  from: Readable,
  to: Writable,
  onChunk: (chunk: Buffer) => void,
): { hold(): void; release(): void } {
  let held = false
  let draining = false
  const goOn = () => {
    if (!held && !draining) from.resume()
  }
  from.on('data', (chunk: Buffer) => {
    if (to.writable && !to.write(chunk)) {
      draining = true
      from.pause()
      to.once('drain', () => {
        draining = false
        goOn()
      })
    }
    onChunk(chunk)
  })
  from.once('end', () => {
    if (to !== process.stdout) to.end()
  })
  // A reader that went away is the business of the two programs, not a crash of the tap: the writer learns it as it
  // would without the tap, from its own pipe.
  to.on('error', () => from.destroy())
  to.once('close', () => from.destroy())
  from.on('error', () => to.destroy())
  return {
    hold() {
      held = true
      from.pause()
    },
    release() {
      held = false
      goOn()
    },
  }
}

function started(child: ChildProcess, command: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve)
    // For good: a signal that cannot be delivered is an `error` too, and without a listener the end of the tap.
    child.on('error', (cause) =>
      reject(
        new SealtrailError(
          'TAP_COMMAND_FAILED',
          `${command} could not be started: ${cause.message}`,
          {
            cause,
            hint: 'Check the command after --; it is run without a shell.',
          },
        ),
      ),
    )
  })
}

function exitCodeOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    // `close`: the pipes are drained, so that the last answer is forwarded and observed.
    child.once('close', (code, signal) => resolve(code ?? 128 + signalNumber(signal)))
  })
}

function signalNumber(signal: NodeJS.Signals | null): number {
  const numbers: Partial<Record<NodeJS.Signals, number>> = {
    SIGHUP: 1,
    SIGINT: 2,
    SIGABRT: 6,
    SIGKILL: 9,
    SIGSEGV: 11,
    SIGTERM: 15,
  }
  return signal === null ? 1 : (numbers[signal] ?? 1)
}

function identityOf(options: StdioTapOptions): TapIdentity {
  return {
    serverName: asName(options.serverName) ?? 'unknown',
    hostName: asName(hostname()) ?? 'unknown',
    osUserName: osUserName(),
    parentProcessName: parentProcessName(),
    command: [options.command, ...options.args].map(quoted).join(' '),
    agentName: asName(options.agentName),
    userName: asName(options.userName),
    workflowId: asName(options.workflowId),
    conversationId: asName(options.conversationId),
    sessionId: randomUUID(),
  }
}

/** An argument with spaces stays one argument on the record, so that redaction sees where a secret in it ends. */
function quoted(argument: string): string {
  if (!/\s/.test(argument)) return argument
  const [, name = '', value = argument] = /^([\w-]{1,256}=)(.*)$/s.exec(argument) ?? []
  return name + JSON.stringify(value)
}

/** As a field of an event holds it: 1 to 256 characters. */
function asName(text: string | undefined): string | undefined {
  return text?.slice(0, 256).toWellFormed() || undefined
}

function osUserName(): string {
  try {
    return asName(userInfo().username) ?? 'unknown'
  } catch {
    return 'unknown'
  }
}

/** Linux tells it in /proc; elsewhere it stays unknown. */
function parentProcessName(): string | undefined {
  try {
    return asName(readFileSync(`/proc/${process.ppid}/comm`, 'utf8').trim())
  } catch {
    return undefined
  }
}
