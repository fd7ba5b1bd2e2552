/**
 * Everything that a rule or a key name can find contains one of these literals, each with three neighbouring
 * characters that it always contains, rare ones where there is a choice. `\u` and `\/`, by which a JSON escape can hide
 * any of them, are looked for on their own.
 */
export const secretLiterals: readonly (readonly [source: string, ...trigrams: string[]])[] = [
  ['passw', 'ssw'],
  ['passphrase', 'ssp'],
  ['passcode', 'ssc'],
  ['pwd', 'pwd'],
  ['secret', 'ecr'],
  ['token', 'oke'],
  [
    '(?:api|private|access|account|shared|signing|encryption|master|subscription|auth|recovery).?key',
    'key',
  ],
  ['authorization', 'riz'],
  ['_auth', '_au'],
  ['bearer', 'rer'],
  ['basic[ \\t%+]', 'sic'],
  ['cookie', 'kie'],
  ['credential', 'ede'],
  ['client.?assertion', 'sse'],
  ['connection.?string', 'nne'],
  ['database.?url', 'aba'],
  ['mnemonic', 'nem'],
  ['(?:seed|recovery).?phrase', 'hra'],
  ['recovery.?code', 'cov'],
  ['backup.?code', 'kup'],
  ['mfa.?code', 'mfa'],
  // Names that are too short to be looked for without the punctuation around them.
  [
    '[."<-](?:dsn|pass|pw|pin|auth|jwt|otp|kty)\\\\{0,7}[" \\t=>]',
    ...['dsn', 'pas', '.pw', '"pw', '<pw', '-pw', 'pin', 'uth', 'jwt', 'otp', 'kty'],
  ],
  ['eyJ', 'eyj'],
  ['jdbc:oracle', 'jdb'],
  ['@(?:tcp|unix)\\(', '@tc', '@un'],
  ['-u[ \\t]', '-u ', '-u\t'],
  ['--user', '--u'],
  ['aws', 'aws'],
  ['A[KSBC][IC]A', 'kia', 'kca', 'sia', 'sca', 'bia', 'bca', 'cia', 'cca'],
  ['ABSK', 'bsk'],
  ['AIza', 'iza'],
  ['ya29\\.', 'a29'],
  ['GOCSPX', 'csp'],
  ['1//0', '//0'],
  ['sig=', 'ig='],
  ['signature=', 're='],
  ['\\dQ~', ...[...'0123456789'].map((digit) => `${digit}q~`)],
  ['AZDO', 'zdo'],
  ['gh[pousr]_', 'hp_', 'ho_', 'hu_', 'hs_', 'hr_'],
  ['github_pat', 'b_p'],
  [
    'gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat|ffct|wt)-',
    ...['lpa', 'ldt', 'lrt', 'lcb', 'lpt', 'lft', 'imt', 'lag', 'oas', 'gls', 'ffc', 'lwt'],
  ],
  ['xox', 'xox'],
  ['xapp-', 'xap'],
  ['slack\\.com', 'sla'],
  ['webhook', 'bho'],
  ['npm_', 'pm_'],
  ['pypi-', 'pyp'],
  ['[srp]k_', 'sk_', 'rk_', 'pk_'],
  ['whsec_', 'hse'],
  ['sk-', 'sk-'],
  ['st[ks]_', 'tk_', 'ts_'],
  ['hf_', 'hf_'],
  ['shp', 'shp'],
  ['do[opr]_v1', '_v1'],
  ['lin_api', '_ap'],
  ['figd_', 'igd'],
  ['glsa_', 'lsa'],
  ['glc_', 'lc_'],
  ['dckr_', 'dck'],
  ['ntn_', 'ntn'],
  ['AT[AC]TT3', 'tt3'],
  ['ATBB', 'tbb'],
  ['NRAK-', 'nra'],
  ['nvapi', 'nva'],
  ['r8_', 'r8_'],
  ['pplx-', 'plx'],
  ['xai-', 'xai'],
  ['tskey-', 'tsk'],
  ['dt0c01', 'dt0'],
  ['hv[sb]\\.', 'hvs', 'hvb'],
  ['dp\\.(?:pt|st|ct|sa)\\.', 'dp.'],
  ['sntry[su]_', 'snt'],
  ['phc_', 'hc_'],
  ['rubygems_', 'byg'],
  ['dapi', 'dap'],
  ['SG\\.', 'sg.'],
  ['pul-[0-9a-f]{8}', 'ul-'],
  ['PMAK-', 'pma'],
  ['sbp_', 'bp_'],
  ['sq0', 'sq0'],
  ['pscale_', 'psc'],
  ['fo1_', 'fo1'],
  ['fm[12]_', 'fm1', 'fm2'],
  ['tvly-', 'tvl'],
  ['lsv2_', 'lsv'],
  ['pcsk_', 'csk'],
  ['HRKU-', 'rku'],
  ['CFPAT-', 'cfp'],
  ['xkeysib-', 'xke'],
  ['nfp_', 'nfp'],
  ['vercel_blob', 'l_b'],
  ['bku[aibcd]_', 'bku'],
  ['CCI(?:PAT|PRJ)_', 'cip'],
  ['key-[0-9a-f]{8}', 'ey-'],
  [':AA', ':aa'],
  ['\\.atlasv1\\.', 'asv'],
  [
    '\\$(?:2[aby]|[156y]|apr1|argon2[id]{1,2})\\$',
    ...['$2a', '$2b', '$2y', '$1$', '$5$', '$6$', '$y$', '$ap', '$ar'],
  ],
]

