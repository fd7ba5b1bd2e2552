import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { SealtrailError } from '../../schemas/errors.ts'

/**
 * What was erased so far, as `sealtrail erasures --list` prints it: kept outside of backups, it lets a restore apply
 * what was erased after a backup was made. It names nobody: root keys have keyed hashes for names.
 */
export const ErasedList = z.strictObject({
  format: z.literal('sealtrail-erased/v1'),
  keys: z.array(z.strictObject({ logId: z.string(), rootKeyId: z.string() })),
  /** Leaves whose payloads were overwritten. */
  leaves: z.array(z.strictObject({ logId: z.string(), leaf: z.int().nonnegative() })),
})
export type ErasedList = z.infer<typeof ErasedList>

/** @throws SealtrailError `CONFIG_INVALID` */
export async function readErasedList(path: string): Promise<ErasedList> {
  try {
    return ErasedList.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (cause) {
    throw new SealtrailError('CONFIG_INVALID', `${path} is no list of erasures`, {
      cause,
      hint: 'Make one with: sealtrail erasures --list',
    })
  }
}
