import { isMarker } from './redaction-marker.ts'
import type { RedactionPass } from './redaction-pass.ts'
import { isRemark } from './secret-rules.ts'

const scheme = /^(?:bearer|basic|token|digest|negotiate|apikey|splunk) +/i

/**
 * Replacement of a value that stands under a secret name. An authorization scheme is kept (`Bearer [redacted:...]`);
 * remarks such as `null` or `***` and values that are redacted already stay as they are.
 */
export function redactNamedSecret(
  value: string,
  kind: string,
  path: string,
  pass: RedactionPass,
): string {
  const kept = scheme.exec(value)?.[0] ?? ''
  const secret = value.slice(kept.length)
  if (secret === '' || isMarker(secret) || isRemark(secret)) return value
  return kept + pass.replace(path, kind, secret)
}
