/**
 * Keys that must be destroyable. Stands outside the ledger, encrypted under the master key of the deployment.
 * Keys are handed out as bytes and never logged. `test/conformance/keyring.ts` is the contract as tests.
 */
export interface Keyring {
  /**
   * Key that seals the payloads of a subject on a day (UTC, `YYYY-MM-DD`): HKDF of the subject's root key. Synchronous
   * and cached; a new subject's root key is only in memory until {@link sync}. After an erasure what arrives of the
   * same subject is new data, and sealed under a new root key of another id: erasing is of what was stored.
   */
  sealingKey(logId: string, subjectId: string, day: string): SealingKey
  /** The key of that id; undefined when it was destroyed or never existed. */
  openingKey(logId: string, keyId: string): Uint8Array | undefined
  /** Resolves when every key handed out so far is durable. Called before payloads are put. No-op without new keys. */
  sync(): Promise<void>
  /** HMAC key for redaction tokens and value hashes of a log. Never changes. */
  tokenKey(logId: string): Uint8Array
  /** HMAC key for dedup digests of a day. A day whose key was destroyed has another one then, under which nothing is known. */
  dedupKey(logId: string, day: string): Uint8Array
  destroyDedupKeysBefore(logId: string, day: string): Promise<void>
  /** The X25519 key pair to seal to on the bus, made at first use. */
  transportKey(logId: string): TransportKey
  /** Those that open what is on the bus, current one last. None before {@link transportKey}: whoever names a log that is none makes no key. */
  transportKeys(logId: string): readonly TransportKey[]
  /** Chain key of a numbered source, for checking `source.prev`. */
  sourceChainKey(sourceId: string): Uint8Array | undefined
  setSourceChainKey(sourceId: string, key: Uint8Array): Promise<void>
  /** Id of the root key that seals a subject now: the part of {@link SealingKey.keyId} before the day. */
  subjectKeyId(logId: string, subjectId: string): string
  /**
   * Destroys root keys by id; the ids stay on the erased list, which a restore consults. From the call on nothing is
   * sealed under them or opened with them; their bytes are gone from the disk when it resolves. Idempotent.
   */
  destroyKeys(logId: string, rootKeyIds: readonly string[]): Promise<void>
  /** Ids of all root keys that were destroyed, by log, in the order of their ids. */
  erasedKeys(): readonly ErasedKey[]
  /** Whether the key of that id is gone on purpose; false for one that was lost, or never was. */
  wasDestroyed(logId: string, keyId: string): boolean
  /**
   * Key of a store that is encrypted as a whole and can be filled again from the ledger, e.g. `columnar-disk`. Made at
   * first use, and durable when it resolves.
   *
   * @param inherited the key that the store has already, where it is older than this entry of the keyring
   */
  storeKey(name: string, inherited?: Uint8Array): Promise<Uint8Array>
  close(): Promise<void>
}

export interface ErasedKey {
  readonly logId: string
  readonly rootKeyId: string
}

export interface SealingKey {
  /** Short id written into the sealed payload: says which subject and day without naming the subject. */
  readonly keyId: string
  /** 32 bytes, AES-256-GCM. */
  readonly key: Uint8Array
}

export interface TransportKey {
  readonly id: string
  /** 32 raw bytes, like the private key. */
  readonly publicKey: Uint8Array
  readonly privateKey: Uint8Array
}
