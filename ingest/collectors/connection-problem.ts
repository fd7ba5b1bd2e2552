const unknownAuthority: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])
/** What OpenSSL says when the other side does not speak TLS at all. */
const notTls = /wrong version number|packet length too long|http request/
/** Alerts by which a server refuses who it talks to (RFC 8446 section 6.2). */
const refusesClient = /SSL alert number (?:40|42|46|48|116)\b/

/** An error of a connection, with what to do about it where that is known. Whatever else it is comes back as it was. */
export function explainConnection(error: unknown, { host, hostname }: URL): Error {
  if (!(error instanceof Error)) return new Error(String(error))
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const sentence = sentenceOf(code, error.message, host, hostname)
  return sentence === undefined ? error : new Error(sentence, { cause: error })
}

function sentenceOf(
  code: string,
  message: string,
  host: string,
  hostname: string,
): string | undefined {
  if (unknownAuthority.has(code)) {
    return `the certificate of ${host} comes from an authority that is not known here: name a file with that authority's certificate in SEALTRAIL_CA_FILE (${code})`
  }
  if (notTls.test(message)) {
    return `${host} does not speak TLS: use http:// in SEALTRAIL_URL if it is on this machine, else give it a certificate (${code})`
  }
  switch (code) {
    case 'CERT_HAS_EXPIRED':
      return `the certificate of ${host} has ended: renew it there, or set the clock of this machine (${code})`
    case 'CERT_NOT_YET_VALID':
      return `the certificate of ${host} has not begun yet: set the clock of this machine (${code})`
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `the certificate of ${host} is not for ${hostname}: use a name that stands in it, or have it issued for this one (${code})`
    case 'ERR_OSSL_X509_KEY_VALUES_MISMATCH':
      return `SEALTRAIL_CLIENT_KEY_FILE is not the key of SEALTRAIL_CLIENT_CERT_FILE: name the two that were issued together (${code})`
    case 'ENOENT':
    case 'EACCES':
      return message.includes(', open ')
        ? `a certificate file cannot be read: ${message}`
        : undefined
    default:
      return refusesClient.test(message)
        ? `${host} refuses this client: if it asks for certificates, name one that it knows in SEALTRAIL_CLIENT_CERT_FILE and SEALTRAIL_CLIENT_KEY_FILE (${code})`
        : undefined
  }
}
