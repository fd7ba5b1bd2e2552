import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SealtrailError } from '../schemas/errors.ts'
import { makeDirectory, nodeFiles } from './durable-file.ts'

/** What lies where in a data directory. */
export function dataPaths(directory: string) {
  return {
    ledger: join(directory, 'ledger'),
    payloads: join(directory, 'payloads'),
    keyring: join(directory, 'keyring'),
    signer: join(directory, 'signer'),
    anchors: join(directory, 'anchors'),
    trees: join(directory, 'trees'),
    columnar: join(directory, 'columnar'),
    snapshots: join(directory, 'snapshots'),
    exports: join(directory, 'exports'),
    controlSocket: join(directory, 'control.sock'),
    lock: join(directory, 'lock'),
  }
}

/** Longer than another starter needs between reading a dead lock and removing it. */
const settleMs = 50

/**
 * Takes the exclusive lock of a data directory: two processes would write two histories. The lock names its process,
 * and when that process is gone (or its id was given to another one), it is taken over. A process of another
 * container, whose id says nothing here, is known by the control socket that it answers on.
 *
 * @returns releases the lock.
 * @throws SealtrailError `DIRECTORY_LOCKED`
 */
export async function lockDataDirectory(directory: string): Promise<() => void> {
  await makeDirectory(nodeFiles, directory)
  const { lock, controlSocket } = dataPaths(directory)
  const mine = `${lock}.${process.pid}`
  const text = JSON.stringify({ pid: process.pid, started: startOf(process.pid) })
  const isMine = () => existsSync(lock) && readFileSync(lock, 'utf8') === text
  writeFileSync(mine, text, { mode: 0o600 })
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        // A link either is made or is not: no two processes can both make it.
        linkSync(mine, lock)
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
        const holder = readHolder(lock)
        if ((holder !== undefined && isRunning(holder)) || (await answers(controlSocket))) {
          throw new SealtrailError(
            'DIRECTORY_LOCKED',
            `process ${holder?.pid ?? 'unknown'} uses ${directory}`,
            { hint: 'Stop it first, or use another directory with --data.' },
          )
        }
        rmSync(lock, { force: true })
        continue
      }
      // Another starter may have read the dead lock too, and remove ours for it.
      if (attempt > 0) await delay(settleMs)
      if (!isMine()) break
      return () => {
        if (isMine()) rmSync(lock, { force: true })
      }
    }
    throw new SealtrailError('DIRECTORY_LOCKED', `${directory} is being taken by another process`, {
      hint: 'Try again, or use another directory with --data.',
    })
  } finally {
    rmSync(mine, { force: true })
  }
}

/** Whether somebody listens on a socket of the file system. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

interface Holder {
  readonly pid: number
  readonly started: string | null
}

function readHolder(path: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (
      typeof value !== 'object' ||
      value === null ||
      !('pid' in value) ||
      typeof value.pid !== 'number'
    )
      return undefined
    const started = 'started' in value && typeof value.started === 'string' ? value.started : null
    return { pid: value.pid, started }
  } catch {
    return undefined
  }
}

function isRunning(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false
  }
  return holder.started === null || startOf(holder.pid) === holder.started
}

/** Start time of a process in clock ticks since boot, with the boot id; null where /proc does not tell. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return `${boot}/${fields[19]}`
  } catch {
    return null
  }
}
