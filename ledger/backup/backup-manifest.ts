import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { isAbsolute, join, normalize } from 'node:path'
import { z } from 'zod'
import { SealtrailError } from '../../schemas/errors.ts'

export const manifestName = 'manifest.json'

/** Path below the data directory: nothing of a backup may be written anywhere else. */
const Name = z
  .string()
  .min(1)
  .max(512)
  .refine((name) => !isAbsolute(name) && normalize(name) === name && !name.startsWith('..'), {
    error: 'is no path below the data directory',
  })

/** What a backup holds. Written last: a folder without it is no backup. */
export const BackupManifest = z.strictObject({
  format: z.literal('sealtrail-backup/v1'),
  product: z.string(),
  madeAt: z.iso.datetime(),
  files: z.array(
    z.strictObject({
      name: Name,
      /** Lies in the folder of the keys, not in that of the backup. */
      inKeys: z.boolean(),
      sizeBytes: z.int().nonnegative(),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
})
export type BackupManifest = z.infer<typeof BackupManifest>

/** @throws SealtrailError `CONFIG_INVALID` for a folder that is no backup */
export async function readManifest(folder: string): Promise<BackupManifest> {
  const path = join(folder, manifestName)
  if (!existsSync(path)) {
    throw new SealtrailError(
      'CONFIG_INVALID',
      `${folder} is no backup: it has no ${manifestName}`,
      {
        hint: 'The manifest is written last: a backup that was interrupted has none.',
      },
    )
  }
  try {
    return BackupManifest.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (cause) {
    throw new SealtrailError('CONFIG_INVALID', `${path} is no manifest of a backup`, { cause })
  }
}

/**
 * Reads every file again and compares size and hash.
 *
 * @param keys folder of the keyring, where it was kept apart
 * @throws SealtrailError `LEDGER_CORRUPT` naming the first file that differs
 */
export async function checkManifest(
  folder: string,
  keys: string,
  manifest: BackupManifest,
  onProgress: (doneBytes: number, totalBytes: number) => void,
): Promise<void> {
  const total = manifest.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  let done = 0
  for (const { name, inKeys, sizeBytes, sha256 } of manifest.files) {
    const path = join(inKeys ? keys : folder, name)
    if (!existsSync(path)) {
      throw new SealtrailError('LEDGER_CORRUPT', `${path} of the backup is gone`, {
        ...(inKeys ? { hint: 'Its keys were kept apart: name their folder with --keys.' } : {}),
      })
    }
    const hash = createHash('sha256')
    let size = 0
    for await (const chunk of createReadStream(path)) {
      hash.update(chunk)
      size += chunk.length
      done += chunk.length
      onProgress(done, total)
    }
    if (size !== sizeBytes || hash.digest('hex') !== sha256) {
      throw new SealtrailError('LEDGER_CORRUPT', `${path} is not what the backup holds`)
    }
  }
}
