import { readFileSync } from 'node:fs'
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { explainConnection } from './connection-problem.ts'

/** PEM files of a collector; each is read again when a connection is to be made. */
export interface CollectorCertificates {
  /** Authorities that the receiver's certificate must come from; absent: those that Node.js knows. */
  readonly caFile?: string | undefined
  /** Certificate that this collector shows, with its key. */
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
}

export interface ReceiverClientOptions {
  /** Base URL of the receiver. */
  readonly url: string
  readonly bearer: string
  readonly certificates?: CollectorCertificates
  readonly timeoutMs: number
}

export interface ReceiverReply {
  readonly status: number
  /** In seconds or as a date (RFC 9110 section 10.2.3). */
  readonly retryAfter: string | undefined
  /** The parsed body; undefined where it is no JSON. */
  readonly body: unknown
}

const maxReplyBytes = 4 * 1024 * 1024

/** Asks a receiver, over connections that are kept. Redirects are not followed: a key goes where it was meant to go. */
export class ReceiverClient {
  private readonly options: ReceiverClientOptions
  private readonly base: URL
  private agent: HttpAgent | HttpsAgent | undefined
  /** What the agent was made of. */
  private material = ''

  constructor(options: ReceiverClientOptions) {
    this.options = options
    this.base = new URL(options.url)
  }

  /** @throws Error that says what is wrong with the connection, and what to do */
  async ask(
    method: string,
    path: string,
    body: string | undefined,
    signal: AbortSignal,
  ): Promise<ReceiverReply> {
    try {
      return await this.send(method, path, body, signal)
    } catch (error) {
      throw explainConnection(error, this.base)
    }
  }

  private async send(
    method: string,
    path: string,
    body: string | undefined,
    signal: AbortSignal,
    again = true,
  ): Promise<ReceiverReply> {
    const secure = this.base.protocol === 'https:'
    const outgoing = (secure ? httpsRequest : httpRequest)(new URL(path, this.base), {
      method,
      agent: this.connections(secure),
      headers: {
        authorization: `Bearer ${this.options.bearer}`,
        ...(body === undefined
          ? {}
          : {
              'content-type': 'application/x-ndjson',
              'content-length': Buffer.byteLength(body),
            }),
      },
      signal,
    })
    const { timeoutMs } = this.options
    const deadline = setTimeout(
      () => outgoing.destroy(new Error(`does not answer within ${timeoutMs / 1000} s`)),
      timeoutMs,
    )
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve)
      outgoing.on('error', reject)
    })
    outgoing.end(body)
    try {
      const response = await answered
      return {
        status: response.statusCode ?? 0,
        retryAfter: response.headers['retry-after'],
        body: parseJson(await textOf(response)),
      }
    } catch (error) {
      // The receiver closed a kept connection while this was on its way.
      if (again && outgoing.reusedSocket && codeOf(error) === 'ECONNRESET')
        return this.send(method, path, body, signal, false)
      throw error
    } finally {
      clearTimeout(deadline)
    }
  }

  /** Files that changed begin new connections; those that cannot be read do not end the old ones. */
  private connections(secure: boolean): HttpAgent | HttpsAgent {
    if (!secure) {
      this.agent ??= new HttpAgent({ keepAlive: true })
      return this.agent
    }
    let tls: { ca?: string; cert?: string; key?: string }
    try {
      tls = read(this.options.certificates ?? {})
    } catch (error) {
      if (this.agent !== undefined) return this.agent
      throw error
    }
    const material = JSON.stringify(tls)
    if (this.agent === undefined || material !== this.material) {
      this.agent = new HttpsAgent({ keepAlive: true, minVersion: 'TLSv1.2', ...tls })
      this.material = material
    }
    return this.agent
  }
}

function read({ caFile, certFile, keyFile }: CollectorCertificates) {
  return {
    ...(caFile === undefined ? {} : { ca: readFileSync(caFile, 'utf8') }),
    ...(certFile === undefined ? {} : { cert: readFileSync(certFile, 'utf8') }),
    ...(keyFile === undefined ? {} : { key: readFileSync(keyFile, 'utf8') }),
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response) {
    bytes += chunk.length
    if (bytes > maxReplyBytes) throw new Error('answers with more than a receiver does')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
