/**
 * Puts a text on the clipboard. @returns false where the browser does not allow it: without focus, without permission,
 * or over plain HTTP from another machine, where there is no clipboard at all.
 */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return false
  }
}
