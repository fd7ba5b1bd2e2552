import { randomBytes } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { SealtrailError } from '../../schemas/errors.ts'
import { BundleFiles } from '../reports/bundle-files.ts'

/** How long a bundle waits to be fetched. */
const keptMs = 60 * 60_000

export interface OfferedBundle {
  /** Who asked for it, as on the record. */
  readonly owner: string
  /** Name of the folder that it becomes, and of its archive without the ending. */
  readonly title: string
  readonly files: readonly string[]
}

/** Evidence bundles that wait to be fetched: by whoever asked for them, and not for long. */
export class ExportShelf {
  /** Encrypts what waits, for the life of this process: at its start nothing waits. */
  readonly key: Uint8Array = randomBytes(32)
  private readonly directory: string
  private readonly offered = new Map<string, OfferedBundle>()

  /** @param directory for bundles alone; made by the caller */
  constructor(directory: string) {
    this.directory = directory
  }

  /** Folder of a new bundle; it is not made here. */
  folder(id: string): string {
    return join(this.directory, id)
  }

  /** From now on its owner may fetch it. */
  offer(id: string, bundle: OfferedBundle): void {
    this.offered.set(id, bundle)
    setTimeout(() => void this.discard(id).catch(() => undefined), keptMs).unref()
  }

  /** @throws SealtrailError `NOT_FOUND`, also for the bundle of somebody else */
  bundle(id: string, owner: string): OfferedBundle {
    const bundle = this.offered.get(id)
    if (bundle?.owner === owner) return bundle
    throw new SealtrailError('NOT_FOUND', 'there is no such export, or it was fetched', {
      hint: 'A bundle waits for an hour, for whoever asked for it.',
    })
  }

  /** Bytes of one file. @throws SealtrailError `NOT_FOUND`, also for the bundle of somebody else */
  open(id: string, name: string, owner: string): Readable {
    if (!this.bundle(id, owner).files.includes(name)) {
      throw new SealtrailError('NOT_FOUND', `the export has no file ${name}`)
    }
    return new BundleFiles(this.folder(id), this.key).read(name)
  }

  /** @throws SealtrailError `NOT_FOUND`, also for the bundle of somebody else */
  async remove(id: string, owner: string): Promise<void> {
    this.bundle(id, owner)
    await this.discard(id)
  }

  /** Removes every bundle: after an erasure none may hold what was erased. */
  async discardAll(): Promise<void> {
    this.offered.clear()
    for (const name of await readdir(this.directory)) {
      await rm(join(this.directory, name), { recursive: true, force: true })
    }
  }

  /** Removes what is there of a bundle, finished or not. */
  async discard(id: string): Promise<void> {
    this.offered.delete(id)
    await rm(this.folder(id), { recursive: true, force: true })
  }
}
