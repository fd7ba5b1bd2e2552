import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, createWriteStream, type WriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'

const ivBytes = 16

/** A file of a bundle on its way to the disk. */
export interface BundleWriter {
  write(text: string | Uint8Array): Promise<void>
  /** Resolves when all of it is written. */
  end(): Promise<void>
}

/**
 * Files of one bundle. With a key they lie encrypted on the disk (AES-256-CTR, the IV first), and are given as they are:
 * a bundle holds opened records. Their hashes stand in its manifest.
 *
 * @param key 32 bytes, of this process alone; absent for a folder that its owner carries away
 */
export class BundleFiles {
  private readonly directory: string
  private readonly key: Uint8Array | undefined

  constructor(directory: string, key?: Uint8Array) {
    this.directory = directory
    this.key = key
  }

  async writer(name: string): Promise<BundleWriter> {
    const stream = createWriteStream(join(this.directory, name), { mode: 0o600 })
    // A full disk ends this export, not the process: the next write sees what happened.
    stream.on('error', () => undefined)
    await once(stream, 'open')
    const iv = randomBytes(ivBytes)
    const cipher = this.key === undefined ? undefined : createCipheriv('aes-256-ctr', this.key, iv)
    if (cipher !== undefined) await put(stream, iv)
    return {
      write: (text) => put(stream, cipher === undefined ? text : cipher.update(Buffer.from(text))),
      async end() {
        stream.end()
        await finished(stream)
      },
    }
  }

  async write(name: string, bytes: string | Uint8Array): Promise<void> {
    const writer = await this.writer(name)
    await writer.write(bytes)
    await writer.end()
  }

  read(name: string): Readable {
    const stored = createReadStream(join(this.directory, name))
    return this.key === undefined ? stored : Readable.from(opened(stored, this.key))
  }
}

async function put(stream: WriteStream, bytes: string | Uint8Array): Promise<void> {
  if (stream.errored !== null) throw stream.errored
  if (!stream.write(bytes)) await once(stream, 'drain')
}

async function* opened(stored: Readable, key: Uint8Array): AsyncIterable<Uint8Array> {
  let head: Buffer = Buffer.alloc(0)
  let decipher: ReturnType<typeof createDecipheriv> | undefined
  for await (const chunk of stored) {
    if (decipher !== undefined) {
      yield decipher.update(chunk)
      continue
    }
    head = Buffer.concat([head, chunk])
    if (head.length < ivBytes) continue
    decipher = createDecipheriv('aes-256-ctr', key, head.subarray(0, ivBytes))
    yield decipher.update(head.subarray(ivBytes))
  }
}
