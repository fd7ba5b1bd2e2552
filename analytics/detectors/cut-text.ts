/**
 * At most `maxUnits` UTF-16 units of a text from the log, always well-formed: half a surrogate pair has no canonical
 * JSON (RFC 8785), so a finding that quoted one could not be put on the record.
 */
export function cutText(text: string, maxUnits: number): string {
  return (text.length > maxUnits ? text.slice(0, maxUnits) : text).toWellFormed()
}

/** A copy that shares no memory with the text it was cut from; V8 keeps a whole parent alive for a slice of it. */
export function ownCopy(text: string): string {
  return text.split('').join('')
}
