import { createHash, type X509Certificate } from 'node:crypto'
import { TLSSocket } from 'node:tls'
import type { ShownCertificate } from '../../schemas/source-certificate.ts'

interface Shown {
  readonly shown: ShownCertificate
  readonly notAfterMs: number
}

/** A connection shows its certificate once; reading it costs more than a request. */
const known = new WeakMap<TLSSocket, Shown>()

/**
 * The certificate that the other side of a connection showed. The server asks for one without insisting
 * (`rejectUnauthorized: false`), so what OpenSSL found wrong with it is told here.
 */
export function clientCertificate(socket: unknown, nowMs: number): ShownCertificate {
  if (!(socket instanceof TLSSocket)) return { state: 'none' }
  let found = known.get(socket)
  if (found === undefined) {
    found = read(socket)
    known.set(socket, found)
  }
  // A connection may outlive it.
  return found.notAfterMs > nowMs ? found.shown : { state: 'refused', reason: 'CERT_HAS_EXPIRED' }
}

function read(socket: TLSSocket): Shown {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) {
    return { shown: { state: 'none' }, notAfterMs: Number.POSITIVE_INFINITY }
  }
  const notAfterMs = Date.parse(certificate.validTo)
  if (socket.authorized)
    return { shown: { state: 'verified', names: namesOf(certificate) }, notAfterMs }
  const reason = String(socket.authorizationError ?? 'it was not verified')
  return { shown: { state: 'refused', reason }, notAfterMs: Number.POSITIVE_INFINITY }
}

/** Names as a binding writes them, see schemas/source-certificate.ts. */
export function namesOf(certificate: X509Certificate): ReadonlySet<string> {
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' })
  const names = new Set([
    `spki-sha256:${createHash('sha256').update(spki).digest('hex')}`,
    `subject:${certificate.subject.split('\n').join(', ')}`,
  ])
  // Node.js quotes a name that holds a comma, a quote or what is not printable: such a name is no binding.
  for (const name of (certificate.subjectAltName ?? '').split(', ')) {
    if (/^(?:DNS|URI|email):[^\s,"]+$/.test(name)) names.add(name)
  }
  return names
}
