/** What went wrong below, in one line: `fetch` hides the reason in the cause of its error. */
export function systemErrorMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const inner = error.cause instanceof Error ? systemErrorMessage(error.cause) : ''
  return inner === '' || error.message.includes(inner)
    ? error.message
    : `${error.message}: ${inner}`
}
