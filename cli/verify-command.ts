import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { dataPaths } from '../ledger/data-directory.ts'
import { nodeFiles } from '../ledger/durable-file.ts'
import { verifyEd25519 } from '../ledger/ed25519.ts'
import { openFileKeyring } from '../ledger/keyring/file-keyring.ts'
import { systemLogId } from '../ledger/log-id.ts'
import { openFilePayloadStore } from '../ledger/payloads/file-payload-store.ts'
import { sha256 } from '../ledger/sha256.ts'
import { readLastSigned, readRotations, signedLogIds } from '../ledger/signer/file-signer.ts'
import { openFileStorage } from '../ledger/storage/file-storage.ts'
import { payloadWorkersFor } from '../ledger/verify/payload-workers.ts'
import {
  forked,
  rolledBack,
  type SeenTree,
  type VerifyResult,
  verifyLog,
} from '../ledger/verify/verify-log.ts'
import type { AnchorCoverage } from '../schemas/api/anchors.ts'
import { ConsistencyReply } from '../schemas/api/event-detail.ts'
import {
  IntegrityReply,
  KeyRotationsReply,
  type LogIntegrity,
  VerifyProgress,
} from '../schemas/api/integrity.ts'
import { fromBase64 } from '../schemas/bytes.ts'
import { groundText } from '../schemas/erasure.ts'
import { isSealtrailError, SealtrailError } from '../schemas/errors.ts'
import { type Checkpoint, openCheckpoint } from '../schemas/tlog/checkpoint.ts'
import { followRotation } from '../schemas/tlog/key-rotation.ts'
import { verifyConsistency } from '../schemas/tlog/merkle.ts'
import { noteVerifier, parseVerifierKey } from '../schemas/tlog/note.ts'
import type { ControlClient } from './control-client.ts'
import { examineSigner } from './examine-signer.ts'
import { loadExistingMasterKey, lockExistingDirectory } from './existing-directory.ts'
import { ProgressLine } from './progress-line.ts'
import {
  type Outside,
  OutsideRefused,
  readSeenOutside,
  readStoredCosigned,
  type SeenOutside,
  storedClaims,
  witnessVerifier,
} from './seen-outside.ts'

export interface VerifyFlags {
  /** Absolute path. */
  readonly data: string
  readonly log?: string | undefined
  /** Verifier key from elsewhere; else the one beside the signer, which whoever altered the log could have replaced. */
  readonly key?: string | undefined
  /** Leaves. */
  readonly size?: number | undefined
  readonly treeOnly?: boolean | undefined
  /** Anchor directories, as they are mounted here. */
  readonly anchor?: readonly string[] | undefined
  /** Files with a signed checkpoint each. */
  readonly checkpoint?: readonly string[] | undefined
  readonly witnessKey?: readonly string[] | undefined
}

/** What somebody holds of one log, from outside of this machine. */
interface Remembered {
  readonly key: string | undefined
  readonly size: number | undefined
  readonly outside: Outside
}

/**
 * Recomputes everything from stored bytes. Exit code 0: all is well; 1: the first problem was named.
 *
 * @param running absent: the directory is read here
 * @throws SealtrailError `CONFIG_INVALID`, `DIRECTORY_LOCKED`, `NOT_FOUND`
 */
export async function verifyCommand(
  flags: VerifyFlags,
  running: ControlClient | undefined,
  say: (line: string) => void = print,
): Promise<number> {
  // Before anything long begins.
  const keyOfLog = flags.key === undefined ? undefined : logOfKey(flags.key)
  if (keyOfLog !== undefined && flags.log !== undefined && keyOfLog !== flags.log) {
    throw new SealtrailError(
      'CONFIG_INVALID',
      `--key is the key of log ${keyOfLog}, and --log names ${flags.log}`,
    )
  }
  const about = flags.log ?? keyOfLog
  const outside: Outside = {
    anchors: flags.anchor ?? [],
    checkpoints: flags.checkpoint ?? [],
    witnessKeys: flags.witnessKey ?? [],
  }
  for (const key of outside.witnessKeys) witnessVerifier(key)
  /** A key and a size are those of one log; without --log or --key a size is that of the log of events. */
  const rememberedOf = (logId: string): Remembered => ({
    key: logId === keyOfLog ? flags.key : undefined,
    size:
      logId === about || (about === undefined && logId !== systemLogId) ? flags.size : undefined,
    outside,
  })
  const chosen = (logIds: readonly string[]): readonly string[] => {
    if (about !== undefined && !logIds.includes(about)) {
      throw new SealtrailError(
        'NOT_FOUND',
        `there is no log ${about} here; there is ${logIds.join(' and ')}`,
      )
    }
    return flags.log === undefined ? logIds : [flags.log]
  }
  return running === undefined
    ? verifyOffline(flags, chosen, rememberedOf, say)
    : verifyRunning(flags, running, chosen, rememberedOf, say)
}

