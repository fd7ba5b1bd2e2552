import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { openColumnarClient } from '../../analytics/store/columnar-client.ts'
import { startColumnarProcess } from '../../analytics/store/columnar-process.ts'
import { dataPaths } from '../../ledger/data-directory.ts'
import { nodeFiles } from '../../ledger/durable-file.ts'
import { openFileKeyring } from '../../ledger/keyring/file-keyring.ts'
import { createLedgerReader } from '../../ledger/ledger-reader.ts'
import { openFilePayloadStore } from '../../ledger/payloads/file-payload-store.ts'
import { readLastSigned, signedLogIds } from '../../ledger/signer/file-signer.ts'
import { openFileStorage } from '../../ledger/storage/file-storage.ts'
import { isSealtrailError } from '../../schemas/errors.ts'
import { examineSigner } from '../examine-signer.ts'
import { loadExistingMasterKey } from '../existing-directory.ts'
import { compareWithNewest } from '../steady-clock.ts'
import { type Check, type Examined, type Finding, fail, ok, warn } from './check.ts'

/** The master key opens keyring and signing keys, and these are those of the verifier keys. */
export const keys: Check = {
  name: 'keys',
  async run({ directory, configuration }: Examined) {
    const paths = dataPaths(directory)
    if (!existsSync(join(paths.keyring, 'keyring'))) {
      return existsSync(join(paths.ledger, 'main'))
        ? [fail('the keyring is gone', 'Restore it from a backup: no payload opens without it.')]
        : []
    }
    const masterKey = await loadExistingMasterKey(directory, configuration?.masterKeyFile)
    const keyring = await openFileKeyring(paths.keyring, masterKey, nodeFiles, true)
    await keyring.close()
    await examineSigner(paths.signer, masterKey)
    return [
      ok('the master key opens the keyring and every signing key, which are those of the logs'),
    ]
  },
}

/** Torn ends, the clock against the newest record, what was signed against what is there, and that payloads are sealed. */
export const ledger: Check = {
  name: 'ledger',
  async run({ directory, configuration, running }: Examined) {
    const paths = dataPaths(directory)
    if (!existsSync(paths.ledger)) return []
    const findings: Finding[] = []
    const torn: string[] = []
    const storage = await openFileStorage(paths.ledger, {
      readOnly: true,
      onTear: (message) => torn.push(message),
    })
    const payloads = await openFilePayloadStore(paths.payloads, nodeFiles, true)
    const masterKey = await loadExistingMasterKey(directory, configuration?.masterKeyFile)
    const keyring = await openFileKeyring(paths.keyring, masterKey, nodeFiles, true)
    const reader = createLedgerReader({ storage, payloads, keyring })
    try {
      // What is being written looks torn while it is.
      for (const message of running === undefined ? torn : []) {
        findings.push(
          warn(message, 'It was never acknowledged; the next start cuts it and says so.'),
        )
      }
      let newest = 0
      for (const logId of await signedLogIds(paths.signer)) {
        const size = await storage.size(logId)
        const signed = (await readLastSigned(paths.signer, logId))?.size ?? 0
        findings.push(
          signed > size && running === undefined
            ? fail(
                `log ${logId} holds ${size} leaves, and ${signed} were signed: it was rolled back`,
                'Restore ledger, payloads, keyring and signer from one backup; run sealtrail verify.',
              )
            : ok(`log ${logId} holds ${size} leaves, and ${signed} were signed`),
        )
        const last = size === 0 ? undefined : await reader.readOne(logId, size - 1)
        newest = Math.max(newest, Date.parse(last?.event['time.recorded'] ?? '') || 0)
      }
      findings.push(clockFinding(newest))
      const canary = await findCanary(reader, paths.payloads)
      if (canary !== undefined) findings.push(canary)
    } finally {
      await keyring.close()
      await payloads.close()
      await storage.close()
    }
    return findings
  },
}

function clockFinding(newestMs: number): Finding {
  const now = new Date().toISOString()
  try {
    const behind = compareWithNewest(Date.now(), newestMs, false)
    return behind === undefined
      ? ok(`the clock says ${now}${newestMs === 0 ? '' : ', after the newest record'}`)
      : warn(behind, 'Set the clock, for example by systemd-timesyncd or chrony.')
  } catch (error) {
    if (!isSealtrailError(error, 'CLOCK_IMPLAUSIBLE')) throw error
    return fail(error.message, error.hint ?? 'Set the clock.')
  }
}

const shortestCanary = 8

/** A text of a recent record that is sealed must stand in no file of payloads. */
async function findCanary(
  reader: ReturnType<typeof createLedgerReader>,
  directory: string,
): Promise<Finding | undefined> {
  for (const logId of await reader.logIds()) {
    const size = await reader.size(logId)
    for await (const leaves of reader.read(logId, Math.max(0, size - 20), size)) {
      for (const { event, index } of leaves) {
        const text = event['user.name'] ?? event['user.id'] ?? event['host.name']
        if (text === undefined || text.length < shortestCanary) continue
        const folder = join(directory, logId)
        const found = readdirSync(folder)
          .filter((name) => name.endsWith('.payloads'))
          .slice(-1)
          .some((name) => readFileSync(join(folder, name)).includes(text))
        return found
          ? fail(
              `a text that is sealed stands readable in ${folder}, of leaf ${index}`,
              'Stop Sealtrail and ask for help: payloads must be encrypted.',
            )
          : ok(
              `what is sealed of leaf ${index} of log ${logId} opens, and stands in no payload file in clear`,
            )
      }
    }
  }
  return undefined
}

/** The engine starts on this machine, and writes nothing in clear. On a folder of its own, which is removed. */
export const engine: Check = {
  name: 'engine',
  async run() {
    const directory = await mkdtemp(join(tmpdir(), 'sealtrail-doctor-'))
    const password = randomBytes(24).toString('base64url')
    const canary = `canary-${randomBytes(12).toString('hex')}`
    try {
      const columnar = await startColumnarProcess({
        directory,
        password,
        diskKey: randomBytes(32).toString('hex'),
        memoryLimitBytes: 512 * 1024 * 1024,
        logger: pino({ level: 'silent' }),
      })
      const client = openColumnarClient({ url: columnar.url, user: columnar.user, password })
      try {
        await client.createDatabase()
        await client.command('CREATE TABLE doctor (text String) ENGINE = MergeTree ORDER BY text')
        await client.command(`INSERT INTO doctor VALUES ('${canary}')`)
        const rows = await client.query<{ version: string; text: string }>(
          'SELECT version() AS version, text FROM doctor',
        )
        const [row] = rows
        if (row?.text !== canary) {
          return [fail('the columnar store did not give back what it took', 'Run npm ci again.')]
        }
        const clear = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) =>
          readsText(join(directory, name), canary),
        )
        return clear.length > 0
          ? [
              fail(
                `the columnar store wrote in clear: ${clear[0]}`,
                'Do not go on with this version of chdb.',
              ),
            ]
          : [ok(`ClickHouse ${row.version} starts, answers, and writes encrypted`)]
      } finally {
        await client.close()
        await columnar.stop()
      }
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  },
}

function readsText(path: string, text: string): boolean {
  try {
    return readFileSync(path).includes(text)
  } catch {
    // A folder, a socket, or a file that is gone.
    return false
  }
}
