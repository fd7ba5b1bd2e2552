/** What a key name says about its value: the kind of secret, or undefined when it names none. */
export type SecretKind = string

const exact: Readonly<Record<string, SecretKind>> = {
  pwd: 'password',
  pass: 'password',
  pw: 'password',
  pin: 'password',
  bearer: 'token',
  mfacode: 'token',
  mnemonic: 'secret',
  auth: 'authorization',
  authorization: 'authorization',
  proxyauthorization: 'authorization',
  cookie: 'cookie',
  cookies: 'cookie',
  setcookie: 'cookie',
  jwt: 'token',
  otp: 'token',
  sastoken: 'token',
  credential: 'credential',
  credentials: 'credential',
  connectionstring: 'connection-string',
  databaseurl: 'connection-string',
  dsn: 'connection-string',
}

/** Checked in order against the end of the name, after case and separators are folded away. */
const suffixes: readonly (readonly [string, SecretKind])[] = [
  ['password', 'password'],
  ['passwords', 'password'],
  ['passwd', 'password'],
  ['passphrase', 'password'],
  ['passcode', 'password'],
  ['userpwd', 'password'],
  ['passwort', 'password'],
  ['passwordvalue', 'password'],
  ['passwordhash', 'password'],
  ['passwordconfirm', 'password'],
  ['passwordconfirmation', 'password'],
  ['seedphrase', 'secret'],
  ['recoveryphrase', 'secret'],
  ['recoverycode', 'secret'],
  ['recoverycodes', 'secret'],
  ['recoverykey', 'secret'],
  ['backupcodes', 'secret'],
  ['secret', 'secret'],
  ['secrets', 'secret'],
  ['secretvalue', 'secret'],
  ['clientassertion', 'token'],
  ['token', 'token'],
  ['tokenvalue', 'token'],
  ['accesstokens', 'token'],
  ['refreshtokens', 'token'],
  ['authtokens', 'token'],
  ['apitokens', 'token'],
  ['apikey', 'api-key'],
  ['apikeys', 'api-key'],
  ['privatekey', 'private-key'],
  ['secretkey', 'secret'],
  ['secretaccesskey', 'secret'],
  ['accesskey', 'secret'],
  ['accountkey', 'secret'],
  ['sharedkey', 'secret'],
  ['signingkey', 'secret'],
  ['encryptionkey', 'secret'],
  ['masterkey', 'secret'],
  ['subscriptionkey', 'secret'],
  ['authkey', 'secret'],
  ['authorization', 'authorization'],
  ['cookie', 'cookie'],
  ['connectionstring', 'connection-string'],
  ['privatekeypem', 'private-key'],
]

/** Names that end like a secret and are none: paging and progress tokens (MCP `progressToken`, cloud list calls). */
const harmless =
  /(?:progress|page|next|nextpage|previous|prev|continuation|continue|sync|cursor|start|end|stop|pad|eos|bos|unk|mask|sep|cls|pagination)token$/

const known = new Map<string, SecretKind | undefined>()
const maxKnown = 4096

/**
 * Kind of secret that a key of this name holds. Case, `_`, `-`, `.` and spaces do not matter, so `clientSecret`,
 * `CLIENT_SECRET` and `http.request.header.x-api-key` are all recognised.
 */
export function secretNameKind(name: string): SecretKind | undefined {
  if (name.length > 256) return undefined
  if (known.has(name)) return known.get(name)
  const kind = classify(name.toLowerCase().replace(/[^a-z0-9]/g, ''), name)
  // A bound, not a policy: names come from senders and must not fill the memory.
  if (known.size >= maxKnown) known.clear()
  known.set(name, kind)
  return kind
}

function classify(folded: string, name: string): SecretKind | undefined {
  if (Object.hasOwn(exact, folded)) return exact[folded]
  if (harmless.test(folded)) return undefined
  const last = name
    .toLowerCase()
    .split('.')
    .at(-1)
    ?.replace(/[^a-z0-9]/g, '')
  if (last !== undefined && last !== folded && Object.hasOwn(exact, last)) return exact[last]
  // `password1`, `password2` of a form; not the digits of `x509`.
  const bare = folded.replace(/\d{1,2}$/, '')
  return suffixes.find(([suffix]) => bare.endsWith(suffix))?.[1]
}

/** Kind of secret that follows a command-line flag (`--db-password`), as lists of arguments hold it; else undefined. */
export function secretFlagKind(argument: string): SecretKind | undefined {
  const name = argument.length > 80 ? undefined : /^--?([A-Za-z][\w-]+)$/.exec(argument)?.[1]
  return name === undefined || name.startsWith('no-') ? undefined : secretNameKind(name)
}

/** Keys of a name-value pair: headers, environments of containers, OTLP attributes. */
export const pairNameKeys: ReadonlySet<string> = new Set(['name', 'key', 'Name', 'Key'])
export const pairValueKeys: ReadonlySet<string> = new Set(['value', 'val', 'Value'])

/** Members of a JSON Web Key that are private (RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1); it is one by its `kty`. */
export const jwkPrivateMembers: ReadonlySet<string> = new Set([
  ...['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'],
])

/** Keys of an OTLP AnyValue: what stands under a secret name may be wrapped in one. */
export const anyValueKeys: ReadonlySet<string> = new Set([
  'stringValue',
  'intValue',
  'doubleValue',
  'bytesValue',
  'arrayValue',
  'kvlistValue',
  'values',
  'value',
])
