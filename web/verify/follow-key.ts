import { KeyRotationsReply } from '../../schemas/api/integrity.ts'
import { fromBase64 } from '../../schemas/bytes.ts'
import { followRotation } from '../../schemas/tlog/key-rotation.ts'
import { request } from '../api/request.ts'
import { sha256, verifyEd25519 } from './browser-crypto.ts'
import { guard } from './check.ts'
import type { Remembered } from './verify-checkpoint.ts'

/**
 * What this browser remembers, with the key that its pinned key leads to: a log changes its key by a leaf, in a tree that
 * both keys signed. Where nothing leads on, the pinned key stays, and the check of the key says so.
 */
export async function followPinnedKey(
  logId: string,
  remembered: Remembered | undefined,
  verifierKey: string,
  signal: AbortSignal,
): Promise<Remembered | undefined> {
  if (remembered === undefined || remembered.verifierKey === verifierKey) return remembered
  const reply = await request(KeyRotationsReply, '/api/v1/integrity/key-rotations', {
    params: { log: logId },
    signal,
  }).catch(() => undefined)
  let key = remembered.verifierKey
  for (const { previous, leaf, proof } of reply?.rotations ?? []) {
    if (previous !== key) continue
    const next = guard(() =>
      followRotation(sha256, verifyEd25519, key, { leaf: fromBase64(leaf), proof }),
    )
    if (next instanceof Error) break
    key = next
  }
  return { ...remembered, verifierKey: key }
}
