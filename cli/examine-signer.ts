import { createPrivateKey, createPublicKey } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256 } from '../ledger/sha256.ts'
import { readLastSigned } from '../ledger/signer/file-signer.ts'
import { splitSeeds, unwrapSeed, wrapKeyOf } from '../ledger/signer/signing-key-files.ts'
import { SealtrailError } from '../schemas/errors.ts'
import { formatVerifierKey } from '../schemas/tlog/note.ts'

/**
 * Compares the files of a signer with each other: each verifier key is of this deployment and of its log, each signing
 * key opens and is the one of its verifier key, and each has its state beside it. Reads only.
 *
 * @param masterKey absent: signing keys are not opened
 * @throws SealtrailError `SIGNER_REFUSED` or `KEYRING_CORRUPT`, naming the first file that is wrong
 */
export async function examineSigner(directory: string, masterKey?: Uint8Array): Promise<void> {
  if (!existsSync(directory)) return
  const names = await readdir(directory)
  if (names.length === 0) return
  const logIdsOf = (suffix: string) =>
    names.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length))
  const deployment = await readDeployment(directory)
  for (const logId of logIdsOf('.signed').sort()) {
    const signed = await readLastSigned(directory, logId)
    if (masterKey !== undefined && (signed?.size ?? 0) > 0 && !names.includes(`${logId}.key`)) {
      throw wrong(join(directory, `${logId}.key`), 'is gone, although this log was signed with it')
    }
  }
  for (const logId of logIdsOf('.key').sort()) {
    if (!names.includes(`${logId}.signed`)) {
      throw wrong(join(directory, `${logId}.signed`), 'is gone, and with it what was signed last')
    }
    if (masterKey === undefined) continue
    const bytes = await readFile(join(directory, `${logId}.key`))
    const seeds = splitSeeds(unwrapSeed(wrapKeyOf(masterKey), logId, bytes))
    const path = join(directory, `${logId}.vkey`)
    if (!existsSync(path)) continue
    // While keys overlap there is more than one.
    const held = seeds.map((seed) =>
      formatVerifierKey(sha256, `${deployment}/${logId}`, publicKeyOf(seed)),
    )
    if (!held.includes((await readFile(path, 'utf8')).trim())) {
      throw wrong(
        path,
        'is not the verifier key of the signing key beside it and of the deployment',
      )
    }
  }
}

/** First part of every origin. @throws SealtrailError `SIGNER_REFUSED` */
async function readDeployment(directory: string): Promise<string> {
  const path = join(directory, 'deployment')
  const text = existsSync(path) ? (await readFile(path, 'utf8')).trim() : ''
  if (!/^sealtrail-[0-9a-f]{16}$/.test(text)) {
    throw wrong(path, 'does not name the deployment: sealtrail- and 16 hexadecimal digits')
  }
  return text
}

/** DER prefix of an Ed25519 PKCS #8 private key (RFC 8410). */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex')

function publicKeyOf(seed: Uint8Array): Uint8Array {
  const privateKey = createPrivateKey({
    key: Buffer.concat([pkcs8Prefix, seed]),
    format: 'der',
    type: 'pkcs8',
  })
  return createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32)
}

function wrong(path: string, what: string): SealtrailError {
  return new SealtrailError('SIGNER_REFUSED', `${path} ${what}`, {
    hint: 'Restore it from a backup. Nothing was changed, and nothing is signed until then.',
  })
}
