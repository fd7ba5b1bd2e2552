import type { IncomingMessage } from 'node:http'
import { request } from 'node:http'
import { createInterface } from 'node:readline'
import type { z } from 'zod'
import { Problem } from '../schemas/api/problem.ts'
import { type ErrorCode, errorCatalogue, SealtrailError } from '../schemas/errors.ts'

/**
 * Talks to the running Sealtrail of a data directory through its control socket. Whoever may open the socket is the
 * operator: no token is stored anywhere.
 */
export class ControlClient {
  private readonly socketPath: string

  constructor(socketPath: string) {
    this.socketPath = socketPath
  }

  /** @throws SealtrailError as the server says; `SERVER_UNREACHABLE` when nobody answers */
  async call<T>(schema: z.ZodType<T>, method: string, path: string, body?: unknown): Promise<T> {
    return schema.parse(JSON.parse((await this.bytes(method, path, body)).toString('utf8')))
  }

  async bytes(method: string, path: string, body?: unknown): Promise<Buffer> {
    const response = await this.send(method, path, body)
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(Buffer.from(chunk))
    const bytes = Buffer.concat(chunks)
    if ((response.statusCode ?? 500) >= 400) throw errorOf(bytes)
    return bytes
  }

  /** Lines of an NDJSON reply as they come. */
  async *lines<T>(
    schema: z.ZodType<T>,
    method: string,
    path: string,
    body?: unknown,
  ): AsyncIterable<T> {
    const response = await this.send(method, path, body)
    if ((response.statusCode ?? 500) >= 400) {
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(Buffer.from(chunk))
      throw errorOf(Buffer.concat(chunks))
    }
    try {
      for await (const line of createInterface({ input: response })) {
        if (line !== '') yield schema.parse(JSON.parse(line))
      }
    } finally {
      response.destroy()
    }
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
