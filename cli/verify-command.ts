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
import { readLastSigned, signedLogIds } from '../ledger/signer/file-signer.ts'
import { openFileStorage } from '../ledger/storage/file-storage.ts'
import { type VerifyResult, verifyLog } from '../ledger/verify/verify-log.ts'
import { IntegrityReply, type LogIntegrity, VerifyProgress } from '../schemas/api/integrity.ts'
import { isSealtrailError, SealtrailError } from '../schemas/errors.ts'
import { openCheckpoint } from '../schemas/tlog/checkpoint.ts'
import { noteVerifier, parseVerifierKey } from '../schemas/tlog/note.ts'
import type { ControlClient } from './control-client.ts'
import { examineSigner } from './examine-signer.ts'
import { loadExistingMasterKey, lockExistingDirectory } from './existing-directory.ts'
import { ProgressLine } from './progress-line.ts'

export interface VerifyFlags {
  /** Absolute path. */
  readonly data: string
  readonly log?: string | undefined
  /** Verifier key from elsewhere; else the one beside the signer, which whoever altered the log could have replaced. */
  readonly key?: string | undefined
  /** Leaves. */
  readonly size?: number | undefined
  readonly treeOnly?: boolean | undefined
}

/** What somebody remembers of one log, from outside of this machine. */
interface Remembered {
  readonly key: string | undefined
  readonly size: number | undefined
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
  /** A key and a size are those of one log; without --log or --key a size is that of the log of events. */
  const rememberedOf = (logId: string): Remembered => ({
    key: logId === keyOfLog ? flags.key : undefined,
    size:
      logId === about || (about === undefined && logId !== systemLogId) ? flags.size : undefined,
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
      const problem =
        line.firstProblem ?? (log === undefined ? undefined : differs(log, rememberedOf(logId)))
      failed ||= problem !== undefined
      say(
        problem === undefined
          ? `OK  ${logId}: ${line.treeSize} leaves, ${line.checkpoints} checkpoints, ${line.payloads} payloads, ${line.rows === null ? 'rows not compared: the columnar store is away' : `${line.rows} rows`}`
          : `BAD ${problem}`,
      )
      if (log !== undefined)
        keyLines(log.verifierKey, line.treeSize, rememberedOf(logId)).forEach(say)
    }
  }
  return failed ? 1 : 0
}

/** What a log, as it was just recomputed, has against what is remembered of it; undefined when nothing. */
function differs(log: LogIntegrity, remembered: Remembered): string | undefined {
  if (remembered.size !== undefined && log.treeSize < remembered.size)
    return `log ${log.logId} holds ${log.treeSize} leaves, and ${remembered.size} were seen before: it was rolled back`
  if (remembered.key === undefined) return undefined
  if (log.verifierKey !== remembered.key)
    return `log ${log.logId} is signed with ${log.verifierKey}, not with the key that you hold`
  if (log.checkpoint === null) return undefined
  try {
    openCheckpoint(log.checkpoint.note, [noteVerifier(sha256, verifyEd25519, remembered.key)])
    return undefined
  } catch (error) {
    if (!isSealtrailError(error, 'PROOF_INVALID')) throw error
    return `log ${log.logId}, checkpoint ${log.checkpoint.size}: ${error.message}`
  }
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
      const steps = verifyLog({
        logId,
        storage,
        verifierKey,
        ...(flags.treeOnly ? {} : { payloads }),
        ...(keyring === undefined ? {} : { keyring }),
        lastSigned: () => readLastSigned(paths.signer, logId),
        ...(remembered.size === undefined ? {} : { rememberedSize: remembered.size }),
      })
      let result: VerifyResult | undefined
      while (result === undefined) {
        const step = await steps.next()
        if (step.done) result = step.value
        else progress.update(step.value.stage, step.value.done, step.value.total)
      }
      progress.done()
      failed ||= result.firstProblem !== undefined
      say(
        result.firstProblem === undefined
          ? `OK  ${logId}: ${result.treeSize} leaves, ${result.checkpoints} checkpoints, ${payloadsRead(flags, result, keyring !== undefined)}${result.erased > 0 ? `, ${result.erased} erased` : ''}`
          : `BAD ${result.firstProblem}`,
      )
      if (result.missingCheckpoint !== undefined) {
        say(
          `note: log ${logId}: there is no checkpoint of size ${result.missingCheckpoint}, which its signer signed last: a process that was killed just then leaves that, and the next start makes it again`,
        )
      }
      keyLines(verifierKey, result.treeSize, remembered).forEach(say)
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

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
