import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { FastifyServerFactory } from 'fastify'
import { errorCatalogue } from '../schemas/errors.ts'
import type { Certificates } from './certificate-files.ts'

/** Suites with forward secrecy and authenticated encryption only: RFC 9325 section 4.2; TLS 1.3 is taken where it can be. */
const suites = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
]
const policy = { minVersion: 'TLSv1.2', ciphers: suites.join(':'), honorCipherOrder: true } as const

/** First byte of a TLS record that begins a handshake (RFC 8446 section 5.1). */
const handshakeRecord = 22
/** Who connects and says nothing is let go. */
const firstByteTimeoutMs = 10_000

/**
 * The servers of Fastify instances, over TLS, all with the same certificates, which change while they run. Whoever
 * speaks plain HTTP to such a port is told so in plain HTTP.
 */
export class TlsServers {
  private readonly servers = new Set<HttpsServer>()
  private readonly onPlain: RequestListener
  private certificates: Certificates

  /** @param onPlain answers what came without TLS */
  constructor(certificates: Certificates, onPlain: RequestListener) {
    this.certificates = certificates
    this.onPlain = onPlain
  }

  readonly factory: FastifyServerFactory = (handler, options) => {
    const { cert, key, ca } = this.certificates
    const server = createHttpsServer(
      {
        ...policy,
        ...ofNodeServer(options),
        cert,
        key,
        ...(ca === undefined
          ? {}
          : // Who has none may still come with a key; who is bound to one is refused by name, not by a broken handshake.
            { ca, requestCert: true, rejectUnauthorized: false }),
      },
      handler,
    )
    separatePlain(server, createServer({ requestTimeout: firstByteTimeoutMs }, this.onPlain))
    this.servers.add(server)
    server.once('close', () => this.servers.delete(server))
    return server
  }

  /** From the next connection on; those that are idle are closed, so that their clients come again. */
  use(certificates: Certificates): void {
    this.certificates = certificates
    const { cert, key, ca } = certificates
    for (const server of this.servers) {
      server.setSecureContext({ ...policy, cert, key, ...(ca === undefined ? {} : { ca }) })
      server.closeIdleConnections()
    }
  }
}

/** What Fastify gives to servers that it makes itself. */
function ofNodeServer(options: Record<string, unknown>): Record<string, unknown> {
  const { http, keepAliveTimeout, requestTimeout } = options
  return { ...(typeof http === 'object' ? http : {}), keepAliveTimeout, requestTimeout }
}

/** Gives each connection to the server that speaks what its first byte begins. */
function separatePlain(tls: HttpsServer, plain: Server): void {
  const accept = tls.listeners('connection')
  tls.removeAllListeners('connection')
  tls.on('connection', (socket: Socket) => {
    const giveUp = () => socket.destroy()
    socket.setTimeout(firstByteTimeoutMs, giveUp)
    socket.once('error', giveUp)
    socket.once('end', giveUp)
    const look = () => {
      const bytes: Buffer | null = socket.read()
      if (bytes === null) return
      socket.off('readable', look)
      for (const event of ['error', 'end', 'timeout']) socket.off(event, giveUp)
      socket.setTimeout(0)
      socket.unshift(bytes)
      if (bytes[0] === handshakeRecord) for (const each of accept) each.call(tls, socket)
      else plain.emit('connection', socket)
    }
    socket.on('readable', look)
  })
}

/**
 * Answers plain HTTP on a TLS port: a page is sent to the same address under https, a program gets a problem.
 *
 * @param originOf where a page is, by the Host that was asked; undefined for a Host that is none of ours
 */
export function plainHttpAnswer(originOf: (host: string) => string | undefined): RequestListener {
  return (request: IncomingMessage, response: ServerResponse) => {
    const origin = originOf(request.headers.host ?? '')
    const page =
      (request.method === 'GET' || request.method === 'HEAD') &&
      request.headers.authorization === undefined &&
      request.headers.accept?.includes('text/html') === true
    response.setHeader('connection', 'close')
    if (page && origin !== undefined) {
      response.writeHead(308, { location: `${origin}${request.url ?? '/'}` }).end()
      return
    }
    const sentKey = request.headers.authorization !== undefined
    const problem = {
      type: 'urn:sealtrail:error:REQUEST_INVALID',
      title: errorCatalogue.REQUEST_INVALID.title,
      status: 400,
      detail: 'this port speaks TLS, and the request came as plain HTTP',
      code: 'REQUEST_INVALID',
      hint: `Use https:// in the address${origin === undefined ? '' : `, e.g. ${origin}`}.${
        sentKey ? ' The key of this request crossed the network in the clear: rotate it.' : ''
      }`,
    }
    response
      .writeHead(400, { 'content-type': 'application/problem+json; charset=utf-8' })
      .end(JSON.stringify(problem))
  }
}
