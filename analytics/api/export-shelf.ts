import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { SealtrailError } from '../../schemas/errors.ts'

/** How long a bundle waits to be fetched. It holds opened records, outside the encryption of everything else. */
const keptMs = 60 * 60_000

/** Evidence bundles that wait to be fetched: by whoever asked for them, and not for long. */
export class ExportShelf {
  private readonly directory: string
  private readonly owners = new Map<string, string>()

  /** @param directory for bundles alone; made by the caller */
  constructor(directory: string) {
    this.directory = directory
  }

  /** Folder of a new bundle; it is not made here. */
  folder(id: string): string {
    return join(this.directory, id)
  }

  /** From now on its owner may fetch it. */
  offer(id: string, owner: string): void {
    this.owners.set(id, owner)
    setTimeout(() => void this.discard(id).catch(() => undefined), keptMs).unref()
  }

  /** @throws SealtrailError `NOT_FOUND`, also for the bundle of somebody else */
  file(id: string, name: string, owner: string): string {
    const path = join(this.folder(id), name)
    if (this.owners.get(id) !== owner || !existsSync(path)) {
      throw new SealtrailError('NOT_FOUND', 'there is no such file of an export')
    }
    return path
  }

  /** @throws SealtrailError `NOT_FOUND`, also for the bundle of somebody else */
  async remove(id: string, owner: string): Promise<void> {
    if (this.owners.get(id) !== owner) {
      throw new SealtrailError('NOT_FOUND', 'there is no such export')
    }
    await this.discard(id)
  }

  /** Removes what is there of a bundle, finished or not. */
  async discard(id: string): Promise<void> {
    this.owners.delete(id)
    await rm(this.folder(id), { recursive: true, force: true })
  }
}
