/**
 * True when text may hold a secret. Everything that a rule or a key name can find contains one of these literals;
 * `\u` and `\/` are here because a JSON escape can hide one.
 */
const literals =
  /passw|aws|passphrase|passcode|pwd|secret|token|(?:api|private|access|account|shared|signing|encryption|master|subscription|auth).?key|authorization|bearer|basic[ \t%+]|cookie|credential|client.?assertion|connection.?string|eyJ|:\/\/[^\s/"'<>]+@|jdbc:oracle|A[KSBC][IC]A|AIza|ya29\.|GOCSPX|1\/\/0|sig=|signature=|\dQ~|gh[pousr]_|github_pat|gl[a-z]{2,6}-|xox|xapp-|slack\.com|npm_|pypi-|[srp]k_|whsec_|sk-|st[ks]_|hf_|shp|do[op]_v1|lin_api|figd_|glsa_|dckr_|ntn_|AT[AC]TT3|NRAK-|nvapi|r8_|pplx-|tskey-|dt0c01|hv[sb]\.|dp\.pt|sntrys|phc_|rubygems|dapi|SG\.|-u[ \t]|--user|database.?url|[."](?:dsn|pass|pin|auth|jwt|otp)\\{0,7}"|\\[u/]/i

export function mayHoldSecret(text: string): boolean {
  return literals.test(text)
}