/** RFC 3986 section 3.2.1: what stands before the `@` may be long, so that it is asked for on its own. */
export const urlWithUser = /:\/\/[^\s/"'<>]+@/y
/** No literal is longer, nor is its trigram further inside. */
const reach = 32

const tableBits = 15
const tableMask = (1 << tableBits) - 1
/** By hash of a trigram: 0 for none, else one more than the index of its confirmation. */
const table = new Uint8Array(1 << tableBits)
const confirmations: RegExp[] = []
const sourcesOf = new Map<number, string[]>()
for (const [source, ...trigrams] of secretLiterals) {
  for (const trigram of trigrams) {
    const hash = hashOf(trigram)
    sourcesOf.set(hash, [...(sourcesOf.get(hash) ?? []), source])
  }
}
for (const [hash, sources] of sourcesOf) {
  table[hash] = confirmations.push(new RegExp(sources.join('|'), 'i'))
}
const urlEntry = confirmations.length + 1
table[hashOf('://')] = urlEntry

/** Five bits a character: the hash of a position depends on exactly the last three characters, in either case. */
function hashOf(trigram: string): number {
  let hash = 0
  for (let at = 0; at < trigram.length; at++) hash = roll(hash, trigram.charCodeAt(at))
  return hash
}

function roll(hash: number, char: number): number {
  return ((hash << 5) ^ ((char & 0x7f) | 0x20)) & tableMask
}

/** True when text may hold a secret; never false where a literal stands in it. */
export function mayHoldSecret(text: string): boolean {
  let hash = 0
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at)
    hash = ((hash << 5) ^ ((char & 0x7f) | 0x20)) & tableMask
    const entry = table[hash]
    if (entry !== undefined && entry !== 0 && isConfirmed(text, at, entry)) return true
    if (char === 0x5c) {
      const next = text.charCodeAt(at + 1) | 0x20
      if (next === 0x75 || next === 0x2f) return true
    }
  }
  return false
}

/** Looks only at the neighbourhood of a trigram, and there only for the literals that contain it. */
function isConfirmed(text: string, at: number, entry: number): boolean {
  if (entry === urlEntry) {
    urlWithUser.lastIndex = Math.max(0, at - 2)
    return urlWithUser.test(text)
  }
  const around = text.slice(Math.max(0, at - reach), at + reach)
  return confirmations[entry - 1]?.test(around) ?? true
}
