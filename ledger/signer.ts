import type { KeyRotation } from '../schemas/tlog/key-rotation.ts'

/**
 * Signs checkpoints. Stores (size, root) durably before it signs, and refuses a rollback or a fork, so that one key
 * never signs two histories.
 */
export interface Signer {
  /** C2SP vkey of a log: `<origin>+<key id>+<base64>`, the one in force. Makes the key at first use. */
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
  /**
   * Makes the next key of a log, or names the one that waits already. Nothing is signed with it before {@link adoptKey}.
   *
   * @param overlapMs how long trees are signed with both keys from then on
   */
  prepareKey(logId: string, overlapMs: number): Promise<{ previous: string; next: string }>
  /**
   * The log holds, at leaf `index`, that `next` is its key: larger trees are signed with it, and while both overlap with
   * the one before too. The first of them always is. Again with the same: no-op.
   *
   * @throws SealtrailError `SIGNER_REFUSED` when that key was not prepared here
   */
  adoptKey(logId: string, index: number, next: string): Promise<void>
  /** Rotations of a log, oldest first. */
  rotations(logId: string): Promise<readonly KeyRotation[]>
  close(): Promise<void>
}
