import { access, constants, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { SealtrailError } from '../schemas/errors.ts'
import type { ControlClient } from './control-client.ts'
import { systemErrorCode } from './system-error.ts'

const TlogProofReply = z.object({
  leafIndex: z.int(),
  /** base64 */
  leaf: z.string(),
  proof: z.string(),
  verifierKey: z.string(),
})

/**
 * Writes `<event id>.leaf` and `<event id>.tlog-proof` into a folder.
 *
 * @throws SealtrailError `CONFIG_INVALID` for a bad id or folder, `NOT_FOUND`, `SERVER_UNREACHABLE`
 */
export async function proveCommand(
  eventId: string,
  out: string,
  client: ControlClient,
): Promise<void> {
  if (!z.uuid().safeParse(eventId).success) {
    throw new SealtrailError('CONFIG_INVALID', `${JSON.stringify(eventId)} is no event id`, {
      hint: 'It is a UUID: the field event.id of an event, and at the top of an opened event in the dashboard.',
    })
  }
  try {
    await access(out, constants.W_OK)
  } catch (cause) {
    throw new SealtrailError(
      'CONFIG_INVALID',
      `--out ${out} cannot be written to: ${systemErrorCode(cause) ?? String(cause)}`,
      { cause, hint: 'Name a folder that exists.' },
    )
  }
  const reply = await client.call(
    TlogProofReply,
    'GET',
    `/api/v1/events/${encodeURIComponent(eventId)}/tlog-proof`,
  )
  const leafPath = join(out, `${eventId}.leaf`)
  const proofPath = join(out, `${eventId}.tlog-proof`)
  await writeFile(leafPath, Buffer.from(reply.leaf, 'base64'))
  await writeFile(proofPath, reply.proof)
  process.stdout.write(
    `leaf ${reply.leafIndex}: ${leafPath}, ${proofPath}\nverifier key ${reply.verifierKey}\n`,
  )
}
