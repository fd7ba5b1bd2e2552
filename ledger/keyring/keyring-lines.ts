import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { hex } from '../../schemas/bytes.ts'
import { isSealtrailError, SealtrailError } from '../../schemas/errors.ts'

/**
 * The file of a keyring: a line a sync, base64 of nonce || AES-256-GCM ciphertext || tag, with the line number as
 * additional data, so that lines cannot be swapped.
 */

/** One key, or that one is gone. Later ones win. */
const KeyringEntry = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('subject'),
    logId: z.string(),
    id: z.string(),
    key: z.string(),
  }),
  z.strictObject({ kind: z.literal('erased'), logId: z.string(), id: z.string() }),
  z.strictObject({ kind: z.literal('token'), logId: z.string(), key: z.string() }),
  z.strictObject({ kind: z.literal('dedup'), logId: z.string(), day: z.string(), key: z.string() }),
  z.strictObject({
    kind: z.literal('transport'),
    logId: z.string(),
    id: z.string(),
    privateKey: z.string(),
  }),
  z.strictObject({ kind: z.literal('chain'), id: z.string(), key: z.string() }),
  // Names the root keys of subjects. Keyrings that have none name them by their master key.
  z.strictObject({ kind: z.literal('naming'), key: z.string() }),
  z.strictObject({ kind: z.literal('store'), name: z.string(), key: z.string() }),
])
export type KeyringEntry = z.infer<typeof KeyringEntry>
/** A line of the file, before encryption: what one sync made durable. */
const Line = z.union([z.array(KeyringEntry), KeyringEntry.transform((entry) => [entry])])

/** Key that encrypts the file of a keyring. */
export function keyringFileKey(masterKey: Uint8Array): Uint8Array {
  return Buffer.from(
    hkdfSync('sha256', masterKey, new Uint8Array(), 'sealtrail/keyring-file/v1', 32),
  )
}

export function keyringPath(directory: string): string {
  return join(directory, 'keyring')
}

/**
 * The keyring of a directory, encrypted under another master key. Nothing is written here.
 *
 * @param replace keys of stores that the old master key gives: they get another one, and are named in `replaced`
 * @throws SealtrailError `KEYRING_CORRUPT` when the old key does not open it
 */
export async function rewrappedKeyring(
  directory: string,
  keys: { readonly from: Uint8Array; readonly to: Uint8Array },
  replace: readonly { readonly name: string; readonly old: Uint8Array }[],
): Promise<{ bytes: Uint8Array; replaced: readonly string[] }> {
  const path = keyringPath(directory)
  const stored = decryptLines(await readFile(path), keyringFileKey(keys.from), path).entries
  const entries = new Map(stored.map((entry) => [nameOf(entry), entry]))
  // Erased is later than the key: it took its place.
  for (const entry of stored) {
    if (entry.kind === 'erased') entries.delete(`subject/${entry.logId}/${entry.id}`)
  }
  const replaced: string[] = []
  for (const { name, old } of replace) {
    const entry = entries.get(`store/${name}`)
    if (entry?.kind === 'store' && entry.key !== hex(old)) continue
    entries.set(`store/${name}`, { kind: 'store', name, key: hex(randomBytes(32)) })
    replaced.push(name)
  }
  // A keyring that never had its own naming key keeps the one it went by: the ids stand in its payloads.
  if (!entries.has('naming')) entries.set('naming', { kind: 'naming', key: hex(keys.from) })
  return { bytes: encryptAll([...entries.values()], keyringFileKey(keys.to)), replaced }
}

/** Whether a master key opens the keyring of a directory. A keyring that is empty or not there opens under any. */
export async function opensKeyring(directory: string, masterKey: Uint8Array): Promise<boolean> {
  const path = keyringPath(directory)
  if (!existsSync(path)) return true
  try {
    decryptLines(await readFile(path), keyringFileKey(masterKey), path)
    return true
  } catch (error) {
    if (isSealtrailError(error, 'KEYRING_CORRUPT')) return false
    throw error
  }
}

/** What an entry is about: the last entry of a name is in force. */
export function nameOf(entry: KeyringEntry): string {
  switch (entry.kind) {
    case 'subject':
    case 'erased':
    case 'transport':
      return `${entry.kind}/${entry.logId}/${entry.id}`
    case 'token':
      return `token/${entry.logId}`
    case 'dedup':
      return `dedup/${entry.logId}/${entry.day}`
    case 'chain':
      return `chain/${entry.id}`
    case 'store':
      return `store/${entry.name}`
    case 'naming':
      return 'naming'
  }
}

/** One line for each entry. */
export function encryptAll(entries: readonly KeyringEntry[], fileKey: Uint8Array): Buffer {
  return Buffer.from(
    entries.map((entry, line) => `${encryptLine([entry], line, fileKey)}\n`).join(''),
  )
}

export function encryptLine(
  entries: readonly KeyringEntry[],
  line: number,
  fileKey: Uint8Array,
): string {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', fileKey, nonce)
  cipher.setAAD(Buffer.from(String(line)))
  const body = Buffer.concat([cipher.update(JSON.stringify(entries)), cipher.final()])
  return Buffer.concat([nonce, body, cipher.getAuthTag()]).toString('base64')
}

/** Entries of the whole lines of a file, and where they end. */
export function decryptLines(
  bytes: Buffer,
  fileKey: Uint8Array,
  path: string,
): { entries: KeyringEntry[]; lines: number; sizeBytes: number } {
  const entries: KeyringEntry[] = []
  let lines = 0
  let at = 0
  while (at < bytes.length) {
    const newline = bytes.indexOf(0x0a, at)
    const until = newline < 0 ? bytes.length : newline + 1
    const line = bytes.subarray(at, until)
    if (newline < 0 || (until === bytes.length && line.includes(0))) break
    const text = line.toString('latin1', 0, line.length - 1)
    for (const entry of decryptLine(text, lines, fileKey, path)) {
      entries.push(entry)
    }
    lines++
    at = until
  }
  return { entries, lines, sizeBytes: at }
}

function decryptLine(
  line: string,
  number: number,
  fileKey: Uint8Array,
  path: string,
): KeyringEntry[] {
  try {
    const bytes = Buffer.from(line, 'base64')
    // Base64 has other spellings of the same bytes: a line that was touched is told.
    if (bytes.toString('base64') !== line) throw new RangeError('the line is not canonical base64')
    const decipher = createDecipheriv('aes-256-gcm', fileKey, bytes.subarray(0, 12))
    decipher.setAAD(Buffer.from(String(number)))
    decipher.setAuthTag(bytes.subarray(-16))
    const body = Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()])
    return Line.parse(JSON.parse(body.toString('utf8')))
  } catch (cause) {
    throw new SealtrailError('KEYRING_CORRUPT', `line ${number} of ${path} does not authenticate`, {
      cause,
      hint: 'Check that the master key is the one this keyring was made with.',
    })
  }
}
