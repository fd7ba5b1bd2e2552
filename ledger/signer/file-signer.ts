import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { equal, fromHex, hex } from '../../schemas/bytes.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import { formatCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import { emptyRoot, verifyConsistency } from '../../schemas/tlog/merkle.ts'
import { formatVerifierKey, keyId, signNote } from '../../schemas/tlog/note.ts'
import { type DurableFiles, makeDirectory, nodeFiles, replaceFile } from '../durable-file.ts'
import { checkLogId } from '../log-id.ts'
import { sha256 } from '../sha256.ts'
import type { Signer } from '../signer.ts'
import { settleSigningKeys, unwrapSeed, wrapKeyOf, wrapSeed } from './signing-key-files.ts'

const Signed = z.strictObject({
  size: z.int().nonnegative(),
  root: z.string().regex(/^[0-9a-f]{64}$/),
})

interface LogKey {
  readonly privateKey: KeyObject
  readonly publicKey: Uint8Array
}

/**
 * Signer with its state in files: `<log>.key` (Ed25519 seed, AES-256-GCM under the master key), `<log>.vkey` (public),
 * `<log>.signed` (last size and root, synced before each signature), and `deployment`, the first part of every origin.
 */
export async function openFileSigner(
  directory: string,
  masterKey: Uint8Array,
  files: DurableFiles = nodeFiles,
): Promise<Signer> {
  await makeDirectory(files, directory)
  await settleSigningKeys(directory, masterKey, files)
  const path = join(directory, 'deployment')
  if (!existsSync(path)) {
    const keys = (await readdir(directory)).filter((name) => name.endsWith('.key'))
    if (keys.length > 0) {
      throw new SealtrailError(
        'SIGNER_REFUSED',
        `${path} is gone, although keys stand beside it: every log would have another origin`,
        { hint: 'Restore it: it is the first part of every checkpoint, before the slash.' },
      )
    }
    await replaceFile(files, path, Buffer.from(`sealtrail-${hex(randomBytes(8))}\n`))
  }
  const deployment = (await readFile(path, 'utf8')).trim()
  return new FileSigner(directory, deployment, masterKey, files)
}

/**
 * What the signer of a directory signed last, read without any key.
 *
 * @throws SealtrailError `SIGNER_REFUSED` when the file does not say.
 */
export async function readLastSigned(
  directory: string,
  logId: string,
): Promise<{ size: number; root: Uint8Array } | undefined> {
  const path = join(directory, `${checkLogId(logId)}.signed`)
  if (!existsSync(path)) return undefined
  try {
    const { size, root } = Signed.parse(JSON.parse(await readFile(path, 'utf8')))
    return { size, root: fromHex(root) }
  } catch (cause) {
    throw new SealtrailError('SIGNER_REFUSED', `${path} does not say what was signed last`, {
      cause,
      hint: 'Restore it, or take size and root from the newest checkpoint that you hold elsewhere.',
    })
  }
}

/** Logs that the signer of a directory signed. */
export async function signedLogIds(directory: string): Promise<string[]> {
  if (!existsSync(directory)) return []
  const names = (await readdir(directory)).filter((name) => name.endsWith('.signed'))
  return names.map((name) => name.slice(0, -'.signed'.length)).sort()
}

class FileSigner implements Signer {
  private readonly directory: string
  private readonly deployment: string
  private readonly files: DurableFiles
  private readonly wrapKey: Uint8Array
  private readonly keys = new Map<string, Promise<LogKey>>()
  private turn: Promise<unknown> = Promise.resolve()

  constructor(directory: string, deployment: string, masterKey: Uint8Array, files: DurableFiles) {
    this.directory = directory
    this.deployment = deployment
    this.files = files
    this.wrapKey = wrapKeyOf(masterKey)
  }

  origin(logId: string): string {
    return `${this.deployment}/${checkLogId(logId)}`
  }

  async verifierKey(logId: string): Promise<string> {
    return formatVerifierKey(sha256, this.origin(logId), (await this.key(logId)).publicKey)
  }

