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
import type { KeyRotation } from '../../schemas/tlog/key-rotation.ts'
import { emptyRoot, verifyConsistency } from '../../schemas/tlog/merkle.ts'
import {
  formatVerifierKey,
  keyId,
  parseVerifierKey,
  signatureLines,
  signNote,
} from '../../schemas/tlog/note.ts'
import {
  type DurableFiles,
  makeDirectory,
  nodeFiles,
  replaceFile,
  replaceSecretFile,
} from '../durable-file.ts'
import { checkLogId } from '../log-id.ts'
import { sha256 } from '../sha256.ts'
import type { Signer } from '../signer.ts'
import {
  seedBytes,
  settleSigningKeys,
  splitSeeds,
  unwrapSeed,
  wrapKeyOf,
  wrapSeed,
} from './signing-key-files.ts'

const Signed = z.strictObject({
  size: z.int().nonnegative(),
  root: z.string().regex(/^[0-9a-f]{64}$/),
})

/** Content of `<log>.rotations`. */
const Rotations = z.strictObject({
  rotations: z.array(
    z.strictObject({ index: z.int().nonnegative(), previous: z.string(), next: z.string() }),
  ),
  /** The next key, which waits for its leaf. */
  prepared: z.strictObject({ next: z.string(), overlapMs: z.int().nonnegative() }).nullable(),
  /** Until when the key before the one in force signs too, Unix milliseconds. */
  overlapUntilMs: z.int().nonnegative().nullable(),
})
type Rotations = z.infer<typeof Rotations>

interface LogKeys {
  /** Private keys by verifier key: the one in force, one that waits, one that overlaps. */
  readonly held: ReadonlyMap<string, KeyObject>
  /** Of a log that never rotated, its key. */
  readonly first: string
  readonly state: Rotations
}

/**
 * Signer with its state in files: `<log>.key` (Ed25519 seeds, AES-256-GCM under the master key), `<log>.vkey` (public, the
 * one in force), `<log>.signed` (last size and root, synced before each signature), `<log>.rotations` where keys changed,
 * and `deployment`, the first part of every origin.
 */
