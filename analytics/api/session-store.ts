import { createHash } from 'node:crypto'

export interface SessionLimits {
  readonly idleMs: number
  readonly absoluteMs: number
}

export const defaultSessionLimits: SessionLimits = {
  idleMs: 12 * 60 * 60_000,
  absoluteMs: 7 * 24 * 60 * 60_000,
}

/** What a session begins with. */
export interface NewSession {
  readonly userId: string
  /** `sessionsSince` of the user: a session is over as soon as it differs. */
  readonly since: number
  /** Address of the browser. */
  readonly address: string
  readonly userAgent: string
  /** True when an identity provider signed this person in. */
  readonly federated: boolean
}

export interface Session extends NewSession {
  /** Names the session in lists; it lets nobody in. */
  readonly id: string
  readonly startedAtMs: number
  seenAtMs: number
}

const maxSessions = 10_000
/** Sessions of one user; the one unused for longest goes. Nobody drives others out by signing in often. */
const maxSessionsOfUser = 50
const maxUserAgentChars = 256

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
  start(session: NewSession): string {
    this.makeRoom(session.userId)
    const token = Buffer.from(this.random(32)).toString('base64url')
    const now = this.clock()
    this.sessions.set(digestOf(token), {
      ...session,
      userAgent: session.userAgent.slice(0, maxUserAgentChars),
      id: Buffer.from(this.random(8)).toString('hex'),
      startedAtMs: now,
      seenAtMs: now,
    })
    return token
  }

  /** A live session by its token; extends its idle time. */
  find(token: string): Session | undefined {
    const key = digestOf(token)
    const session = this.sessions.get(key)
    if (session === undefined) return undefined
    if (this.expired(session)) {
      this.sessions.delete(key)
      return undefined
    }
    session.seenAtMs = this.clock()
    return session
  }

  /** Live sessions of a user, newest first. */
  of(userId: string, since: number): Session[] {
    return [...this.sessions.values()]
      .filter((each) => each.userId === userId && each.since === since && !this.expired(each))
      .reverse()
  }

  end(token: string): void {
    this.sessions.delete(digestOf(token))
  }

  /** @returns false when the user has no session of that id */
  endOne(userId: string, id: string): boolean {
    return this.endWhere((session) => session.userId === userId && session.id === id)
  }

  endOthers(userId: string, keptId: string): void {
    this.endWhere((session) => session.userId === userId && session.id !== keptId)
  }

  endAllOf(userId: string): void {
    this.endWhere((session) => session.userId === userId)
  }

  private endWhere(matches: (session: Session) => boolean): boolean {
    let ended = false
    for (const [key, session] of this.sessions) {
      if (!matches(session)) continue
      this.sessions.delete(key)
      ended = true
    }
    return ended
  }

  /** Drops what is over, the oldest ones of a user who has many, or else the oldest of all. */
  private makeRoom(userId: string): void {
    this.endWhere((session) => this.expired(session))
    const own = [...this.sessions].filter(([, session]) => session.userId === userId)
    own.sort(([, a], [, b]) => a.seenAtMs - b.seenAtMs)
    for (const [key] of own.slice(0, Math.max(0, own.length - maxSessionsOfUser + 1)))
      this.sessions.delete(key)
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
