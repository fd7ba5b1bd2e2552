/**
 * Token of a secret: the first 16 hex digits of HMAC-SHA-256 under the token key of the log. The same secret gets the
 * same token wherever it stands and whichever rule found it, so that its use can be followed without knowing it.
 *
 * @param hmacSha256Hex HMAC-SHA-256 of UTF-8 text under the log's token key, as lower-case hex.
 */
export function createRedactionToken(
  hmacSha256Hex: (message: string) => string,
): (kind: string, secret: string) => string {
  return (_kind, secret) => hmacSha256Hex(`sealtrail/redaction/v1\n${secret}`).slice(0, 16)
}