export async function openFileSigner(
  directory: string,
  masterKey: Uint8Array,
  files: DurableFiles = nodeFiles,
  clock: () => number = Date.now,
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
  return new FileSigner(directory, deployment, masterKey, files, clock)
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

/** Rotations of the key of a log, read without any key. @throws SealtrailError `SIGNER_REFUSED` */
export async function readRotations(directory: string, logId: string): Promise<KeyRotation[]> {
  return (await readRotationState(directory, logId)).rotations
}

async function readRotationState(directory: string, logId: string): Promise<Rotations> {
  const path = join(directory, `${checkLogId(logId)}.rotations`)
  if (!existsSync(path)) return { rotations: [], prepared: null, overlapUntilMs: null }
  try {
    return Rotations.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (cause) {
    throw new SealtrailError('SIGNER_REFUSED', `${path} does not say which keys signed`, {
      cause,
      hint: 'Restore it from a backup.',
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
  private readonly clock: () => number
  private readonly keys = new Map<string, Promise<LogKeys>>()
  private turn: Promise<unknown> = Promise.resolve()

  constructor(
    directory: string,
    deployment: string,
    masterKey: Uint8Array,
    files: DurableFiles,
    clock: () => number,
  ) {
    this.directory = directory
    this.deployment = deployment
    this.files = files
    this.clock = clock
    this.wrapKey = wrapKeyOf(masterKey)
  }

  origin(logId: string): string {
    return `${this.deployment}/${checkLogId(logId)}`
  }

  async verifierKey(logId: string): Promise<string> {
    return inForce(await this.key(logId))
  }

  prepareKey(logId: string, overlapMs: number): Promise<{ previous: string; next: string }> {
    return this.inTurn(() => this.prepareNow(logId, overlapMs))
  }

  adoptKey(logId: string, index: number, next: string): Promise<void> {
    return this.inTurn(() => this.adoptNow(logId, index, next))
  }

  async rotations(logId: string): Promise<readonly KeyRotation[]> {
    return (await this.key(logId)).state.rotations
  }

  sign(
    logId: string,
    size: number,
    root: Uint8Array,
    consistency: readonly Uint8Array[],
  ): Promise<string> {
    return this.inTurn(() => this.signNow(logId, size, root, consistency))
  }

  lastSigned(logId: string): Promise<{ size: number; root: Uint8Array } | undefined> {
    return readLastSigned(this.directory, logId)
  }

  async close(): Promise<void> {
    await this.turn
  }

  /** One at a time: two signatures must never be decided on the same stored state. */
  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.turn.then(work)
    this.turn = next.catch(() => undefined)
    return next
  }

  private async prepareNow(
    logId: string,
    overlapMs: number,
  ): Promise<{ previous: string; next: string }> {
    const keys = await this.key(logId)
    const previous = inForce(keys)
    const { prepared, rotations } = keys.state
    if (prepared !== null) return { previous, next: prepared.next }
    const used = [keys.first, ...rotations.map((each) => each.next)]
    let made: { seed: Uint8Array; verifierKey: string }
    // A key id has four bytes: whoever reads a signature must be able to tell whose it is.
    do made = this.makeKey(logId)
    while (used.some((key) => keyIdOf(key) === keyIdOf(made.verifierKey)))
    const seeds = [seedOf(keys, previous), made.seed]
    // The key before the one that goes now, should both still overlap, signs no more.
    await this.storeSeeds(logId, seeds)
    const next = made.verifierKey
    await this.storeRotations(logId, { ...keys.state, prepared: { next, overlapMs } })
    return { previous, next }
  }

  private async adoptNow(logId: string, index: number, next: string): Promise<void> {
    const keys = await this.key(logId)
    const { prepared, rotations } = keys.state
    if (rotations.some((each) => each.index === index && each.next === next)) return
    if (prepared?.next !== next || !keys.held.has(next)) {
      throw refused(logId, `leaf ${index} names a signing key that this signer does not hold`)
    }
    await this.storeRotations(logId, {
      rotations: [...rotations, { index, previous: inForce(keys), next }],
      prepared: null,
      overlapUntilMs: this.clock() + prepared.overlapMs,
    })
    await this.storeVerifierKey(logId, next)
  }

  private async signNow(
    logId: string,
    size: number,
    root: Uint8Array,
    consistency: readonly Uint8Array[],
  ): Promise<string> {
    const keys = await this.key(logId)
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
    const text = formatCheckpoint({ origin, size, root })
    const rotation = keys.state.rotations.findLast(({ index }) => index < size)
    const isOver = this.clock() >= (keys.state.overlapUntilMs ?? 0)
    // The first tree that holds a rotation has both signatures, however short they overlap.
    const isFirst = rotation !== undefined && last.size <= rotation.index
    const current = rotation?.next ?? keys.state.rotations[0]?.previous ?? keys.first
    const both = rotation !== undefined && (isFirst || !isOver) && keys.held.has(rotation.previous)
    const notes = (both ? [current, rotation.previous] : [current]).map((key) => {
      const privateKey = keys.held.get(key)
      if (privateKey === undefined) throw refused(logId, `the signing key of ${key} is gone`)
      const id = keyId(sha256, origin, publicOf(privateKey))
      return signNote(text, origin, id, (message) => sign(null, message, privateKey))
    })
    if (isOver && !isFirst && keys.state.prepared === null && keys.held.size > 1)
      await this.storeSeeds(logId, [seedOf(keys, current)])
    const [note = '', ...more] = notes
    return note + more.flatMap(signatureLines).join('')
  }

  private key(logId: string): Promise<LogKeys> {
    let key = this.keys.get(logId)
    if (key === undefined) {
      key = this.loadKeys(checkLogId(logId)).catch((error: unknown) => {
        this.keys.delete(logId)
        throw error
      })
      this.keys.set(logId, key)
    }
    return key
  }

  private async loadKeys(logId: string): Promise<LogKeys> {
    const path = join(this.directory, `${logId}.key`)
    const signed = await this.lastSigned(logId)
    if (!existsSync(path)) {
      if (signed !== undefined && signed.size > 0) {
        throw refused(logId, 'the signing key is gone although this log was signed before')
      }
      // From its first moment a key has a state beside it: one without was robbed of it.
      await this.store(logId, 0, emptyRoot(sha256))
      await replaceFile(this.files, path, wrapSeed(this.wrapKey, logId, this.makeKey(logId).seed))
    } else if (signed === undefined) {
      throw refused(logId, 'there is a signing key, and what it signed last is gone')
    }
    const seeds = splitSeeds(unwrapSeed(this.wrapKey, logId, await readFile(path)))
    const held = new Map(
      seeds.map((seed) => {
        const privateKey = privateKeyOf(seed)
        return [formatVerifierKey(sha256, this.origin(logId), publicOf(privateKey)), privateKey]
      }),
    )
    const state = await readRotationState(this.directory, logId)
    const first = state.rotations[0]?.previous ?? [...held.keys()][0] ?? ''
    const keys: LogKeys = { held, first, state }
    const vkey = join(this.directory, `${logId}.vkey`)
    // The file of rotations decides: a rotation that was cut off behind it is ended here.
    const stored = existsSync(vkey) ? (await readFile(vkey, 'utf8')).trim() : undefined
    const behind = stored !== undefined && state.rotations.some((each) => each.previous === stored)
    if (stored === undefined || behind) await this.storeVerifierKey(logId, inForce(keys))
    return keys
  }

  private makeKey(logId: string): { seed: Uint8Array; verifierKey: string } {
    const { privateKey } = generateKeyPairSync('ed25519')
    const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32)
    const publicKey = publicOf(privateKey)
    return { seed, verifierKey: formatVerifierKey(sha256, this.origin(logId), publicKey) }
  }

  private async storeSeeds(logId: string, seeds: readonly Uint8Array[]): Promise<void> {
    const path = join(this.directory, `${logId}.key`)
    await replaceSecretFile(this.files, path, wrapSeed(this.wrapKey, logId, Buffer.concat(seeds)))
    this.keys.delete(logId)
  }

  private async storeRotations(logId: string, state: Rotations): Promise<void> {
    const path = join(this.directory, `${logId}.rotations`)
    await replaceFile(this.files, path, Buffer.from(`${JSON.stringify(state, null, 1)}\n`))
    this.keys.delete(logId)
  }

  private storeVerifierKey(logId: string, verifierKey: string): Promise<void> {
    const path = join(this.directory, `${logId}.vkey`)
    return replaceFile(this.files, path, Buffer.from(`${verifierKey}\n`))
  }

  private store(logId: string, size: number, root: Uint8Array): Promise<void> {
    const state = Buffer.from(JSON.stringify({ size, root: hex(root) }))
    return replaceFile(this.files, join(this.directory, `${logId}.signed`), state)
  }
}

/** DER prefix of an Ed25519 PKCS #8 private key (RFC 8410). */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex')

function privateKeyOf(seed: Uint8Array): KeyObject {
  return createPrivateKey({
    key: Buffer.concat([pkcs8Prefix, seed]),
    format: 'der',
    type: 'pkcs8',
  })
}

function seedOf(keys: LogKeys, verifierKey: string): Uint8Array {
  const seed = keys.held.get(verifierKey)?.export({ format: 'der', type: 'pkcs8' })
  return seed?.subarray(-seedBytes) ?? new Uint8Array(0)
}

function inForce({ first, state }: LogKeys): string {
  return state.rotations.at(-1)?.next ?? first
}

function keyIdOf(verifierKey: string): string {
  return parseVerifierKey(sha256, verifierKey).keyId
}

function publicOf(privateKey: KeyObject): Uint8Array {
  return createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32)
}

function refused(logId: string, why: string): SealtrailError {
  return new SealtrailError('SIGNER_REFUSED', `log ${logId}: ${why}`, {
    hint: 'Nothing was signed. Compare with the newest checkpoint you hold elsewhere before you go on.',
  })
}
