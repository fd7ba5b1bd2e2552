import { createHash } from 'node:crypto'

export interface SessionLimits {
  readonly idleMs: number
  readonly absoluteMs: number
}

export const defaultSessionLimits: SessionLimits = {
  idleMs: 12 * 60 * 60_000,
  absoluteMs: 7 * 24 * 60 * 60_000,
}

interface Session {
  readonly userId: string
  readonly startedAtMs: number
  seenAtMs: number
}

const maxSessions = 10_000

/**
 * Opaque browser sessions. Only the SHA-256 of a token is kept, in memory: a restart signs everybody out, and no
 * stolen file or table holds a session.
 */
export class SessionStore {
  private readonly sessions = new Map<string, Session>()
  private readonly clock: () => number
  private readonly random: (bytes: number) => Uint8Array
  private readonly limits: SessionLimits

  constructor(
    clock: () => number,
    random: (bytes: number) => Uint8Array,
    limits: SessionLimits = defaultSessionLimits,
  ) {
    this.clock = clock
    this.random = random
    this.limits = limits
  }

  /** Token of a new session: 256 random bits, base64url. */
  start(userId: string): string {
    if (this.sessions.size >= maxSessions) this.makeRoom()
    const token = Buffer.from(this.random(32)).toString('base64url')
    const now = this.clock()
    this.sessions.set(digestOf(token), { userId, startedAtMs: now, seenAtMs: now })
    return token
  }

  /** User of a live session; extends its idle time. */
  userOf(token: string): string | undefined {
    const key = digestOf(token)
    const session = this.sessions.get(key)
    if (session === undefined) return undefined
    if (this.expired(session)) {
      this.sessions.delete(key)
      return undefined
    }
    session.seenAtMs = this.clock()
    return session.userId
  }

  end(token: string): void {
    this.sessions.delete(digestOf(token))
  }

  /** Ends every session of a user: after a password change or when the user is disabled. */
  endAllOf(userId: string): void {
    for (const [key, session] of this.sessions) {
      if (session.userId === userId) this.sessions.delete(key)
    }
  }

  /** Drops what is over, or else the oldest. */
  private makeRoom(): void {
    for (const [key, session] of this.sessions) {
      if (this.expired(session)) this.sessions.delete(key)
    }
    const oldest = this.sessions.keys().next()
    if (this.sessions.size >= maxSessions && !oldest.done) this.sessions.delete(oldest.value)
  }

  private expired(session: Session): boolean {
    const now = this.clock()
    return (
      now - session.seenAtMs > this.limits.idleMs ||
      now - session.startedAtMs > this.limits.absoluteMs
    )
  }
}

function digestOf(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
