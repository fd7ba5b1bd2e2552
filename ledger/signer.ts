/**
 * Signs checkpoints. Stores (size, root) durably before it signs, and refuses a rollback or a fork, so that one key
 * never signs two histories.
 */
export interface Signer {
  /** C2SP vkey of a log: `<origin>+<key id>+<base64>`. Makes the key at first use. */
  verifierKey(logId: string): Promise<string>
  /** Origin line of a log: `<deployment id>/<log>`. */
  origin(logId: string): string
  /**
   * Signed checkpoint note for (size, root).
   *
   * @param consistency RFC 6962 consistency proof from the last signed size to this one.
   * @throws SealtrailError `SIGNER_REFUSED` when size is below the last signed one, the root differs at the same size,
   *   or the proof does not verify.
   */
  sign(
    logId: string,
    size: number,
    root: Uint8Array,
    consistency: readonly Uint8Array[],
  ): Promise<string>
  /** Last signed (size, root) of a log. */
  lastSigned(logId: string): Promise<{ size: number; root: Uint8Array } | undefined>
  close(): Promise<void>
}
