import type { HashReader } from '../schemas/tlog/merkle.ts'

/**
 * A place outside of this machine's reach that keeps checkpoints: whoever rewrites or rolls back the log later cannot
 * rewrite what lies there. `test/conformance/anchor.ts` is the contract as tests.
 */
export interface Anchor {
  readonly kind: AnchorKind
  /** Where, as people know it: a path, an address without credentials, the key name of a witness. Stays the same. */
  readonly target: string
  /**
   * Puts a checkpoint outside. The same one again is no second one.
   *
   * @throws SealtrailError `ANCHOR_CONTRADICTS`: the place knows a larger tree of this log, or another one
   * @throws SealtrailError `ANCHOR_UNAVAILABLE`: it may or may not have been taken; putting it again is safe
   */
  put(checkpoint: CheckpointToAnchor): Promise<AnchorReceipt>
  /**
   * The note of the largest checkpoint of a log that the place holds; undefined where it holds none, and always where
   * nothing can be read back ({@link readable}).
   *
   * @param knownSize a size that is known to be there; 0 when none is
   * @throws SealtrailError `ANCHOR_UNAVAILABLE`
   */
  newest(origin: string, knownSize: number): Promise<string | undefined>
  readonly readable: boolean
  close(): Promise<void>
}

export type AnchorKind = 'directory' | 'webhook' | 'bucket' | 'witness'

/** What the anchors outside say about the logs of this deployment. The sequencer asks before it signs. */
export interface LogAnchors {
  /**
   * Compares a log with what the anchors hold, before anything is appended to it. Those that cannot be reached are not
   * waited for.
   *
   * @throws SealtrailError `ANCHOR_CONTRADICTS`
   */
  check(log: AnchoredLog): Promise<void>
  /** Whether more of a log may be signed: not while an anchor contradicts it. */
  maySign(logId: string): boolean
  /** A checkpoint was signed and stored. Returns at once. */
  published(logId: string, size: number): void
}

/** A log as anchors are compared with it. */
export interface AnchoredLog {
  readonly logId: string
  /** Hashes of its leaves; grows with it. */
  readonly tree: HashReader & { readonly size: number }
}

export interface CheckpointToAnchor {
  readonly logId: string
  readonly origin: string
  readonly size: number
  readonly root: Uint8Array
  /** Signed note. */
  readonly note: string
  /** RFC 6962 consistency proof from a smaller tree to this one. */
  proofFrom(oldSize: number): readonly Uint8Array[]
  /** A size up to which this place is known to have followed; 0 when none is. */
  readonly knownSize: number
}

export interface AnchorReceipt {
  /** When the place took it, RFC 3339: by its own clock where it has a say. */
  readonly at: string
  /** What it answered, for people: path, version id, cosignature, first words of a reply. */
  readonly answer: string
  /** Cosignature lines of C2SP tlog-cosignature, where the place is a witness. */
  readonly cosignatures: readonly string[]
}
