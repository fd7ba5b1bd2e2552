import { personalDataKinds } from '../../schemas/redaction-policy.ts'
import { credentialNames, type NameJudgement } from './name-judgement.ts'
import type { PathRules } from './path-rules.ts'
import type { PersonalDataRule } from './personal-data-rules.ts'
import { redactionMarker } from './redaction-marker.ts'

/**
 * One value that was replaced, or was noticed and kept (`hint`), as it stands in the manifest of an event. `path` is a
 * JSON pointer (RFC 6901) into the event.
 */
export interface Redaction {
  readonly path: string
  readonly rule: string
  readonly action: 'replaced' | 'hashed' | 'dropped' | 'hint'
}

/** What one pass over one event or text has replaced so far. */
export interface RedactionPass {
  readonly redactions: Redaction[]
  /** Rules of the policy for personal data; empty outside of what a source says freely. */
  readonly personalData: readonly PersonalDataRule[]
  /** What the name that a value stands under says about it. */
  readonly names: NameJudgement
  readonly paths: PathRules | undefined
  readonly entropyHints: boolean
  replace(path: string, kind: string, secret: string): string
  /** Replaces a value that a path rule names. */
  hash(path: string, value: string): string
  drop(path: string): string
  /** Puts on the manifest that a value looks like a secret. */
  hint(path: string): void
}

/** What a policy asks of a pass beside credentials. */
export type PassPolicy = Pick<RedactionPass, 'personalData' | 'names' | 'paths' | 'entropyHints'>

export const credentialsOnly: PassPolicy = {
  personalData: [],
  names: credentialNames,
  paths: undefined,
  entropyHints: false,
}

const maxPathLength = 256

/** @param token absent before the token key of the log is known: the marker then carries no token. */
export function createRedactionPass(
  token: ((kind: string, secret: string) => string) | undefined,
  policy: PassPolicy = credentialsOnly,
): RedactionPass {
  const redactions: Redaction[] = []
  const note = (path: string, rule: string, action: Redaction['action']) =>
    redactions.push({ path: path.slice(0, maxPathLength), rule, action })
  return {
    ...policy,
    redactions,
    replace(path, kind, secret) {
      note(path, kind, 'replaced')
      // Every source of a log has the token key: of a value that can be guessed by trial, a token would tell it.
      return redactionMarker(kind, isPersonal(kind) ? undefined : token?.(kind, secret))
    },
    hash(path, value) {
      note(path, 'policy', 'hashed')
      return redactionMarker('hashed', token?.('hashed', value))
    },
    drop(path) {
      note(path, 'policy', 'dropped')
      return redactionMarker('dropped', undefined)
    },
    hint(path) {
      note(path, 'entropy', 'hint')
    },
  }
}

const personalKinds: ReadonlySet<string> = new Set(personalDataKinds)

function isPersonal(kind: string): boolean {
  return personalKinds.has(kind)
}

/** Reference token of RFC 6901. */
export function pointerSegment(key: string): string {
  return key.includes('/') || key.includes('~')
    ? key.replaceAll('~', '~0').replaceAll('/', '~1')
    : key
}
