import { statfs } from 'node:fs/promises'
import { SealtrailError } from '../schemas/errors.ts'

const mib = 1024 * 1024

/** What is free on the disk of a directory, in bytes. */
export interface DiskRoom {
  readonly freeBytes: number
  readonly sizeBytes: number
  /** Below this no records are taken: it is kept for checkpoints, ticks and administration. */
  readonly reserveBytes: number
  /** Below this somebody should make room. */
  readonly lowBytes: number
}

/** @throws as `statfs` */
export async function readDiskRoom(directory: string): Promise<DiskRoom> {
  const { bavail, blocks, bsize } = await statfs(directory)
  return diskRoom(bavail * bsize, blocks * bsize)
}

/** A tenth of the disk is reserved, at most 256 MiB; a tenth is little, at most 10 GiB, and at least four reserves. */
export function diskRoom(freeBytes: number, sizeBytes: number): DiskRoom {
  const reserveBytes = Math.min(256 * mib, Math.floor(sizeBytes / 10))
  const lowBytes = Math.max(4 * reserveBytes, Math.min(10 * 1024 * mib, Math.floor(sizeBytes / 10)))
  return { freeBytes, sizeBytes, reserveBytes, lowBytes: Math.min(lowBytes, sizeBytes) }
}

const readEveryMs = 1000

/** Watches the disk of a data directory, and says whether records may be taken. */
export class DiskWatch {
  private readonly directory: string
  private readonly onChange: (state: DiskState, room: DiskRoom) => void
  private readonly timer: NodeJS.Timeout
  private latest: DiskRoom | undefined

  private constructor(directory: string, onChange: (state: DiskState, room: DiskRoom) => void) {
    this.directory = directory
    this.onChange = onChange
    this.timer = setInterval(() => void this.read(), readEveryMs).unref()
  }

  /** @param onChange told of the first state unless it is `ok`, and of every other one */
  static async start(
    directory: string,
    onChange: (state: DiskState, room: DiskRoom) => void,
  ): Promise<DiskWatch> {
    const watch = new DiskWatch(directory, onChange)
    await watch.read()
    return watch
  }

  /** As last read; undefined where the file system does not tell. */
  get room(): DiskRoom | undefined {
    return this.latest
  }

  get state(): DiskState {
    return stateOf(this.latest)
  }

  /** Why no records are taken now. */
  readonly refusal = (): SealtrailError | undefined => {
    const { latest } = this
    if (latest === undefined || stateOf(latest) !== 'full') return undefined
    return new SealtrailError(
      'DISK_FULL',
      `${describeBytes(latest.freeBytes)} are left on the disk of the data directory, and ${describeBytes(latest.reserveBytes)} are kept for checkpoints and administration`,
      {
        retryable: true,
        hint: 'Make room: records are taken again by themselves. What was acknowledged is safe and can be read.',
      },
    )
  }

  stop(): void {
    clearInterval(this.timer)
  }

  private async read(): Promise<void> {
    const before = this.state
    // A file system that does not tell refuses a write where there is no room, and that is handled too.
    this.latest = await readDiskRoom(this.directory).catch(() => undefined)
    if (this.latest !== undefined && this.state !== before) this.onChange(this.state, this.latest)
  }
}

/** `512 MiB`, `12.5 GiB`. */
export function describeBytes(bytes: number): string {
  const inMib = bytes / mib
  return inMib < 1024 ? `${Math.floor(inMib)} MiB` : `${(inMib / 1024).toFixed(1)} GiB`
}

/** `low`: an early warning. `full`: records are refused. */
export type DiskState = 'ok' | 'low' | 'full'

export function stateOf(room: DiskRoom | undefined): DiskState {
  if (room === undefined || room.freeBytes >= room.lowBytes) return 'ok'
  return room.freeBytes < room.reserveBytes ? 'full' : 'low'
}
