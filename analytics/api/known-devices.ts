import { createHash } from 'node:crypto'
import { RecentMap } from '../recent-map.ts'

const maxDevices = 50_000

/**
 * Browsers that an account signed in with, by a cookie of their own (OWASP's "device cookies"). Their tries are counted
 * apart from everybody else's, so that whoever guesses at an account keeps its owner from nothing. In memory: after a
 * restart each is a stranger again until its next sign-in.
 */
export class KnownDevices {
  private readonly accounts = new RecentMap<string>(maxDevices)
  private readonly random: (bytes: number) => Uint8Array

  constructor(random: (bytes: number) => Uint8Array) {
    this.random = random
  }

  /** Value of the cookie for a browser that just signed in. */
  remember(account: string): string {
    const token = Buffer.from(this.random(16)).toString('base64url')
    this.accounts.use(digestOf(token), () => account.toLowerCase())
    return token
  }

  /** Name under which tries of this browser at this account are counted; undefined for a stranger. */
  nameOf(token: string | undefined, account: string): string | undefined {
    if (token === undefined) return undefined
    const digest = digestOf(token)
    return this.accounts.peek(digest) === account.toLowerCase() ? digest : undefined
  }
}

function digestOf(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
