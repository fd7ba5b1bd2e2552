import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SealtrailError } from '../../schemas/errors.ts'
import {
  type DurableFiles,
  nodeFiles,
  replaceFile,
  replaceSecretFile,
  wipeFile,
} from '../durable-file.ts'

/** Logs of which a directory holds a signing key. */
async function keyedLogIds(directory: string): Promise<string[]> {
  if (!existsSync(directory)) return []
  const names = (await readdir(directory)).filter((name) => name.endsWith('.key'))
  return names.map((name) => name.slice(0, -'.key'.length)).sort()
}

/**
 * Puts each signing key, encrypted under another master key, beside the one that is in force: `<log>.key.next`.
 * {@link settleSigningKeys} puts them into force.
 *
 * @throws SealtrailError `KEYRING_CORRUPT` when the old master key does not open them
 */
export async function rewrapSigningKeys(
  directory: string,
  keys: { readonly from: Uint8Array; readonly to: Uint8Array },
  files: DurableFiles = nodeFiles,
): Promise<void> {
  const [from, to] = [wrapKeyOf(keys.from), wrapKeyOf(keys.to)]
  for (const logId of await keyedLogIds(directory)) {
    const path = join(directory, `${logId}.key`)
    const seed = unwrapSeed(from, logId, await readFile(path))
    await replaceFile(files, `${path}.next`, wrapSeed(to, logId, seed))
  }
}

/**
 * Ends a change of the master key that was cut off: signing keys that this master key opens come into force, and the
 * others are overwritten. Nothing changes where none was under way.
 */
export async function settleSigningKeys(
  directory: string,
  masterKey: Uint8Array,
  files: DurableFiles = nodeFiles,
): Promise<void> {
  const wrapKey = wrapKeyOf(masterKey)
  for (const logId of await keyedLogIds(directory)) {
    const path = join(directory, `${logId}.key`)
    const next = `${path}.next`
    await wipeFile(files, `${path}.old`)
    if (!existsSync(next)) continue
    const bytes = await readFile(next)
    if (opens(wrapKey, logId, bytes)) await replaceSecretFile(files, path, bytes)
    else if (!opens(wrapKey, logId, await readFile(path))) continue
    await wipeFile(files, next)
  }
}

/** Key under which signing keys are encrypted. */
export function wrapKeyOf(masterKey: Uint8Array): Uint8Array {
  return Buffer.from(hkdfSync('sha256', masterKey, new Uint8Array(), 'sealtrail/signer/v1', 32))
}

export const seedBytes = 32

/** The seeds of a key file: the one in force first, where keys never changed the only one. */
export function splitSeeds(bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: Math.floor(bytes.length / seedBytes) }, (_, i) =>
    bytes.subarray(i * seedBytes, (i + 1) * seedBytes),
  )
}

/** Ed25519 seeds, AES-256-GCM. */
export function wrapSeed(wrapKey: Uint8Array, logId: string, seed: Uint8Array): Uint8Array {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', wrapKey, nonce)
  cipher.setAAD(Buffer.from(logId))
  return Buffer.concat([nonce, cipher.update(seed), cipher.final(), cipher.getAuthTag()])
}

/** @throws SealtrailError `KEYRING_CORRUPT` */
export function unwrapSeed(wrapKey: Uint8Array, logId: string, bytes: Uint8Array): Uint8Array {
  try {
    const decipher = createDecipheriv('aes-256-gcm', wrapKey, bytes.subarray(0, 12))
    decipher.setAAD(Buffer.from(logId))
    decipher.setAuthTag(bytes.subarray(-16))
    return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()])
  } catch (cause) {
    throw new SealtrailError(
      'KEYRING_CORRUPT',
      `the signing key of ${logId} does not authenticate`,
      {
        cause,
        hint: 'Check that the master key is the one this deployment was made with.',
      },
    )
  }
}

function opens(wrapKey: Uint8Array, logId: string, bytes: Uint8Array): boolean {
  try {
    unwrapSeed(wrapKey, logId, bytes)
    return true
  } catch {
    return false
  }
}
