/**
 * Sealed payloads (ciphertext) beside the log. Mutable on purpose: a payload can be shredded. The leaf keeps the hash.
 * Conformance: `test/conformance/payload-store.ts`.
 */
export interface PayloadStore {
  /**
   * Resolves when all payloads are durable. Called before the segment is committed, so payloads at or above the
   * committed size are orphans of a crash and may be overwritten by a later put of the same index.
   */
  put(
    logId: string,
    fromIndex: number,
    payloads: readonly (Uint8Array | undefined)[],
  ): Promise<void>
  /** Ciphertext of a leaf; undefined when it has none, or was shredded. */
  get(logId: string, index: number): Promise<Uint8Array | undefined>
  /** Ciphertexts of [from, until), in order, in one pass. */
  getRange(logId: string, from: number, until: number): Promise<(Uint8Array | undefined)[]>
  /** Removes the ciphertext for good (overwritten and synced, as far as the medium allows). Idempotent. */
  shred(logId: string, index: number): Promise<void>
  /** Removes orphans at or above the committed size. Called at start before anything is put. */
  sweep(logId: string, committedSize: number): Promise<void>

  /** Content-addressed blobs, e.g. tool definitions; `sha256` is of the plaintext, `bytes` are sealed. Idempotent. */
  putBlob(logId: string, sha256: string, bytes: Uint8Array): Promise<void>
  getBlob(logId: string, sha256: string): Promise<Uint8Array | undefined>
  close(): Promise<void>
}
