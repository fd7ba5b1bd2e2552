import { SealtrailError } from '../errors.ts'
import type { Digest } from './digest.ts'
import { cosignatureType, parseVerifierKey } from './note.ts'

/** C2SP tlog-policy: which logs and witnesses are trusted, and which of them together are enough. */
export interface TlogPolicy {
  /** Verifier keys of logs; empty where the log is known from elsewhere. */
  readonly logs: readonly string[]
  readonly witnesses: readonly PolicyWitness[]
  /** Whether cosignatures by these witnesses, named as in the policy, are a quorum. */
  isQuorum(cosigned: ReadonlySet<string>): boolean
  /** False for `quorum none`: nobody needs to cosign. */
  readonly needsWitnesses: boolean
}

export interface PolicyWitness {
  /** Name inside the policy; means nothing outside of it. */
  readonly name: string
  readonly verifierKey: string
  /** Submission prefix of C2SP tlog-witness. */
  readonly url: string | undefined
}

type Rule = (cosigned: ReadonlySet<string>) => boolean

/** @throws SealtrailError `CONFIG_INVALID` naming the line */
export function parseTlogPolicy(digest: Digest, text: string): TlogPolicy {
  const logs: string[] = []
  const witnesses: PolicyWitness[] = []
  const publicKeys = new Set<string>()
  const rules = new Map<string, Rule>()
  const grouped = new Set<string>()
  let quorum: Rule | undefined
  let needsWitnesses = true
  for (const [at, line] of text.split('\n').entries()) {
    const bad = (why: string) =>
      new SealtrailError('CONFIG_INVALID', `line ${at + 1} of the witness policy: ${why}`)
    if (hasControlCharacter(line)) throw bad('there is a control character')
    const words = line.split(/[ \t]+/).filter((word) => word !== '')
    const [kind, ...rest] = words
    if (kind === undefined || kind.startsWith('#')) continue
    const define = (name: string, rule: Rule) => {
      if (name === 'none' || rules.has(name)) throw bad(`the name ${name} is taken`)
      rules.set(name, rule)
    }
    const addKey = (verifierKey: string, type?: number) => {
      let publicKey: string
      try {
        publicKey = parseVerifierKey(digest, verifierKey, type).publicKey.join()
      } catch (error) {
        throw bad(error instanceof Error ? error.message : String(error))
      }
      const key = `${type ?? 'log'}/${publicKey}`
      if (publicKeys.has(key)) throw bad('this key stands in the policy twice')
      publicKeys.add(key)
    }
    if (kind === 'log') {
      const [verifierKey, , ...more] = rest
      if (verifierKey === undefined || more.length > 0) throw bad('it is not: log VKEY [URL]')
      addKey(verifierKey)
      logs.push(verifierKey)
    } else if (kind === 'witness') {
      const [name, verifierKey, url, ...more] = rest
      if (name === undefined || verifierKey === undefined || more.length > 0)
        throw bad('it is not: witness NAME VKEY [URL]')
      addKey(verifierKey, cosignatureType)
      define(name, (cosigned) => cosigned.has(name))
      witnesses.push({ name, verifierKey, url })
    } else if (kind === 'group') {
      const [name, count, ...members] = rest
      if (name === undefined || count === undefined || members.length === 0)
        throw bad('it is not: group NAME all|any|NUMBER MEMBER…')
      const needed =
        count === 'any'
          ? 1
          : count === 'all'
            ? members.length
            : /^[1-9]\d{0,3}$/.test(count)
              ? Number(count)
              : 0
      if (needed < 1 || needed > members.length)
        throw bad(`${count} is not all, any, or a number from 1 to ${members.length}`)
      const memberRules = members.map((member) => {
        const rule = rules.get(member)
        if (rule === undefined) throw bad(`${member} is not defined above`)
        if (grouped.has(member)) throw bad(`${member} is a member of a group already`)
        grouped.add(member)
        return rule
      })
      define(name, (cosigned) => memberRules.filter((rule) => rule(cosigned)).length >= needed)
    } else if (kind === 'quorum') {
      const [name, ...more] = rest
      if (name === undefined || more.length > 0) throw bad('it is not: quorum NAME')
      if (quorum !== undefined) throw bad('there is a quorum already')
      needsWitnesses = name !== 'none'
      quorum = name === 'none' ? () => true : rules.get(name)
      if (quorum === undefined) throw bad(`${name} is not defined above`)
    } else throw bad(`${kind} is not log, witness, group or quorum`)
  }
  if (quorum === undefined)
    throw new SealtrailError('CONFIG_INVALID', 'the witness policy has no quorum line')
  return { logs, witnesses, needsWitnesses, isQuorum: quorum }
}

function hasControlCharacter(line: string): boolean {
  for (let i = 0; i < line.length; i++) {
    const code = line.charCodeAt(i)
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) return true
  }
  return false
}
