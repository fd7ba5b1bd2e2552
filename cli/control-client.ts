import type { IncomingMessage } from 'node:http'
import { request } from 'node:http'
import { z } from 'zod'
import { Problem } from '../schemas/api/problem.ts'
import {
  type ErrorCode,
  errorCatalogue,
  isSealtrailError,
  SealtrailError,
} from '../schemas/errors.ts'

/** Where a running Sealtrail listens, as `GET /control/status` on its control socket tells it. */
export const ControlStatus = z.object({
  origin: z.string(),
  otlpOrigin: z.string(),
  /** Where people are sent to, where that is another address. */
  publicOrigin: z.string().optional(),
  /** What is in use on the listeners; `problem` says why newer files are not. */
  certificate: z
    .object({
      subject: z.string(),
      notAfter: z.string(),
      sha256: z.string(),
      problem: z.string().optional(),
    })
    .optional(),
})
export type ControlStatus = z.infer<typeof ControlStatus>

/**
 * Talks to the running Sealtrail of a data directory through its control socket. Whoever may open the socket is the
 * operator: no token is stored anywhere.
 */
export class ControlClient {
  private readonly socketPath: string

  constructor(socketPath: string) {
    this.socketPath = socketPath
  }

  status(): Promise<ControlStatus> {
    return this.call(ControlStatus, 'GET', '/control/status')
  }

  /** Whether a Sealtrail answers; a socket may be left over from one that was killed. */
  async answers(): Promise<boolean> {
    try {
      await this.status()
      return true
    } catch (error) {
      if (isSealtrailError(error, 'SERVER_UNREACHABLE')) return false
      throw error
    }
  }

  /** @throws SealtrailError as the server says; `SERVER_UNREACHABLE` when nobody answers */
  async call<T>(schema: z.ZodType<T>, method: string, path: string, body?: unknown): Promise<T> {
    return schema.parse(JSON.parse((await this.bytes(method, path, body)).toString('utf8')))
  }

  async bytes(method: string, path: string, body?: unknown): Promise<Buffer> {
    const response = await this.send(method, path, body)
    const bytes = await this.wholeBody(response)
    if ((response.statusCode ?? 500) >= 400) throw errorOf(bytes)
    return bytes
  }

  /** Lines of an NDJSON reply as they come. One that ends before it is complete throws: less is not all. */
  async *lines<T>(
    schema: z.ZodType<T>,
    method: string,
    path: string,
    body?: unknown,
  ): AsyncIterable<T> {
    const response = await this.send(method, path, body)
    if ((response.statusCode ?? 500) >= 400) throw errorOf(await this.wholeBody(response))
    const decoder = new TextDecoder()
    let rest = ''
    for await (const chunk of this.chunks(response)) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) yield schema.parse(JSON.parse(line))
    }
    if (rest !== '') throw this.brokeOff()
  }

  private async wholeBody(response: IncomingMessage): Promise<Buffer> {
    const chunks: Buffer[] = []
    for await (const chunk of this.chunks(response)) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  /** Not by readline: at a reply that breaks off it waits for an end that never comes. */
  private async *chunks(response: IncomingMessage): AsyncIterable<Buffer> {
    try {
      for await (const chunk of response) yield chunk
    } catch (cause) {
      throw this.brokeOff(cause)
    }
    if (!response.complete) throw this.brokeOff()
  }

  private brokeOff(cause?: unknown): SealtrailError {
    return new SealtrailError(
      'SERVER_UNREACHABLE',
      `the Sealtrail of ${this.socketPath} went away before its answer was complete`,
      { cause, hint: 'Look at its log, start it again, and repeat the command.' },
    )
  }

  private send(method: string, path: string, body: unknown): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body)
      const outgoing = request(
        {
          socketPath: this.socketPath,
          method,
          path,
          headers:
            text === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
        },
        (response) => {
          // A reply that breaks off is told to whoever reads it; nobody may read it any more.
          response.on('error', () => undefined)
          resolve(response)
        },
      )
      outgoing.once('error', (cause) =>
        reject(
          new SealtrailError('SERVER_UNREACHABLE', `no Sealtrail answers on ${this.socketPath}`, {
            cause,
            hint: 'Start it with npm start, or name its data directory with --data.',
          }),
        ),
      )
      outgoing.end(text)
    })
  }
}

function errorOf(bytes: Buffer): SealtrailError {
  try {
    const problem = Problem.parse(JSON.parse(bytes.toString('utf8')))
    const code: ErrorCode = isErrorCode(problem.code) ? problem.code : 'INTERNAL'
    return new SealtrailError(
      code,
      problem.detail,
      problem.hint === undefined ? {} : { hint: problem.hint },
    )
  } catch {
    return new SealtrailError('INTERNAL', 'the server answered with something unexpected')
  }
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorCatalogue, code)
}
