import type { Server } from 'node:http'
import type { Socket } from 'node:net'

export interface ConnectionBounds {
  /** Connections of a listener. */
  readonly total: number
  /** Of one address, so that nobody takes them all. */
  readonly perAddress: number
  /** For the head of a request (RFC 9112 section 3), from its first byte or the connection. */
  readonly headersMs: number
  /** For a whole request. */
  readonly requestMs: number
}

export const defaultConnectionBounds: ConnectionBounds = {
  total: 8192,
  perAddress: 2048,
  headersMs: 15_000,
  requestMs: 60_000,
}

/**
 * Bounds what connections cost: their number, and how long one may take to say something. What is slower is answered
 * 408 and closed; a connection beyond the bounds is closed before anything of it is read.
 */
export function boundConnections(server: Server, bounds: ConnectionBounds): void {
  server.maxConnections = bounds.total
  server.headersTimeout = bounds.headersMs
  server.requestTimeout = bounds.requestMs
  const byAddress = new Map<string, number>()
  server.prependListener('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? ''
    const count = (byAddress.get(address) ?? 0) + 1
    byAddress.set(address, count)
    socket.once('close', () => {
      const left = (byAddress.get(address) ?? 1) - 1
      if (left > 0) byAddress.set(address, left)
      else byAddress.delete(address)
    })
    if (count > bounds.perAddress) socket.destroy()
  })
}