async function verifyRunning(
  flags: VerifyFlags,
  client: ControlClient,
  chosen: (logIds: readonly string[]) => readonly string[],
  rememberedOf: (logId: string) => Remembered,
  say: (line: string) => void,
): Promise<number> {
  if (flags.treeOnly) {
    throw new SealtrailError('CONFIG_INVALID', '--tree-only goes with --offline', {
      hint: 'Stop Sealtrail and add --offline, or leave --tree-only out.',
    })
  }
  const progress = new ProgressLine()
  let failed = false
  const { logs } = await client.call(IntegrityReply, 'GET', '/api/v1/integrity')
  for (const logId of chosen(logs.map((log) => log.logId))) {
    for await (const line of client.lines(VerifyProgress, 'POST', '/api/v1/integrity/verify', {
      logId,
    })) {
      if (line.kind === 'progress') {
        progress.update(line.stage, line.done, line.total)
        continue
      }
      progress.done()
      // After the log was recomputed, so that the newest checkpoint is one of those that were checked.
      const after = await client.call(IntegrityReply, 'GET', '/api/v1/integrity')
      const log = after.logs.find((each) => each.logId === logId)
      const held = log === undefined ? undefined : await compare(client, log, rememberedOf(logId))
      const problem = line.firstProblem ?? held?.problem
      failed ||= problem !== undefined
      say(
        problem === undefined
          ? `OK  ${logId}: ${line.treeSize} leaves, ${line.checkpoints} checkpoints, ${line.payloads} payloads${erasedText(line)}, ${line.rows === null ? 'rows not compared: the columnar store is away' : `${line.rows} rows`}`
          : `BAD ${problem}`,
      )
      erasureLines(line.erasures).forEach(say)
      if (log === undefined) continue
      keyLines(log.verifierKey, line.treeSize, rememberedOf(logId)).forEach(say)
      const claims = log.anchoring.anchors.map(claimOf)
      if (problem === undefined)
        coverageLines(line.treeSize, held?.covers ?? [], claims).forEach(say)
    }
  }
  return failed ? 1 : 0
}

/** What a log, as it was just recomputed, has against what is held of it outside; no problem when nothing. */
async function compare(
  client: ControlClient,
  log: LogIntegrity,
  remembered: Remembered,
): Promise<{ problem?: string; covers: SeenOutside['covers'] }> {
  const { logId } = log
  const refused = (problem: string) => ({ problem, covers: [] })
  if (remembered.size !== undefined && log.treeSize < remembered.size)
    return refused(rolledBack(logId, log.treeSize, { size: remembered.size }))
  if (remembered.key !== undefined && log.verifierKey !== remembered.key) {
    const { rotations } = await client.call(
      KeyRotationsReply,
      'GET',
      `/api/v1/integrity/key-rotations?log=${encodeURIComponent(logId)}`,
    )
    if (!leadsTo(remembered.key, log.verifierKey, rotations))
      return refused(
        `log ${logId} is signed with ${log.verifierKey}, not with the key that you hold`,
      )
  }
  if (log.checkpoint === null) return { covers: [] }
  const verifiers = [noteVerifier(sha256, verifyEd25519, log.verifierKey)]
  try {
    const newest = openCheckpoint(log.checkpoint.note, verifiers)
    const cosigned = log.anchoring.cosigned?.note
    const seen = await readSeenOutside(remembered.outside, log.origin, verifiers, cosigned)
    // Of many, the largest of each place: whoever wants all compared reads the directory offline.
    const largest = new Map<string, SeenTree>()
    for (const tree of seen.trees) {
      const known = largest.get(tree.by ?? '')
      if (known === undefined || known.size < tree.size) largest.set(tree.by ?? '', tree)
    }
    for (const tree of largest.values()) {
      if (tree.size > newest.size) return refused(rolledBack(logId, newest.size, tree))
      if (!(await continues(client, logId, tree, newest))) return refused(forked(logId, tree))
    }
    return { covers: seen.covers }
  } catch (error) {
    if (error instanceof OutsideRefused) return refused(`log ${logId}: ${error.message}`)
    if (!isSealtrailError(error, 'PROOF_INVALID')) throw error
    return refused(`log ${logId}, checkpoint ${log.checkpoint.size}: ${error.message}`)
  }
}

