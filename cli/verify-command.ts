import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { dataPaths, lockDataDirectory } from '../ledger/data-directory.ts'
import { openFileKeyring } from '../ledger/keyring/file-keyring.ts'
import { loadMasterKey } from '../ledger/keyring/master-key.ts'
import { openFilePayloadStore } from '../ledger/payloads/file-payload-store.ts'
import { readLastSigned, signedLogIds } from '../ledger/signer/file-signer.ts'
import { openFileStorage } from '../ledger/storage/file-storage.ts'
import { type VerifyResult, verifyLog } from '../ledger/verify/verify-log.ts'
import { VerifyProgress } from '../schemas/api/integrity.ts'
import { isSealtrailError, SealtrailError } from '../schemas/errors.ts'
import type { ControlClient } from './control-client.ts'
import { ProgressLine } from './progress-line.ts'

export interface VerifyFlags {
  readonly data: string
  readonly log?: string | undefined
  /** Verifier key from elsewhere; else the one beside the signer, which whoever altered the log could have replaced. */
  readonly key?: string | undefined
  readonly size?: string | undefined
  readonly treeOnly?: boolean | undefined
}

/** Recomputes everything from stored bytes. Exit code 0: all is well; 1: the first problem was named. */
export async function verifyCommand(
  flags: VerifyFlags,
  running: ControlClient | undefined,
): Promise<number> {
  return running === undefined ? verifyOffline(flags) : verifyRunning(flags, running)
}

async function verifyRunning(flags: VerifyFlags, client: ControlClient): Promise<number> {
  const progress = new ProgressLine()
  let failed = false
  for (const logId of flags.log === undefined ? ['main', '_system'] : [flags.log]) {
    for await (const line of client.lines(VerifyProgress, 'POST', '/api/v1/integrity/verify', {
      logId,
    })) {
      if (line.kind === 'progress') {
        progress.update(line.stage, line.done, line.total)
        continue
      }
      progress.done()
      failed ||= !line.ok
      say(
        line.ok
          ? `OK  ${logId}: ${line.treeSize} leaves, ${line.checkpoints} checkpoints, ${line.payloads} payloads, ${line.rows ?? 0} rows`
          : `BAD ${line.firstProblem}`,
      )
    }
  }
  return failed ? 1 : 0
}

async function verifyOffline(flags: VerifyFlags): Promise<number> {
  if (!existsSync(join(flags.data, 'ledger'))) {
    throw new SealtrailError('CONFIG_INVALID', `${flags.data} holds no ledger`, {
      hint: 'Name the data directory with --data.',
    })
  }
  const paths = dataPaths(flags.data)
  const unlock = await lockDataDirectory(flags.data)
  const progress = new ProgressLine()
  let failed = false
  try {
    const storage = await openFileStorage(paths.ledger, {
      // What is examined must not change, a torn end included.
      readOnly: true,
      onTear: (message) => say(`note: ${message} was never acknowledged, and is left out`),
    })
    const payloads = await openFilePayloadStore(paths.payloads)
    const keyring = existsSync(join(paths.keyring, 'keyring'))
      ? await openFileKeyring(
          paths.keyring,
          await loadMasterKey(paths.keyring, process.env.SEALTRAIL_MASTER_KEY_FILE),
        )
      : undefined
    // A log of which nothing is left but its key is named too.
    const logIds = [
      ...new Set([...(await storage.logIds()), ...(await signedLogIds(paths.signer))]),
    ]
    for (const logId of flags.log === undefined ? logIds.sort() : [flags.log]) {
      const verifierKey =
        flags.key ?? (await readFile(join(paths.signer, `${logId}.vkey`), 'utf8')).trim()
      const steps = verifyLog({
        logId,
        storage,
        verifierKey,
        ...(flags.treeOnly ? {} : { payloads }),
        ...(keyring === undefined ? {} : { keyring }),
        lastSigned: () => readLastSigned(paths.signer, logId),
        ...(flags.size === undefined ? {} : { rememberedSize: Number(flags.size) }),
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
          ? `OK  ${logId}: ${result.treeSize} leaves, ${result.checkpoints} checkpoints, ${result.payloads} payloads${result.erased > 0 ? `, ${result.erased} erased` : ''}`
          : `BAD ${result.firstProblem}`,
      )
      if (flags.key === undefined)
        say(
          `    against ${verifierKey}: compare this key, and size ${result.treeSize}, with what you hold elsewhere`,
        )
    }
  } catch (error) {
    progress.done()
    const names = ['LEDGER_CORRUPT', 'KEYRING_CORRUPT', 'SIGNER_REFUSED'] as const
    if (!names.some((name) => isSealtrailError(error, name))) throw error
    say(`BAD ${error instanceof Error ? error.message : String(error)}`)
    failed = true
  } finally {
    unlock()
  }
  return failed ? 1 : 0
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