  sign(
    logId: string,
    size: number,
    root: Uint8Array,
    consistency: readonly Uint8Array[],
  ): Promise<string> {
    // One at a time: two signatures must never be decided on the same stored state.
    const next = this.turn.then(() => this.signNow(logId, size, root, consistency))
    this.turn = next.catch(() => undefined)
    return next
  }

  lastSigned(logId: string): Promise<{ size: number; root: Uint8Array } | undefined> {
    return readLastSigned(this.directory, logId)
  }

  async close(): Promise<void> {
    await this.turn
  }

  private async signNow(
    logId: string,
    size: number,
    root: Uint8Array,
    consistency: readonly Uint8Array[],
  ): Promise<string> {
    const { privateKey, publicKey } = await this.key(logId)
    const last = await this.lastSigned(logId)
    if (last === undefined) throw refused(logId, 'what was signed last is gone')
    if (size < last.size) {
      throw refused(
        logId,
        `size ${size} is below ${last.size}, which was signed before: this log was rolled back`,
      )
    }
    if (size === last.size && !equal(root, last.root)) {
      throw refused(logId, `size ${size} was signed with another root: this log has forked`)
    }
    const consistent = verifyConsistency(sha256, {
      oldSize: last.size,
      oldRoot: last.root,
      newSize: size,
      newRoot: root,
      proof: consistency,
    })
    if (!consistent)
      throw refused(logId, `size ${size} does not continue the signed size ${last.size}`)
    if (size > last.size) await this.store(logId, size, root)
    const origin = this.origin(logId)
    return signNote(
      formatCheckpoint({ origin, size, root }),
      origin,
      keyId(sha256, origin, publicKey),
      (message) => sign(null, message, privateKey),
    )
  }

  private key(logId: string): Promise<LogKey> {
    let key = this.keys.get(logId)
    if (key === undefined) {
      key = this.loadKey(checkLogId(logId)).catch((error: unknown) => {
        this.keys.delete(logId)
        throw error
      })
      this.keys.set(logId, key)
    }
    return key
  }

  private async loadKey(logId: string): Promise<LogKey> {
    const path = join(this.directory, `${logId}.key`)
    const signed = await this.lastSigned(logId)
    if (!existsSync(path)) {
      if (signed !== undefined && signed.size > 0) {
        throw refused(logId, 'the signing key is gone although this log was signed before')
      }
      // From its first moment a key has a state beside it: one without was robbed of it.
      await this.store(logId, 0, emptyRoot(sha256))
      const { privateKey } = generateKeyPairSync('ed25519')
      const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32)
      await replaceFile(this.files, path, wrapSeed(this.wrapKey, logId, seed))
    } else if (signed === undefined) {
      throw refused(logId, 'there is a signing key, and what it signed last is gone')
    }
    const seed = unwrapSeed(this.wrapKey, logId, await readFile(path))
    const privateKey = createPrivateKey({
      key: Buffer.concat([pkcs8Prefix, seed]),
      format: 'der',
      type: 'pkcs8',
    })
    const publicKey = publicOf(privateKey)
    const vkey = join(this.directory, `${logId}.vkey`)
    if (!existsSync(vkey)) {
      const verifierKey = formatVerifierKey(sha256, this.origin(logId), publicKey)
      await replaceFile(this.files, vkey, Buffer.from(`${verifierKey}\n`))
    }
    return { privateKey, publicKey }
  }

  private store(logId: string, size: number, root: Uint8Array): Promise<void> {
    const state = Buffer.from(JSON.stringify({ size, root: hex(root) }))
    return replaceFile(this.files, join(this.directory, `${logId}.signed`), state)
  }
}

/** DER prefix of an Ed25519 PKCS #8 private key (RFC 8410). */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex')

function publicOf(privateKey: KeyObject): Uint8Array {
  return createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32)
}

function refused(logId: string, why: string): SealtrailError {
  return new SealtrailError('SIGNER_REFUSED', `log ${logId}: ${why}`, {
    hint: 'Nothing was signed. Compare with the newest checkpoint you hold elsewhere before you go on.',
  })
}