/** Whether a trusted key leads to another one by rotations, each vouched for by the key before it. */
function leadsTo(
  trusted: string,
  wanted: string,
  rotations: KeyRotationsReply['rotations'],
): boolean {
  let key = trusted
  for (const { previous, leaf, proof } of rotations) {
    if (previous !== key) continue
    try {
      key = followRotation(sha256, verifyEd25519, key, { leaf: fromBase64(leaf), proof })
    } catch (error) {
      if (isSealtrailError(error, 'PROOF_INVALID')) return false
      throw error
    }
  }
  return key === wanted
}

/** Whether the newest checkpoint continues a tree that was seen outside. */
async function continues(
  client: ControlClient,
  logId: string,
  { size, root }: SeenTree,
  newest: Checkpoint,
): Promise<boolean> {
  if (root === undefined) return true
  const query = `log=${encodeURIComponent(logId)}&old=${size}&new=${newest.size}`
  const { hashes } = await client.call(ConsistencyReply, 'GET', `/api/v1/consistency?${query}`)
  return verifyConsistency(sha256, {
    oldSize: size,
    oldRoot: root,
    newSize: newest.size,
    newRoot: newest.root,
    proof: hashes.map(fromBase64),
  })
}

async function verifyOffline(
  flags: VerifyFlags,
  chosen: (logIds: readonly string[]) => readonly string[],
  rememberedOf: (logId: string) => Remembered,
  say: (line: string) => void,
): Promise<number> {
  const unlock = await lockExistingDirectory(flags.data)
  const opened: { close(): Promise<void> }[] = []
  const paths = dataPaths(flags.data)
  const progress = new ProgressLine()
  let failed = false
  try {
    const storage = await openFileStorage(paths.ledger, {
      // What is examined must not change, a torn end included.
      readOnly: true,
      onTear: (message) => say(`note: ${message} was never acknowledged, and is left out`),
    })
    opened.push(storage)
    const payloads = await openFilePayloadStore(paths.payloads, nodeFiles, true)
    opened.push(payloads)
    const masterKey =
      !flags.treeOnly && existsSync(join(paths.keyring, 'keyring'))
        ? await loadExistingMasterKey(flags.data, process.env.SEALTRAIL_MASTER_KEY_FILE)
        : undefined
    await examineSigner(paths.signer, masterKey)
    const keyring =
      masterKey === undefined
        ? undefined
        : await openFileKeyring(paths.keyring, masterKey, nodeFiles, true, (message) =>
            say(`note: ${message} was never promised, and is left out`),
          )
    // A log of which nothing is left but its key is named too.
    const logIds = [
      ...new Set([...(await storage.logIds()), ...(await signedLogIds(paths.signer))]),
    ].sort()
    for (const logId of chosen(logIds)) {
      const remembered = rememberedOf(logId)
      const verifierKey = remembered.key ?? (await storedKey(paths.signer, logId))
      const rotations = await readRotations(paths.signer, logId)
      const state = join(paths.anchors, `${logId}.json`)
      const held = await readSeenOutside(
        remembered.outside,
        parseVerifierKey(sha256, verifierKey).name,
        [
          ...new Set([verifierKey, ...rotations.flatMap(({ previous, next }) => [previous, next])]),
        ].map((key) => noteVerifier(sha256, verifyEd25519, key)),
        await readStoredCosigned(state),
      ).catch((error: unknown) => {
        if (error instanceof OutsideRefused) return error
        throw error
      })
      if (held instanceof OutsideRefused) {
        say(`BAD log ${logId}: ${held.message}`)
        failed = true
        continue
      }
      const checker = flags.treeOnly ? undefined : payloadWorkersFor(await storage.size(logId))
      const steps = verifyLog({
        logId,
        storage,
        verifierKey,
        rotations,
        checker,
        ...(flags.treeOnly ? {} : { payloads }),
        ...(keyring === undefined ? {} : { keyring }),
        lastSigned: () => readLastSigned(paths.signer, logId),
        seen: [
          ...held.trees,
          ...(remembered.size === undefined ? [] : [{ size: remembered.size }]),
        ],
      })
      let result: VerifyResult | undefined
      try {
        while (result === undefined) {
          const step = await steps.next()
          if (step.done) result = step.value
          else progress.update(step.value.stage, step.value.done, step.value.total)
        }
      } finally {
        await checker?.close()
      }
      progress.done()
      failed ||= result.firstProblem !== undefined
      say(
        result.firstProblem === undefined
          ? `OK  ${logId}: ${result.treeSize} leaves, ${result.checkpoints} checkpoints, ${payloadsRead(flags, result, keyring !== undefined)}${erasedText(result)}`
          : `BAD ${result.firstProblem}`,
      )
      if (result.missingCheckpoint !== undefined) {
        say(
          `note: log ${logId}: there is no checkpoint of size ${result.missingCheckpoint}, which its signer signed last: a process that was killed just then leaves that, and the next start makes it again`,
        )
      }
      const said = result.erasures.map(({ erasure, ...where }) => ({ ...where, ...erasure }))
      erasureLines(said).forEach(say)
      keyLines(verifierKey, result.treeSize, remembered).forEach(say)
      if (result.firstProblem === undefined) {
        const claims = (await storedClaims(state)).map(claimOf)
        coverageLines(result.treeSize, held.covers, claims).forEach(say)
      }
    }
  } catch (error) {
    progress.done()
    const names = ['LEDGER_CORRUPT', 'KEYRING_CORRUPT', 'SIGNER_REFUSED'] as const
    if (!names.some((name) => isSealtrailError(error, name))) throw error
    say(`BAD ${error instanceof Error ? error.message : String(error)}`)
    failed = true
  } finally {
    for (const part of opened) await part.close()
    unlock()
  }
  return failed ? 1 : 0
}

