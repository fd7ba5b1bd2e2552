import { type SecretKind, secretFlagKind, secretNameKind } from './secret-names.ts'

/**
 * One way to find secrets in free text. Every pattern runs in linear time: quantifiers are bounded and never nested,
 * and each pattern either starts with a literal or is guarded by a lookbehind for its own character class, so that
 * no character is scanned from more than a constant number of starting points.
 */
export interface SecretRule {
  readonly kind: SecretKind
  /** Cheap test that must hold before `pattern` runs. */
  readonly when: RegExp
  readonly pattern: RegExp
  /**
   * Given a match, the secret inside it: the text is kept up to `from` and after `until` (offsets into the match).
   * Undefined when the match is no secret. Default: the whole match.
   */
  readonly secret?: (match: RegExpExecArray) => SecretSpan | undefined
}

/** Offsets from the beginning of the match; `until` may lie behind its end. */
export interface SecretSpan {
  readonly from: number
  readonly until: number
  readonly kind?: SecretKind
}

/** One word that says a value is a placeholder or a remark, not a secret. */
const remark =
  /^(?:null|none|str|int|bool|bytes|await|include|omit|same-origin|oauth2?|oidc|saml|nil|true|false|undefined|required|optional|missing|invalid|expired|revoked|empty|string|number|boolean|object|hidden|masked|redacted|unset|unknown|incorrect|wrong|must|not|is|was|the|for|and|has|cannot|n\/a|\*{2,}.*|x{3,}|\.{3,}|-+|_+|\[redacted.*|<[^>]*>?|\$\{.*|\{\{.*|\$[A-Z_]+|%[A-Z_]+%?)$/i

export function isRemark(value: string): boolean {
  return remark.test(value.length > 64 ? value.slice(0, 64) : value)
}

/** True for text that no ordinary word looks like: a digit, or capitals after the first letter among small ones. */
function looksRandom(value: string): boolean {
  return /\d/.test(value) || (/[a-z]/.test(value) && /.[A-Z]/.test(value))
}

function tail(match: RegExpExecArray, secret: string | undefined): SecretSpan | undefined {
  if (secret === undefined) return undefined
  const whole = match[0]
  return { from: whole.length - secret.length, until: whole.length }
}

const keyword = String.raw`pass(?:word|wort|wd|phrase|code)s?|pwd|secret|token|api[_\- ]?key|private[_-]?key|access[_-]?key|secret[_-]?key|account[_-]?key|signing[_-]?key|encryption[_-]?key|master[_-]?key|subscription[_-]?key|auth[_-]?key|credentials?|connection[_-]?string`
const quoted = String.raw`\\{0,7}"([^"\r\n]{1,4096})|\\{0,7}'([^'\r\n]{1,4096})|\\{0,7}${'`'}([^${'`'}\r\n]{1,4096})`
const bare = String.raw`([^\s"'${'`'},;&<>\\]{1,2048})`

/** `key=value`, `key: value`, `"key": "value"` (quotes escaped up to three times). */
const keyValue = new RegExp(
  String.raw`(${keyword})(\\{0,7}["'${'`'}\]]{0,2}[ \t]{0,8}(?::=|=>|->|[:=](?!=))[ \t]{0,8})(?:${quoted}|${bare})`,
  'gi',
)
/** `--password value` and `--pass=value`, as tools that run commands get it. */
const commandFlag = new RegExp(
  String.raw`(?<![\w-])(--?[A-Za-z][\w-]{1,64})([ \t]{1,8}|=)(?:${quoted}|${bare})`,
  'g',
)
/** `the password is value`. */
const prose =
  /(pass(?:word|phrase|code)|pwd|secret|token)([ \t]{1,8}is[ \t]{1,8})(?:"([^"\r\n]{1,4096})|'([^'\r\n]{1,4096})|`([^`\r\n]{1,4096})|([^\s"'`,;&<>\\]{1,2048}))/gi

const harmlessBefore =
  /(?:(?:progress|page|next|previous|continuation|sync|cursor|start|end|stop|pagination)[_-]?|unexpected )$/i

/** Source code that says where a secret comes from: a call, or a member of what holds the configuration. */
const code =
  /^(?:[A-Za-z_$][\w$]{0,64}(?:\.[\w$]{1,64}){0,8}\([^()]{0,256}\);?|\$\(\w{0,64}|(?:process\.env|os\.environ|import\.meta\.env|env|config|settings|self|this|props|options|opts|ctx|req|request|args|params|secrets|vars?|local|data|input|event)\.[\w$.]{1,128}[[(]?|os\.(?:environ|getenv)[[(]?|(?:Optional|Union|list|dict)\[.{0,64})[,;]?$/

/** Reads a match of the three patterns above: (key)(separator)(value in one of four quotings). */
function assignedSecret(match: RegExpExecArray): SecretSpan | undefined {
  const [whole, key = '', , double, single, tick, unquoted] = match
  const quotedValue = double ?? single ?? tick
  const value = quotedValue ?? unquoted ?? ''
  const start = whole.length - value.length
  if (/^token$/i.test(key)) {
    const before = match.input.slice(Math.max(0, match.index - 14), match.index)
    if (harmlessBefore.test(before)) return undefined
  }
  // A quoted value inside escaped JSON ends with the backslashes of the closing quote.
  const trimmed =
    quotedValue === undefined
      ? value.replace(/[)\]}.,;:!?]{1,8}$/, '')
      : value.replace(/\\{1,7}$/, '')
  if (trimmed === '' || isRemark(trimmed)) return undefined
  if (quotedValue === undefined && code.test(value)) return undefined
  return { from: start, until: start + trimmed.length, kind: kindOfKeyword(key) }
}

function kindOfKeyword(key: string): SecretKind {
  if (/^p(?:ass|wd)/i.test(key)) return 'password'
  if (/token/i.test(key)) return 'token'
  return /api/i.test(key) ? 'api-key' : 'secret'
}

function keyValueSecret(match: RegExpExecArray): SecretSpan | undefined {
  const span = assignedSecret(match)
  const [, key = '', separator = ''] = match
  // arn:aws:secretsmanager:us-east-1:123456789012:secret:name
  if (separator === ':' && match.input[match.index - 1] === ':') return undefined
  const unquoted = match[6]
  if (span === undefined || unquoted === undefined || kindOfKeyword(key) === 'password') return span
  // `Invalid token: check the docs` is prose; `token: a1b2c3` is not.
  const isProse = /:[ \t]/.test(separator) && unquoted.length < 20 && !looksRandom(unquoted)
  return isProse ? undefined : span
}

function flagSecret(match: RegExpExecArray): SecretSpan | undefined {
  const [whole, flag = '', separator, double, single, tick, unquoted] = match
  const value = double ?? single ?? tick ?? unquoted ?? ''
  const kind = secretFlagKind(flag)
  const isFlag = separator !== '=' && value.startsWith('-')
  if (kind === undefined || isFlag || isRemark(value)) return undefined
  // The closing quote is not part of the match.
  return { from: whole.length - value.length, until: whole.length, kind }
}

/** `the password is wrong` names none: a digit or mixed case must be there. */
function proseSecret(match: RegExpExecArray): SecretSpan | undefined {
  const value = match[3] ?? match[4] ?? match[5] ?? match[6] ?? ''
  return looksRandom(value) ? assignedSecret(match) : undefined
}

/** A key ends with its END line; one that was cut ends where the text around it goes on. */
function privateKeyEnd(match: RegExpExecArray): number {
  const text = match.input
  const body = match.index + match[0].length
  const next = text.indexOf('-----', body)
  const endLine =
    next >= 0 && text.startsWith('END', next + 5) ? text.indexOf('-----', next + 5) : -1
  if (endLine >= 0 && endLine - next < 80) return endLine + 5 - match.index
  for (let at = body; at < text.length; at++) {
    if (at === next || `"'<>{}`.includes(text.charAt(at))) return at - match.index
  }
  return text.length - match.index
}

const nextWord = /[ \t]{1,8}([^\s"'`,;\\]{1,8192})/y

function authorizationSecret(match: RegExpExecArray): SecretSpan | undefined {
  const [whole, parameters, scheme, alone] = match
  if (alone === undefined) return tail(match, parameters ?? scheme)
  if (isSecretWord(alone)) return tail(match, alone)
  // A scheme that is not known here.
  nextWord.lastIndex = match.index + whole.length
  const credentials = nextWord.exec(match.input)
  const word = credentials?.[1]
  if (credentials === null || word === undefined || !isSecretWord(word)) return undefined
  const until = whole.length + credentials[0].length
  return { from: until - word.length, until }
}

function isSecretWord(word: string): boolean {
  return !isRemark(word) && (looksRandom(word) || word.length >= 20)
}

/** `curl -u bob:secret`; not `docker run -u 1000:1000`, `chown`, `sort -u file:1`. */
function userOptionSecret(match: RegExpExecArray): SecretSpan | undefined {
  const [, user = '', password = ''] = match
  if (/^\d+$/.test(user) && /^\d+$/.test(password)) return undefined
  const isHttp = /\b(?:curl|wget|https?|ftp|svn|mysql|psql)\b/i.test(match.input)
  return isHttp || looksRandom(password) ? tail(match, password) : undefined
}

/** `<password>value</password>` */
function elementSecret(match: RegExpExecArray): SecretSpan | undefined {
  const [whole, name = '', content = ''] = match
  const kind = secretNameKind(name)
  const value = content.trimEnd()
  if (kind === undefined || isRemark(value)) return undefined
  const from = whole.length - 2 - content.length
  return { from, until: from + value.length, kind }
}

/** Where a token may begin: not inside of a word, but after `\\n` and `%22`, which end in a letter or digit. */
const boundary = String.raw`(?:(?<![A-Za-z0-9_])|(?<=\\[nrtbf])|(?<=%[0-9A-Fa-f]{2}))`

function prefixed(prefix: string, body: string, when: RegExp, kind: string): SecretRule {
  return {
    kind,
    when,
    pattern: new RegExp(`${boundary}(?:${prefix})${body}`, 'g'),
  }
}

/** In order: what spans most text first, free-text key-value last. */
export const secretRules: readonly SecretRule[] = [
  {
    // RFC 7468 section 10, and the older OpenSSL and OpenPGP labels. A key that was cut has no END line.
    kind: 'private-key',
    when: /PRIVATE KEY/,
    pattern: /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----/g,
    secret: (match) => ({ from: 0, until: privateKeyEnd(match) }),
  },
  {
    kind: 'authorization',
    when: /authorization/i,
    pattern:
      /authorization\\{0,7}["'`\]]{0,2}[ \t]{0,8}(?:=>|[:=,])[ \t]{0,8}\\{0,7}["'`[]{0,2}(?:(?:digest|aws4-hmac-sha256|signature|oauth)[ \t]{1,8}([^\r\n'`]{1,8192})|(?:bearer|basic|token|negotiate|apikey|api-key|splunk|ntlm|key)[ \t]{1,8}([^\s"'`,;\\]{1,8192})|([^\s"'`,;\\]{1,8192}))/gi,
    secret: authorizationSecret,
  },
  {
    // RFC 6750 section 2.1, RFC 7617. `Bearer realm="..."` is a challenge and holds no secret.
    kind: 'bearer',
    when: /bearer|basic[ \t]/i,
    pattern:
      /(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=%[0-9A-Fa-f]{2}))(?:bearer|basic)(?:[ \t]{1,8}|%20|\+)([A-Za-z0-9._~+/-]{6,8192}={0,2})(?![\w="])/gi,
    secret: (match) => {
      const credentials = match[1] ?? ''
      return looksRandom(credentials) || credentials.length >= 32
        ? tail(match, credentials)
        : undefined
    },
  },
  {
    // RFC 7519: header and claims are base64url JSON objects; RFC 7516 has five parts.
    kind: 'jwt',
    when: /eyJ/,
    pattern:
      /(?:(?<![\w-])|(?<=\\[nrtbf])|(?<=%[0-9A-Fa-f]{2}))eyJ[\w-]{8,8192}\.[\w-]{0,32768}(?:\.[\w-]{0,32768})(?:\.[\w-]{0,32768})?(?:\.[\w-]{0,8192})?/g,
  },
  {
    // RFC 3986 section 3.2.1 userinfo: postgres, mysql, mongodb+srv, redis, amqp, https and every other scheme.
    kind: 'url-password',
    when: /:\/\/[^\s/"'<>]{1,2048}@/,
    pattern: /(?<=[a-z0-9]):\/\/([^\s/"'<>:@]{0,256}):([^\s/"'<>]{1,1024})@/gi,
    secret: (match) => {
      const password = match[2] ?? ''
      if (/^\d{1,5}[?#]/.test(password) || isRemark(password)) return undefined
      const until = match[0].length - 1
      return { from: until - password.length, until }
    },
  },
  {
    kind: 'url-password',
    when: /:\/\/[^\s/"'<>]{20,2048}@/,
    pattern: /(?<=[a-z0-9]):\/\/([A-Za-z0-9_-]{20,512})@/g,
    secret: (match) => {
      const user = match[1] ?? ''
      if (!looksRandom(user)) return undefined
      return { from: match[0].length - 1 - user.length, until: match[0].length - 1 }
    },
  },
  {
    kind: 'url-password',
    when: /jdbc:oracle/i,
    pattern: /jdbc:oracle:[a-z]{1,8}:[^\s/@"']{1,128}\/([^\s@"']{1,256})@/gi,
    secret: (match) => {
      const password = match[1] ?? ''
      return { from: match[0].length - 1 - password.length, until: match[0].length - 1 }
    },
  },
  prefixed('AKIA|ASIA|ABIA|ACCA', '[A-Z0-9]{16}(?![A-Za-z0-9])', /A[KSBC][IC]A/, 'aws-key-id'),
  {
    // 40 characters of base64 are a secret key only where AWS is the subject; a git hash has no capitals.
    kind: 'aws-secret',
    when: /aws|AKIA|ASIA|redacted:aws/i,
    pattern: /(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])/g,
    secret: (match) =>
      /[A-Z]/.test(match[0]) && /[a-z]/.test(match[0]) && /\d/.test(match[0])
        ? { from: 0, until: match[0].length }
        : undefined,
  },
  prefixed('AIza', '[A-Za-z0-9_-]{35}', /AIza/, 'gcp-key'),
  prefixed(String.raw`ya29\.`, '[A-Za-z0-9_.-]{20,2048}', /ya29\./, 'gcp-token'),
  prefixed('GOCSPX-', '[A-Za-z0-9_-]{20,64}', /GOCSPX-/, 'gcp-secret'),
  prefixed('1//0', '[A-Za-z0-9_-]{30,512}', /1\/\/0/, 'gcp-token'),
  {
    kind: 'azure-key',
    when: /Key=/i,
    pattern: /(?:Account|SharedAccess|Shared|Access)Key=([A-Za-z0-9+/%]{16,512}={0,2})/gi,
    secret: (match) => tail(match, match[1]),
  },
  {
    // Shared access signature of Azure and of signed URLs (S3 X-Amz-Signature, GCS X-Goog-Signature).
    kind: 'signature',
    when: /sig(?:nature)?=/i,
    pattern:
      /(?:[?&;]|SharedAccessSignature |\s)(?:sig|Signature|X-Amz-Signature|X-Goog-Signature)=([A-Za-z0-9%+/_=-]{16,1024})/gi,
    secret: (match) => tail(match, match[1]),
  },
  {
    kind: 'azure-secret',
    when: /\dQ~/,
    pattern: /(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}(?![\w~-])/g,
  },
  prefixed('gh[pousr]_', '[A-Za-z0-9]{16,255}', /gh[pousr]_/, 'github-token'),
  prefixed('github_pat_', '[A-Za-z0-9_]{20,255}', /github_pat_/, 'github-token'),
  prefixed(
    'gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat|ffct|wt)-',
    '[A-Za-z0-9_.-]{16,255}',
    /gl[a-z]{2,6}-/,
    'gitlab-token',
  ),
  prefixed(
    'xox[abcdeoprs]-|xoxe\\.xox[bp]-|xapp-',
    '[A-Za-z0-9%/+=-]{10,512}',
    /xox|xapp-/,
    'slack-token',
  ),
  {
    kind: 'slack-webhook',
    when: /hooks\.slack\.com/,
    pattern: /hooks\.slack\.com\/(?:services|workflows)\/([A-Za-z0-9/_-]{20,255})/g,
    secret: (match) => tail(match, match[1]),
  },
  {
    kind: 'webhook',
    when: /webhook/i,
    pattern:
      /(?:discord(?:app)?\.com\/api\/webhooks\/\d{1,24}|\.webhook\.office\.com\/webhookb2)\/([A-Za-z0-9@/_-]{20,512})/g,
    secret: (match) => tail(match, match[1]),
  },
  prefixed('npm_', '[A-Za-z0-9]{30,255}', /npm_/, 'npm-token'),
  prefixed('pypi-Ag', '[A-Za-z0-9_-]{16,1024}', /pypi-Ag/, 'pypi-token'),
  prefixed(
    '[srp]k_(?:org_)?(?:live|test)_',
    '[A-Za-z0-9]{10,255}',
    /[srp]k_(?:org_)?(?:live|test)_/,
    'stripe-key',
  ),
  prefixed('whsec_', '[A-Za-z0-9+/=]{16,255}', /whsec_/, 'stripe-key'),
  {
    kind: 'model-api-key',
    when: /sk-/,
    pattern: /(?:(?<![\w-])|(?<=\\[nrtbf])|(?<=%[0-9A-Fa-f]{2}))sk-[A-Za-z0-9_-]{10,512}/g,
    secret: (match) =>
      looksRandom(match[0].slice(3)) &&
      (match[0].length >= 24 || /^sk-[A-Za-z0-9]{10,}$/.test(match[0]))
        ? { from: 0, until: match[0].length }
        : undefined,
  },
  prefixed('stk_|sts_', '[A-Za-z0-9_-]{16,255}', /st[ks]_/, 'sealtrail-key'),
  prefixed(
    'hf_|shp(?:at|ss|ca|pa)_|do[opr]_v1_|lin_api_|figd_|glsa_|glc_|dckr_(?:pat|oat)_|ntn_|secret_(?=[A-Za-z0-9]{40})|ATATT3|ATCTT3|ATBB(?=[A-Za-z0-9]{24})|NRAK-|nvapi-|gsk_|r8_|pplx-|xai-(?=[A-Za-z0-9]{40})|tskey-|dt0c01\\.|hvs\\.|hvb\\.|dp\\.(?:pt|st|ct|sa)\\.|sntry[su]_|phc_|rubygems_|dapi(?=[0-9a-f]{32})|SG\\.(?=[\\w-]{16,64}\\.)|pul-(?=[0-9a-f]{40})|PMAK-|sbp_(?=[0-9a-f]{32})|sb_secret_|sq0(?:csp|atp)-|pscale_(?:tkn|pw|oauth)_|fo1_|fm[12]_|AGE-SECRET-KEY-1|ABSK(?=[A-Za-z0-9+/]{40})|tvly-|lsv2_(?:pt|sk)_|pcsk_|HRKU-|CFPAT-|xkeysib-|nfp_|vercel_blob_rw_|ops_(?=eyJ)|bku[aibcd]_|CCI(?:PAT|PRJ)_|key-(?=[0-9a-f]{32})',
    '[A-Za-z0-9_.=+/-]{16,2048}',
    /hf_|shp|do[opr]_v1_|lin_api_|figd_|glsa_|glc_|dckr_|ntn_|secret_|AT[AC]TT3|ATBB|NRAK-|nvapi-|gsk_|r8_|pplx-|xai-|tskey-|dt0c01|hv[sb]\.|dp\.|sntry|phc_|rubygems_|dapi|SG\.|pul-|PMAK-|sbp_|sb_secret_|sq0|pscale_|fo1_|fm[12]_|AGE-|ABSK|tvly-|lsv2_|pcsk_|HRKU-|CFPAT-|xkeysib-|nfp_|vercel_|ops_|bku|CCIP|key-/,
    'vendor-token',
  ),
  {
    // Telegram: bot id and token, also in the path of a URL.
    kind: 'vendor-token',
    when: /:AA/,
    pattern: /(?<!\d)\d{8,12}:AA[\w-]{32,34}(?![\w-])/g,
  },
  {
    // Terraform: fourteen characters of an id before the literal.
    kind: 'vendor-token',
    when: /\.atlasv1\./,
    pattern: /(?<![A-Za-z0-9])[A-Za-z0-9]{14}\.atlasv1\.[\w-]{40,128}/g,
  },
  {
    kind: 'azure-secret',
    when: /AZDO/,
    pattern: /(?<![A-Za-z0-9])[A-Za-z0-9]{52,84}AZDO[A-Za-z0-9]{4}(?![A-Za-z0-9])/g,
  },
  {
    // crypt(5) and PHC strings: /etc/shadow, htpasswd, tables of users.
    kind: 'password-hash',
    when: /\$(?:2[aby]|[156y]|apr1|argon2)/,
    pattern: /\$(?:2[aby]|[156y]|apr1|argon2(?:id?|d))\$[A-Za-z0-9./$=,+]{20,512}/g,
  },
  {
    // DSN of Go's MySQL driver: user:password@tcp(host)/database
    kind: 'url-password',
    when: /@(?:tcp|unix)\(/,
    pattern: /(?<![\w.:/@-])[\w.-]{1,64}:([^\s"'/]{1,256})@(?:tcp|unix)\(/g,
    secret: (match) => {
      const password = match[1] ?? ''
      const from = match[0].lastIndexOf('@') - password.length
      return { from, until: from + password.length }
    },
  },
  {
    // RFC 6265 sections 4.1 and 4.2: the whole header value, up to the end of the line or the closing quote.
    kind: 'cookie',
    when: /cookie/i,
    pattern:
      /cookie\\{0,7}["'`\]]{0,2}[ \t]{0,8}(?:=>|[:=])[ \t]{0,8}\\{0,7}["'`[]{0,2}([^\s"'`=;\\]{1,256}=[^\r\n"'`\\]{1,8192})/gi,
    secret: (match) =>
      /^[^=]*=\[redacted/.test(match[1] ?? '') ? undefined : tail(match, match[1]),
  },
  {
    // curl -u user:password
    kind: 'password',
    when: /-u[ \t]|--user[ \t=]/,
    pattern: /(?<![\w-])(?:-u[ \t]{1,8}|--user[ \t=]{1,8})["']?([^\s:"']{1,128}):([^\s"']{1,256})/g,
    secret: userOptionSecret,
  },
  {
    // netrc(5)
    kind: 'password',
    when: /login\s/,
    pattern: /(?<!\w)login\s{1,8}\S{1,256}\s{1,8}password\s{1,8}(\S{1,1024})/g,
    secret: (match) => tail(match, match[1]),
  },
  {
    // npmrc
    kind: 'authorization',
    when: /_auth/,
    pattern: /(?<![A-Za-z0-9])_auth[ \t]{0,8}=[ \t]{0,8}["']?([^\s"']{1,4096})/g,
    secret: (match) => tail(match, match[1]),
  },
  {
    kind: 'secret',
    when: /<\//,
    pattern: /<([A-Za-z][\w.:-]{0,64})(?:\s[^<>]{0,256})?>\s{0,64}([^<>\s][^<]{0,4096})<\//g,
    secret: elementSecret,
  },
  {
    kind: 'secret',
    when: new RegExp(keyword, 'i'),
    pattern: keyValue,
    secret: keyValueSecret,
  },
  { kind: 'secret', when: /-[\w-]/, pattern: commandFlag, secret: flagSecret },
  { kind: 'secret', when: /\bis[ \t]/i, pattern: prose, secret: proseSecret },
]
