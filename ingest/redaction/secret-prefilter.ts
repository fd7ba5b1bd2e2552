/**
 * True when text may hold a secret. Everything that a rule or a key name can find contains one of these literals;
 * `\u` and `\/` are here because a JSON escape can hide one.
 */
export const secretLiterals =
  /passw|aws|passphrase|passcode|pwd|secret|token|(?:api|private|access|account|shared|signing|encryption|master|subscription|auth).?key|authorization|bearer|basic[ \t%+]|cookie|credential|client.?assertion|connection.?string|eyJ|:\/\/[^\s/"'<>]+@|jdbc:oracle|A[KSBC][IC]A|AIza|ya29\.|GOCSPX|1\/\/0|sig=|signature=|\dQ~|gh[pousr]_|github_pat|gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas)-|xox|xapp-|slack\.com|npm_|pypi-|[srp]k_|whsec_|sk-|st[ks]_|hf_|shp|do[op]_v1|lin_api|figd_|glsa_|dckr_|ntn_|AT[AC]TT3|NRAK-|nvapi|r8_|pplx-|tskey-|dt0c01|hv[sb]\.|dp\.pt|sntrys|phc_|rubygems|dapi|SG\.|-u[ \t]|--user|database.?url|[."](?:dsn|pass|pin|auth|jwt|otp)\\{0,7}"|\\[u/]/i

/**
 * Three neighbouring characters out of every alternative above. Ordinary text has none of them or few, and finding
 * that out costs a fifth of the expression.
 */
const trigrams = [
  ...['ssw', 'aws', 'ssp', 'ssc', 'pwd', 'ecr', 'oke', 'key', 'riz', 'rer', 'sic', 'kie', 'ede'],
  ...['nne', 'sse', 'eyj', '://', 'jdb', 'kia', 'kca', 'sia', 'sca', 'bia', 'bca', 'cia', 'cca'],
  ...['iza', 'a29', 'csp', '//0', 'ig=', 're=', 'hp_', 'ho_', 'hu_', 'hs_', 'hr_', 'b_p', 'xox'],
  ...['0q~', '1q~', '2q~', '3q~', '4q~', '5q~', '6q~', '7q~', '8q~', '9q~', 'xap', 'sla', 'pm_'],
  ...['lpa', 'ldt', 'lrt', 'lcb', 'lpt', 'lft', 'imt', 'lag', 'oas', 'pyp', 'sk_', 'rk_', 'pk_'],
  ...['hse', 'sk-', 'tk_', 'ts_', 'hf_', 'shp', '_v1', 'n_a', 'igd', 'lsa', 'dck', 'ntn', 'tt3'],
  ...['nra', 'nva', 'r8_', 'plx', 'tsk', 'dt0', 'hvs', 'hvb', '.pt', 'snt', 'hc_', 'byg', 'dap'],
  ...['sg.', '-u ', '-u\t', '-u\\', '--u', 'tab', 'dsn', 'pas', 'pin', 'uth', 'jwt', 'otp'],
]

const tableBits = 15
const tableMask = (1 << tableBits) - 1
const table = new Uint8Array(1 << tableBits)
for (const trigram of trigrams) {
  let hash = 0
  for (let at = 0; at < trigram.length; at++) hash = roll(hash, trigram.charCodeAt(at))
  table[hash] = 1
}

/** Five bits a character: the hash of a position depends on exactly the last three characters, in either case. */
function roll(hash: number, char: number): number {
  return ((hash << 5) ^ ((char & 0x7f) | 0x20)) & tableMask
}

/** True when one of the trigrams, `\u` or `\/` stands in the text. Never false where the expression matches. */
export function hasSecretTrigram(text: string): boolean {
  let hash = 0
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at)
    hash = ((hash << 5) ^ ((char & 0x7f) | 0x20)) & tableMask
    if (table[hash] === 1) return true
    if (char === 0x5c) {
      const next = text.charCodeAt(at + 1) | 0x20
      if (next === 0x75 || next === 0x2f) return true
    }
  }
  return false
}

export function mayHoldSecret(text: string): boolean {
  return hasSecretTrigram(text) && secretLiterals.test(text)
}
