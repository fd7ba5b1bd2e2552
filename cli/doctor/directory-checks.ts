import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { dataPaths } from '../../ledger/data-directory.ts'
import { describeBytes, readDiskRoom, stateOf } from '../../ledger/disk-room.ts'
import { IntegrityReply } from '../../schemas/api/integrity.ts'
import { type Check, type Examined, type Finding, fail, ok, warn } from './check.ts'

const slowSyncMs = 20
const verySlowSyncMs = 200

/** Room, whether it can be written, and how long a sync takes: every acknowledgement waits for two. */
export const disk: Check = {
  name: 'disk',
  async run({ directory }: Examined) {
    if (!existsSync(directory)) {
      return [
        warn(
          `there is no ${directory}`,
          'Name the data directory with --data; sealtrail up makes a new one.',
        ),
      ]
    }
    const room = await readDiskRoom(directory)
    const left = `${describeBytes(room.freeBytes)} of ${describeBytes(room.sizeBytes)} are free`
    const reserve = describeBytes(room.reserveBytes)
    const state = stateOf(room)
    const findings: Finding[] = [
      state === 'full'
        ? fail(`${left}: records are refused below ${reserve}`, 'Make room. It goes on by itself.')
        : state === 'low'
          ? warn(`${left}; records are refused below ${reserve}`, 'Make room soon.')
          : ok(`${left}; records are refused below ${reserve}`),
    ]
    const path = join(directory, `doctor.${process.pid}.tmp`)
    const handle = await open(path, 'wx', 0o600)
    try {
      const times: number[] = []
      for (let i = 0; i < 9; i++) {
        await handle.write(randomBytes(4096), 0, 4096, i * 4096)
        const fromMs = performance.now()
        await handle.datasync()
        times.push(performance.now() - fromMs)
      }
      const median = times.sort((a, b) => a - b)[4] ?? 0
      const what = `a sync takes ${median.toFixed(1)} ms (median of ${times.length})`
      const next = 'Every acknowledgement waits for two: put the data directory on a faster disk.'
      findings.push(median > verySlowSyncMs || median > slowSyncMs ? warn(what, next) : ok(what))
    } finally {
      await handle.close()
      await rm(path, { force: true })
    }
    return findings
  },
}

/** Whoever reads the data directory reads the record, and whoever writes it may take away from it. */
export const permissions: Check = {
  name: 'permissions',
  async run({ directory }: Examined) {
    if (!existsSync(directory) || process.platform === 'win32') return []
    const findings: Finding[] = []
    const { keyring, signer, controlSocket } = dataPaths(directory)
    const folder = statSync(directory)
    const uid = process.getuid?.()
    if (uid !== undefined && folder.uid !== uid && uid !== 0) {
      findings.push(
        fail(
          `${directory} belongs to user ${folder.uid}, and this is user ${uid}`,
          'Run every command as the user that Sealtrail runs as.',
        ),
      )
    }
    const secrets = [keyring, signer].flatMap((each) =>
      existsSync(each) ? readdirSync(each).map((name) => join(each, name)) : [],
    )
    const open = [directory, ...secrets, controlSocket].filter(
      (path) => existsSync(path) && (statSync(path).mode & 0o077) !== 0 && !path.endsWith('.vkey'),
    )
    for (const path of open) {
      const { mode } = statSync(path)
      const wanted = path === directory ? '700' : '600'
      findings.push(
        fail(
          `${path} is open to others: ${(mode & 0o777).toString(8)}`,
          `chmod ${wanted} '${path}'; then think of who had read it.`,
        ),
      )
    }
    if (findings.length === 0) {
      findings.push(ok(`${directory} and ${secrets.length} files of keys are for their owner only`))
    }
    return findings
  },
}

/** What the running Sealtrail says of itself. */
export const warnings: Check = {
  name: 'running',
  async run({ running }: Examined) {
    if (running === undefined) return []
    const integrity = await running.call(IntegrityReply, 'GET', '/api/v1/integrity')
    const findings: Finding[] = integrity.warnings.map((sentence) =>
      warn(sentence, 'See the Integrity page.'),
    )
    if (integrity.columnar !== 'ready') {
      findings.push(
        warn('the columnar store is restarting', 'Records are taken meanwhile; look at the log.'),
      )
    }
    for (const log of integrity.logs) {
      const { state, firstDifference } = log.projection
      if (state === 'different') {
        findings.push(
          fail(
            `the tables of log ${log.logId} differ from the ledger: ${firstDifference}`,
            'Find out who wrote to the columnar store; then sealtrail rebuild.',
          ),
        )
      }
      const published = log.checkpoint?.size ?? 0
      findings.push(
        ok(`log ${log.logId}: ${log.treeSize} leaves, ${published} under a signed checkpoint`),
      )
    }
    return findings
  },
}
