import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { makeDirectory, nodeFiles, replaceFile, wipeFile } from '../../ledger/durable-file.ts'
import { FoldSnapshot, type FoldSnapshots } from '../fold/fold-snapshot.ts'

export interface FileFoldSnapshotsOptions {
  readonly directory: string
  /** 32 bytes, AES-256-GCM. */
  readonly key: Uint8Array
  /** Release and data of the runtime that findings depend on: a file of another one is not used. */
  readonly release: string
  /** Told why a file is not used. */
  readonly onIgnored: (reason: string) => void
}

const compress = promisify(gzip)
const decompress = promisify(gunzip)
const format = 'sealtrail-fold-snapshot/1'
const nonceBytes = 12
const tagBytes = 16

/**
 * One file a log: a line of JSON that says what it is, then nonce, ciphertext and tag. The line is authenticated with
 * the rest, so that a file of another log, release or set of rules, or one that was altered, is no snapshot.
 */
export function openFileFoldSnapshots(options: FileFoldSnapshotsOptions): FoldSnapshots {
  return new FileFoldSnapshots(options)
}

class FileFoldSnapshots implements FoldSnapshots {
  private readonly options: FileFoldSnapshotsOptions

  constructor(options: FileFoldSnapshotsOptions) {
    this.options = options
  }

  async load(logId: string): Promise<FoldSnapshot | undefined> {
    const { key, onIgnored } = this.options
    const bytes = await readFile(this.pathOf(logId)).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
      throw error
    })
    if (bytes === undefined) return undefined
    const line = Buffer.from(this.lineOf(logId))
    if (!bytes.subarray(0, line.length).equals(line)) {
      onIgnored('it is of another log, release or format')
      return undefined
    }
    const sealed = bytes.subarray(line.length)
    try {
      const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, nonceBytes))
      decipher.setAAD(line)
      decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes))
      const packed = Buffer.concat([
        decipher.update(sealed.subarray(nonceBytes, sealed.length - tagBytes)),
        decipher.final(),
      ])
      return FoldSnapshot.parse(JSON.parse((await decompress(packed)).toString('utf8')))
    } catch {
      onIgnored('it was altered, cut, or written under another key')
      return undefined
    }
  }

  async store(logId: string, snapshot: FoldSnapshot): Promise<void> {
    const { directory, key } = this.options
    const line = Buffer.from(this.lineOf(logId))
    const nonce = randomBytes(nonceBytes)
    const cipher = createCipheriv('aes-256-gcm', key, nonce)
    cipher.setAAD(line)
    const packed = await compress(JSON.stringify(snapshot), { level: 1 })
    const sealed = [cipher.update(packed), cipher.final(), cipher.getAuthTag()]
    await makeDirectory(nodeFiles, directory)
    await replaceFile(nodeFiles, this.pathOf(logId), Buffer.concat([line, nonce, ...sealed]))
  }

  async wipe(): Promise<void> {
    const { directory } = this.options
    const names = await readdir(directory).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
      throw error
    })
    for (const name of names) await wipeFile(nodeFiles, join(directory, name))
  }

  private pathOf(logId: string): string {
    return join(this.options.directory, `${logId}.fold`)
  }

  private lineOf(logId: string): string {
    return `${JSON.stringify({ format, log: logId, release: this.options.release })}\n`
  }
}
