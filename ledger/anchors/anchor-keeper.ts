import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { AnchorCoverage, LogAnchoring } from '../../schemas/api/anchors.ts'
import { equal, hex } from '../../schemas/bytes.ts'
import { isSealtrailError, SealtrailError } from '../../schemas/errors.ts'
import { openCheckpoint, readCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import { cosignatureVerifier, readCosignatures } from '../../schemas/tlog/cosignature.ts'
import { consistencyProof, rootOf } from '../../schemas/tlog/merkle.ts'
import { type NoteVerifier, noteVerifier } from '../../schemas/tlog/note.ts'
import type { TlogPolicy } from '../../schemas/tlog/tlog-policy.ts'
import type { Anchor, AnchoredLog, LogAnchors } from '../anchor.ts'
import { makeDirectory, nodeFiles, replaceFile } from '../durable-file.ts'
import { verifyEd25519 } from '../ed25519.ts'
import type { LedgerStorage } from '../ledger-storage.ts'
import { checkLogId } from '../log-id.ts'
import { sha256 } from '../sha256.ts'
import type { Signer } from '../signer.ts'

/** How far one anchor is known to cover a log. */
const Position = z.strictObject({
  kind: z.string(),
  target: z.string(),
  size: z.int().positive(),
  root: z.string(),
  at: z.string(),
  answer: z.string(),
})
type Position = z.infer<typeof Position>

const State = z.strictObject({
  positions: z.array(Position),
  /** Newest checkpoint with cosignatures of a quorum; before there was one, of any witness. */
  cosigned: z.string().nullable(),
  contradiction: z.strictObject({ anchor: z.string(), what: z.string() }).nullable(),
})
type State = z.infer<typeof State>

export interface AnchorKeeperParts {
  /** Folder of what is known about the anchors. It is a memory, no evidence: that lies outside. */
  readonly directory: string
  readonly anchors: readonly Anchor[]
  /** Witnesses among the anchors, and which of them together are enough. */
  readonly policy: TlogPolicy | undefined
  readonly signer: Pick<Signer, 'origin' | 'verifierKey' | 'rotations'>
  readonly storage: Pick<LedgerStorage, 'checkpointSizes' | 'readCheckpoint'>
  /** Between two checkpoints of a log that are put outside. */
  readonly intervalMs: number
  /** Unix milliseconds. */
  readonly clock: () => number
  /** Told once of each new problem, and of each contradiction. */
  readonly onProblem: (error: Error, logId: string, anchor: Anchor) => void
}

interface KeptLog extends AnchoredLog {
  state: State
  readonly problems: Map<Anchor, string>
  /** Size of the newest checkpoint. */
  published: number
  /** Cosignature lines of the newest checkpoint that any witness cosigned, while a quorum gathers. */
  gathered: { readonly size: number; readonly lines: readonly string[] }
  round: Promise<void> | undefined
  timer: NodeJS.Timeout | undefined
  lastRoundMs: number
}

/** At a start, anchors that do not answer by then are compared later. */
const startWaitMs = 5000
const stopWaitMs = 5000

/**
 * Puts checkpoints outside, asynchronously: the newest of each log to every anchor, at most once an interval, until all
 * have it. Before each, what the anchor holds is compared with the log; an anchor that is ahead, or has another root,
 * stops the signing of that log.
 */
export class AnchorKeeper implements LogAnchors {
  private readonly parts: AnchorKeeperParts
  private readonly logs = new Map<string, KeptLog>()
  private readonly witnesses: readonly { readonly name: string; readonly verifier: NoteVerifier }[]
  private stopped = false

  constructor(parts: AnchorKeeperParts) {
    this.parts = parts
    this.witnesses = (parts.policy?.witnesses ?? []).map(({ name, verifierKey }) => ({
      name,
      verifier: cosignatureVerifier(sha256, verifyEd25519, verifierKey),
    }))
  }

  async check(anchored: AnchoredLog): Promise<void> {
    const { logId, tree } = anchored
    const sizes = await this.parts.storage.checkpointSizes(logId)
    const log: KeptLog = {
      logId,
      tree,
      state: await this.load(logId),
      problems: new Map(),
      published: sizes.at(-1) ?? 0,
      gathered: { size: 0, lines: [] },
      round: undefined,
      timer: undefined,
      lastRoundMs: Number.NEGATIVE_INFINITY,
    }
    const before = log.state.contradiction
    log.state.contradiction = null
    const waited = { over: false }
    const checks = this.parts.anchors.map(async (anchor) => {
      try {
        if (anchor.readable) await this.compare(log, anchor)
        // Of what cannot be read back, one that has a say is asked by putting the newest checkpoint there again.
        else if (
          log.published > 0 &&
          (anchor.kind === 'witness' || before?.anchor === idOf(anchor))
        )
          await this.putOne(log, anchor)
      } catch (error) {
        // What answers after the start is compared again before anything is put there.
        if (!waited.over) this.note(log, anchor, error)
      }
      if (before?.anchor === idOf(anchor) && !log.problems.has(anchor)) return 'cleared' as const
      return undefined
    })
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), startWaitMs)
    })
    const results = await Promise.race([Promise.all(checks), late])
    waited.over = true
    clearTimeout(timer)
    // What one anchor contradicted stays so until that same anchor agrees, or is taken away by a person.
    const stands = this.parts.anchors.some((anchor) => idOf(anchor) === before?.anchor)
    if (log.state.contradiction === null && stands && !results?.includes('cleared'))
      log.state.contradiction = before
    await this.store(log)
    if (log.state.contradiction !== null) throw contradicted(logId, log.state.contradiction.what)
    this.logs.set(logId, log)
    this.schedule(log)
  }

  maySign(logId: string): boolean {
    return (this.logs.get(logId)?.state.contradiction ?? null) === null
  }

  published(logId: string, size: number): void {
    const log = this.logs.get(logId)
    if (log === undefined) return
    log.published = Math.max(log.published, size)
    this.schedule(log)
  }

  /** Puts the newest checkpoint outside now, and waits for it no longer than the time. */
  async settle(logId: string, timeoutMs: number): Promise<void> {
    const log = this.logs.get(logId)
    if (log === undefined || !this.isBehind(log)) return
    await bounded(this.settled(log), timeoutMs)
  }

  coverage(logId: string): LogAnchoring {
    const log = this.logs.get(logId)
    const anchors = this.parts.anchors.map((anchor) => this.coverageBy(anchor, log))
    const cosigned = log === undefined ? undefined : this.cosigned(log)
    const kept = anchors.filter(({ kind }) => kind !== 'witness')
    return {
      witnessedSize: Math.max(
        0,
        cosigned?.quorum === true ? cosigned.size : 0,
        ...kept.map(({ coveredSize }) => coveredSize),
      ),
      anchors,
      cosigned: cosigned ?? null,
      contradiction: log?.state.contradiction?.what ?? null,
    }
  }

  /** Finishes what is on its way, and puts the last checkpoints outside as far as the anchors answer. */
  async stop(): Promise<void> {
    for (const log of this.logs.values()) clearTimeout(log.timer)
    const open = [...this.logs.values()].filter((log) => this.isBehind(log))
    await bounded(Promise.all(open.map((log) => this.settled(log))), stopWaitMs)
    this.stopped = true
    for (const log of this.logs.values()) clearTimeout(log.timer)
    await Promise.all(this.parts.anchors.map((anchor) => anchor.close()))
  }

  private async settled(log: KeptLog): Promise<void> {
    await log.round
    if (this.isBehind(log)) await this.run(log)
  }

  private schedule(log: KeptLog): void {
    if (this.stopped || log.timer !== undefined || log.round !== undefined || !this.isBehind(log))
      return
    const dueMs = log.lastRoundMs + this.parts.intervalMs - performance.now()
    log.timer = setTimeout(
      () => {
        log.timer = undefined
        void this.run(log)
      },
      Math.max(0, dueMs),
    )
    log.timer.unref()
  }

  private run(log: KeptLog): Promise<void> {
    log.round ??= this.round(log).finally(() => {
      log.round = undefined
      this.schedule(log)
    })
    return log.round
  }

  private isBehind(log: KeptLog): boolean {
    return (
      log.published > 0 &&
      log.state.contradiction === null &&
      this.parts.anchors.some((anchor) => (positionOf(log, anchor)?.size ?? 0) < log.published)
    )
  }

  private async round(log: KeptLog): Promise<void> {
    log.lastRoundMs = performance.now()
    const size = log.published
    const lines = await Promise.all(
      this.parts.anchors.map(async (anchor) => {
        if ((positionOf(log, anchor)?.size ?? 0) >= size) return []
        try {
          if (anchor.readable) await this.compare(log, anchor)
          return await this.putOne(log, anchor)
        } catch (error) {
          this.note(log, anchor, error)
          return []
        }
      }),
    )
    await this.remember(log, size, lines.flat())
    await this.store(log).catch((error: unknown) => {
      const [first] = this.parts.anchors
      if (first !== undefined) this.parts.onProblem(asError(error), log.logId, first)
    })
  }

  /** @returns cosignature lines */
  private async putOne(log: KeptLog, anchor: Anchor): Promise<readonly string[]> {
    const { logId, tree } = log
    const size = log.published
    const note = await this.parts.storage.readCheckpoint(logId, size)
    if (note === undefined) return []
    const root = rootOf(tree, sha256, size)
    const receipt = await anchor.put({
      logId,
      origin: this.parts.signer.origin(logId),
      size,
      root,
      note,
      proofFrom: (oldSize) => consistencyProof(tree, sha256, oldSize, size),
      knownSize: positionOf(log, anchor)?.size ?? 0,
    })
    const { kind, target } = anchor
    const position = { kind, target, size, root: hex(root), at: receipt.at, answer: receipt.answer }
    log.state.positions = [
      ...log.state.positions.filter((each) => idOf(each) !== idOf(anchor)),
      position,
    ]
    log.problems.delete(anchor)
    return receipt.cosignatures
  }

  /** @throws SealtrailError `ANCHOR_CONTRADICTS` when the anchor is ahead of the log, or has another root */
  private async compare(log: KeptLog, anchor: Anchor): Promise<void> {
    const { logId, tree } = log
    const origin = this.parts.signer.origin(logId)
    const note = await anchor.newest(origin, positionOf(log, anchor)?.size ?? 0)
    if (note === undefined) return
    let held: { readonly size: number; readonly root: Uint8Array }
    try {
      held = openCheckpoint(note, await this.verifiers(logId))
    } catch (cause) {
      throw new SealtrailError(
        'ANCHOR_UNAVAILABLE',
        `${idOf(anchor)} holds a checkpoint of ${origin} that its key did not sign: who writes there?`,
        { cause },
      )
    }
    if (held.size > tree.size) {
      throw new SealtrailError(
        'ANCHOR_CONTRADICTS',
        `${idOf(anchor)} holds size ${held.size}, and the log has ${tree.size} leaves: it was rolled back`,
      )
    }
    if (!equal(held.root, rootOf(tree, sha256, held.size))) {
      throw new SealtrailError(
        'ANCHOR_CONTRADICTS',
        `${idOf(anchor)} holds another root at size ${held.size}: the log has forked`,
      )
    }
  }

  private note(log: KeptLog, anchor: Anchor, cause: unknown): void {
    const error = asError(cause)
    if (isSealtrailError(error, 'ANCHOR_CONTRADICTS'))
      log.state.contradiction = { anchor: idOf(anchor), what: error.message }
    if (log.problems.get(anchor) === error.message) return
    log.problems.set(anchor, error.message)
    this.parts.onProblem(error, log.logId, anchor)
  }

  /** Keeps a cosigned checkpoint, but none without a quorum for one that has it. */
  private async remember(log: KeptLog, size: number, lines: readonly string[]): Promise<void> {
    if (lines.length === 0) return
    // A witness that answers later adds its line to the same checkpoint.
    const before = log.gathered.size === size ? log.gathered.lines : []
    log.gathered = { size, lines: [...new Set([...before, ...lines])] }
    const note = await this.parts.storage.readCheckpoint(log.logId, size)
    if (note === undefined) return
    const cosigned = note + log.gathered.lines.join('')
    if (this.cosigned(log)?.quorum === true && !this.isQuorum(this.witnessesOf(cosigned))) return
    log.state.cosigned = cosigned
  }

  private cosigned(log: KeptLog): NonNullable<LogAnchoring['cosigned']> | undefined {
    const note = log.state.cosigned
    if (note === null) return undefined
    const witnesses = this.witnessesOf(note)
    if (witnesses.length === 0) return undefined
    return {
      size: readCheckpoint(note).size,
      note,
      witnesses: witnesses.map(({ keyName, at }) => ({ name: keyName, at })),
      quorum: this.isQuorum(witnesses),
    }
  }

  private isQuorum(witnesses: readonly { readonly name: string }[]): boolean {
    const { policy } = this.parts
    return (
      policy?.needsWitnesses === true && policy.isQuorum(new Set(witnesses.map(({ name }) => name)))
    )
  }

  /** Witnesses whose cosignature on a note verifies. `name` is the one in the policy. */
  private witnessesOf(note: string): { name: string; keyName: string; at: string }[] {
    return this.witnesses.flatMap(({ name, verifier }) => {
      try {
        return readCosignatures(note, [], [verifier]).map((cosignature) => ({
          name,
          keyName: cosignature.name,
          at: new Date(cosignature.seconds * 1000).toISOString(),
        }))
      } catch {
        return []
      }
    })
  }

  private coverageBy(anchor: Anchor, log: KeptLog | undefined): AnchorCoverage {
    const position = log === undefined ? undefined : positionOf(log, anchor)
    const problem = log?.problems.get(anchor) ?? null
    const contradicts = log?.state.contradiction?.anchor === idOf(anchor)
    const isCurrent = position !== undefined && position.size >= (log?.published ?? 0)
    const witness = this.parts.policy?.witnesses.find(
      (_each, i) => this.witnesses[i]?.verifier.name === anchor.target,
    )
    return {
      kind: anchor.kind,
      target: anchor.target,
      coveredSize: position?.size ?? 0,
      root: position?.root ?? null,
      coveredAt: position?.at ?? null,
      answer: position?.answer ?? null,
      state: contradicts
        ? 'contradicts'
        : problem !== null
          ? 'failing'
          : isCurrent || log?.published === 0
            ? 'current'
            : 'waiting',
      problem,
      verifierKey: anchor.kind === 'witness' ? (witness?.verifierKey ?? null) : null,
    }
  }

  private async verifiers(logId: string): Promise<NoteVerifier[]> {
    const { signer } = this.parts
    const retired = (await signer.rotations(logId)).map(({ previous }) => previous)
    return [...retired, await signer.verifierKey(logId)].map((key) =>
      noteVerifier(sha256, verifyEd25519, key),
    )
  }

  private async load(logId: string): Promise<State> {
    const path = this.path(logId)
    const nothing: State = { positions: [], cosigned: null, contradiction: null }
    if (!existsSync(path)) return nothing
    try {
      return State.parse(JSON.parse(await readFile(path, 'utf8')))
    } catch {
      // A memory of what lies outside: what it says is asked for again.
      return nothing
    }
  }

  private async store(log: KeptLog): Promise<void> {
    await makeDirectory(nodeFiles, this.parts.directory)
    const text = `${JSON.stringify(log.state, null, 1)}\n`
    await replaceFile(nodeFiles, this.path(log.logId), Buffer.from(text))
  }

  private path(logId: string): string {
    return join(this.parts.directory, `${checkLogId(logId)}.json`)
  }
}

function idOf({ kind, target }: { readonly kind: string; readonly target: string }): string {
  return `${kind} ${target}`
}

function positionOf(log: KeptLog, anchor: Anchor): Position | undefined {
  return log.state.positions.find((each) => idOf(each) === idOf(anchor))
}

function contradicted(logId: string, what: string): SealtrailError {
  return new SealtrailError('ANCHOR_CONTRADICTS', `log ${logId}: ${what}`, {
    hint: 'Nothing was changed and nothing is signed. Find out which directory holds the log that the anchor saw, and restore ledger, payloads, keyring and signer from one backup of it.',
  })
}

/** Resolves when the work is done or the time is over, whichever is first. */
async function bounded(work: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs)
  })
  await Promise.race([work, late])
  clearTimeout(timer)
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
