/**
 * Every way a public function, command or request of Sealtrail fails.
 *
 * Callers branch on {@link SealtrailError.code} and `retryable`, never on text. docs/errors.md documents each
 * code (what happened, what to do); a test keeps the two in step.
 */
export const errorCatalogue = {
  // -- requests and records
  REQUEST_INVALID: { status: 400, title: 'The request is not valid' },
  RECORD_INVALID: { status: 400, title: 'A record is not a valid event' },
  BODY_TOO_LARGE: { status: 413, title: 'The request is too large' },
  ENCODING_INVALID: { status: 400, title: 'The body could not be decoded' },
  MEDIA_TYPE_UNSUPPORTED: { status: 415, title: 'The content type is not supported' },
  QUERY_INVALID: { status: 400, title: 'The query could not be understood' },
  NOT_FOUND: { status: 404, title: 'There is no such thing' },
  // -- who may
  AUTHENTICATION_REQUIRED: { status: 401, title: 'Authentication is required' },
  CREDENTIALS_INVALID: { status: 401, title: 'The credentials are not valid' },
  SECOND_FACTOR_REQUIRED: { status: 401, title: 'A second factor is required' },
  IDENTITY_PROVIDER_UNAVAILABLE: { status: 503, title: 'The identity provider does not answer' },
  PERMISSION_DENIED: { status: 403, title: 'This is not permitted' },
  CROSS_ORIGIN_REFUSED: { status: 403, title: 'A request from another origin was refused' },
  RATE_LIMITED: { status: 429, title: 'Too many requests' },
  QUOTA_EXCEEDED: { status: 429, title: 'The quota of this source is used up' },
  // -- commands
  VERSION_CONFLICT: { status: 409, title: 'Somebody else changed this first' },
  LAST_ADMIN: { status: 409, title: 'Nobody could administer Sealtrail any more' },
  // -- configuration and start
  CONFIG_INVALID: { status: 500, title: 'The configuration is not valid' },
  LISTEN_REFUSED: { status: 500, title: 'Listening on this address is refused' },
  DIRECTORY_LOCKED: { status: 500, title: 'Another process uses this data directory' },
  PORT_IN_USE: { status: 500, title: 'The port is in use' },
  SERVER_UNREACHABLE: { status: 503, title: 'No running Sealtrail answers' },
  // -- bus
  BUS_FULL: { status: 503, title: 'The event bus is full' },
  BUS_UNAVAILABLE: { status: 503, title: 'The event bus is not available' },
  ENVELOPE_INVALID: { status: 500, title: 'A bus message could not be opened' },
  // -- ledger
  LEDGER_CONFLICT: { status: 503, title: 'Another writer appended to this log first' },
  LEDGER_CORRUPT: { status: 500, title: 'Stored ledger bytes are damaged' },
  LEDGER_UNAVAILABLE: { status: 503, title: 'The ledger cannot be written' },
  DISK_FULL: { status: 503, title: 'The disk has no room for more records' },
  CLOCK_IMPLAUSIBLE: { status: 500, title: 'The clock of this machine cannot be right' },
  PAYLOAD_MISSING: { status: 500, title: 'A sealed payload is missing or damaged' },
  KEY_DESTROYED: { status: 410, title: 'The key that opens this was destroyed' },
  KEYRING_CORRUPT: { status: 500, title: 'The keyring is damaged' },
  SIGNER_REFUSED: { status: 500, title: 'The signer refused to sign' },
  ANCHOR_CONTRADICTS: { status: 500, title: 'An anchor contradicts the log' },
  ANCHOR_UNAVAILABLE: { status: 503, title: 'An anchor does not take checkpoints' },
  PROOF_INVALID: { status: 422, title: 'A proof does not verify' },
  LEAF_TOO_LARGE: { status: 500, title: 'A leaf is larger than 8 KiB' },
  CANONICAL_JSON_INVALID: { status: 400, title: 'A value has no canonical JSON form' },
  // -- columnar store
  STORE_UNAVAILABLE: { status: 503, title: 'The columnar store is not available' },
  STORE_MIGRATION_FAILED: { status: 500, title: 'A migration of the columnar store failed' },
  QUERY_TOO_EXPENSIVE: { status: 422, title: 'The query needs more than it is allowed' },
  // -- collectors
  TAP_COMMAND_FAILED: { status: 500, title: 'The wrapped command could not be started' },
  // -- anything else
  INTERNAL: { status: 500, title: 'An unexpected error' },
} as const satisfies Record<string, { status: number; title: string }>

export type ErrorCode = keyof typeof errorCatalogue

export interface SealtrailErrorOptions {
  cause?: unknown
  /** True when the same call may succeed later, unchanged. */
  retryable?: boolean
  /** One sentence: what to do next. Shown to people by the CLI and in problem details. */
  hint?: string
  /** Structured facts for the caller; never payload content. */
  details?: Readonly<Record<string, unknown>>
}

/** The one error class of the product. `message` is a lower-case fact that names what and where. */
export class SealtrailError extends Error {
  override readonly name = 'SealtrailError'
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly hint: string | undefined
  readonly details: Readonly<Record<string, unknown>> | undefined

  constructor(code: ErrorCode, message: string, options: SealtrailErrorOptions = {}) {
    super(message, { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? false
    this.hint = options.hint
    this.details = options.details
  }
}

/** True for errors of this class, also across copies of the module (matched by name and code). */
export function isSealtrailError(error: unknown, code?: ErrorCode): error is SealtrailError {
  return (
    error instanceof Error &&
    error.name === 'SealtrailError' &&
    'code' in error &&
    (code === undefined || error.code === code)
  )
}
