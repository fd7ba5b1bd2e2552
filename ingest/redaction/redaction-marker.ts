/** What stands in place of a secret: `[redacted:<kind>:<token>]`, or without token before the token key is known. */
export function redactionMarker(kind: string, token: string | undefined): string {
  return token === undefined ? `[redacted:${kind}]` : `[redacted:${kind}:${token}]`
}

/** Splits a text at its markers and keeps them. */
export const markers = /(\[redacted:[a-z-]{1,32}(?::[0-9a-f]{16})?\])/
const marker = /^\[redacted:[a-z-]{1,32}(?::[0-9a-f]{16})?\]$/

export function isMarker(text: string): boolean {
  return text.length <= 64 && marker.test(text)
}
