import { redactionMarker } from './redaction-marker.ts'

/** One replaced value, as it stands in the manifest of an event. `path` is a JSON pointer (RFC 6901) into the event. */
export interface Redaction {
  readonly path: string
  readonly rule: string
  readonly action: 'replaced'
}

/** What one pass over one event or text has replaced so far. */
export interface RedactionPass {
  readonly redactions: Redaction[]
  replace(path: string, kind: string, secret: string): string
}

const maxPathLength = 256

/** @param token absent before the token key of the log is known: the marker then carries no token. */
export function createRedactionPass(
  token: ((kind: string, secret: string) => string) | undefined,
): RedactionPass {
  const redactions: Redaction[] = []
  return {
    redactions,
    replace(path, kind, secret) {
      redactions.push({ path: path.slice(0, maxPathLength), rule: kind, action: 'replaced' })
      return redactionMarker(kind, token?.(kind, secret))
    },
  }
}

/** Reference token of RFC 6901. */
export function pointerSegment(key: string): string {
  return key.includes('/') || key.includes('~')
    ? key.replaceAll('~', '~0').replaceAll('/', '~1')
    : key
}