function erasedText({ erased, erasedUnsaid }: { erased: number; erasedUnsaid: number }): string {
  if (erased === 0) return ''
  return `, ${erased} erased${erasedUnsaid === 0 ? '' : ` (of ${erasedUnsaid} no leaf says so)`}`
}

/** What the log itself says of erasures, one line each. */
function erasureLines(erasures: Extract<VerifyProgress, { kind: 'result' }>['erasures']): string[] {
  return erasures.map(({ leafIndex, recordedAt, action, ground, events }) => {
    const what = action === 'shred' ? 'one event' : `${events} events of a subject`
    return `    leaf ${leafIndex} says that ${what} went on ${recordedAt.slice(0, 10)}: ${groundText[ground]}`
  })
}

function payloadsRead(flags: VerifyFlags, result: VerifyResult, opened: boolean): string {
  if (flags.treeOnly) return 'payloads not read'
  return `${result.payloads} payloads${opened ? '' : ' (as their leaves name them, not opened: there is no keyring)'}`
}

/** @throws SealtrailError `CONFIG_INVALID` */
async function storedKey(signerDirectory: string, logId: string): Promise<string> {
  const path = join(signerDirectory, `${logId}.vkey`)
  if (!existsSync(path)) {
    throw new SealtrailError('CONFIG_INVALID', `there is no verifier key at ${path}`, {
      hint: 'Give the one that you hold elsewhere with --key.',
    })
  }
  return (await readFile(path, 'utf8')).trim()
}

/** A verifier key names its log: `<deployment>/<log>+…`. @throws SealtrailError `CONFIG_INVALID` */
function logOfKey(key: string): string {
  try {
    const { name } = parseVerifierKey(sha256, key)
    return name.slice(name.lastIndexOf('/') + 1)
  } catch (cause) {
    if (!isSealtrailError(cause)) throw cause
    throw new SealtrailError('CONFIG_INVALID', `--key: ${cause.message}`, {
      cause,
      hint: 'It is one line that begins with sealtrail-, as sealtrail vkey prints it. Quote it.',
    })
  }
}

/** A check against what lies on the same machine says so: it is worth what the machine is worth. */
function keyLines(verifierKey: string, treeSize: number, remembered: Remembered): string[] {
  if (remembered.key !== undefined) return []
  return [
    `    against ${verifierKey}: compare this key, and size ${treeSize}, with what you hold elsewhere`,
  ]
}

/** Says which place outside covers what, and what nothing here covers. */
function coverageLines(
  treeSize: number,
  covers: SeenOutside['covers'],
  claims: readonly string[],
): string[] {
  if (covers.length === 0) {
    return [
      ...claims.map((claim) => `    not checked here: ${claim}`),
      '    nothing from outside was given (--anchor, --checkpoint, --witness-key): a whole older state, or another history signed with the key of this machine, would not be noticed',
    ]
  }
  const covered = Math.max(...covers.map(({ size }) => size))
  return [
    ...covers.map(({ sentence }) => `    covered by ${sentence}`),
    ...(covered < treeSize
      ? [
          `    not covered: the newest ${treeSize - covered} leaves; whoever holds directory and signing key could rewrite those unseen`,
        ]
      : []),
  ]
}

/** What a deployment itself says of an anchor. */
function claimOf(
  anchor: Pick<AnchorCoverage, 'kind' | 'target' | 'coveredSize' | 'coveredAt'>,
): string {
  return anchor.coveredAt === null
    ? `${anchor.kind} ${anchor.target} holds nothing yet`
    : `${anchor.kind} ${anchor.target} is said to hold it up to size ${anchor.coveredSize}, since ${anchor.coveredAt}`
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
