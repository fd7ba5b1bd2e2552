/**
 * Kinds of personal data that can be recognised by their form. All but `email` and `phone` have check digits or ranges
 * that are checked.
 */
export const personalDataKinds = [
  'email',
  'phone',
  'card',
  'iban',
  'us-ssn',
  'uk-nino',
  'de-tax-id',
  'fr-nir',
  'es-dni',
  'it-codice-fiscale',
  'nl-bsn',
  'pl-pesel',
  'br-cpf',
  'in-aadhaar',
] as const
export type PersonalDataKind = (typeof personalDataKinds)[number]

/**
 * What happens to the values at a path.
 *
 * - `hash`: replaced by a token, an HMAC under the key of the log: equal values stay comparable.
 * - `drop`: replaced by a marker that says nothing of the value.
 * - `keep`: neither judged by the name that it stands under nor searched for personal data. Credentials that are
 *   recognised by their own form are replaced all the same: no policy can have a bearer token stored.
 */
export const pathActions = ['hash', 'drop', 'keep'] as const
export type PathAction = (typeof pathActions)[number]

/**
 * `path` is a JSON pointer (RFC 6901) into an event, in which a segment may be `*` (any one) or two asterisks (any
 * number of segments). A path into `raw.record` goes on in the JSON that the record is.
 */
export type PathRule = { readonly path: string; readonly action: PathAction }

/**
 * What is replaced in the records of a source, beside credentials, which always are. The first rule whose path matches
 * decides.
 */
export type RedactionPolicy = {
  readonly personalData: readonly PersonalDataKind[]
  readonly paths: readonly PathRule[]
  /** Puts text that looks random on the manifest of the event as a hint. The text is kept. */
  readonly entropyHints: boolean
}

/**
 * For sources without a policy of their own. Numbers of payment cards must not be stored (PCI DSS 4.0 requirement 3);
 * whom a mail went to, or what was looked up, is what an audit trail is for, so that the rest is asked for.
 */
export const defaultRedactionPolicy: RedactionPolicy = {
  personalData: ['card'],
  paths: [],
  entropyHints: false,
}

/** Whether a value has the shape of a policy. For readers without the schema, of what a receiver has checked. */
export function isRedactionPolicy(value: unknown): value is RedactionPolicy {
  if (typeof value !== 'object' || value === null) return false
  if (!('personalData' in value && 'paths' in value && 'entropyHints' in value)) return false
  const { personalData, paths, entropyHints } = value
  return (
    Array.isArray(personalData) &&
    personalData.every((kind) => typeof kind === 'string') &&
    Array.isArray(paths) &&
    paths.every(isPathRule) &&
    typeof entropyHints === 'boolean'
  )
}

function isPathRule(value: unknown): value is PathRule {
  if (typeof value !== 'object' || value === null) return false
  if (!('path' in value && 'action' in value) || typeof value.path !== 'string') return false
  const { action } = value
  return pathActions.some((known) => known === action)
}
