import type { PersonalDataKind } from '../../schemas/redaction-policy.ts'
import { personalNameKind, quotedPersonalName } from './personal-data-rules.ts'
import { secretFlagKind, secretNameKind } from './secret-names.ts'

/** What names say about the values under them, as far as a pass may go by names. */
export interface NameJudgement {
  /** Kind of what a key of this name holds. */
  kindOf(name: string): string | undefined
  /** Kind of what follows a command-line flag. */
  flagKindOf(flag: string): string | undefined
  /** Whether the private members of a JSON Web Key are known by their names. */
  readonly jsonWebKeys: boolean
  /** Matches text in which a name of personal data stands in quotes; names of credentials have a filter of their own. */
  readonly personal: RegExp | undefined
}

export const noNames: NameJudgement = {
  kindOf: () => undefined,
  flagKindOf: () => undefined,
  jsonWebKeys: false,
  personal: undefined,
}
export const credentialNames: NameJudgement = {
  kindOf: secretNameKind,
  flagKindOf: secretFlagKind,
  jsonWebKeys: true,
  personal: undefined,
}

/** Names of credentials, and of the given kinds of personal data. */
export function namesOf(personalData: readonly PersonalDataKind[]): NameJudgement {
  if (personalData.length === 0) return credentialNames
  const kinds = new Set(personalData)
  return {
    ...credentialNames,
    personal: quotedPersonalName(kinds),
    kindOf(name) {
      const secret = secretNameKind(name)
      if (secret !== undefined) return secret
      const personal = personalNameKind(name)
      return personal !== undefined && kinds.has(personal) ? personal : undefined
    },
  }
}
