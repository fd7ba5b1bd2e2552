import { openPayload } from '../../ledger/payloads/sealed-payload.ts'
import { sha256 } from '../../ledger/sha256.ts'
import type { Evidence, TlogProof } from '../../schemas/api/event-detail.ts'
import type { KeyRotationsReply } from '../../schemas/api/integrity.ts'
import { base64, fromHex } from '../../schemas/bytes.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import { type SealedGroup, sealedGroups } from '../../schemas/event/fields.ts'
import type { Opening } from '../../schemas/leaf/leaf.ts'
import { parseLeaf } from '../../schemas/leaf/open-leaf.ts'
import { inclusionProof } from '../../schemas/tlog/merkle.ts'
import { formatTlogProof } from '../../schemas/tlog/tlog-proof.ts'
import type { ApiContext } from './api-context.ts'

/**
 * Everything a browser needs to check one leaf by itself, from the stored bytes: nothing here comes from the columnar
 * store.
 *
 * @throws SealtrailError `NOT_FOUND`, `LEDGER_CORRUPT`, `PAYLOAD_MISSING`
 */
export async function evidenceOf(
  context: ApiContext,
  logId: string,
  leafIndex: number,
  permitted: ReadonlySet<SealedGroup>,
): Promise<Evidence> {
  const leaf = await storedLeaf(context, logId, leafIndex)
  const openings = await openingsOf(context, logId, leafIndex, leaf)
  const parsed = parseLeaf(leaf)
  const withheld: Evidence['withheld'] = []
  for (const group of sealedGroups) {
    if (parsed.commitments[group] === undefined) continue
    if (openings === 'erased') withheld.push({ group, reason: 'erased' })
    else if (!permitted.has(group)) withheld.push({ group, reason: 'not_permitted' })
  }
  const shown = openings === 'erased' ? [] : openings.filter((each) => permitted.has(each.group))
  return {
    logId,
    leafIndex,
    leaf: base64(leaf),
    openings: shown.map((each) => ({
      group: each.group,
      salt: base64(each.salt),
      plaintext: each.plaintext,
    })),
    withheld,
    inclusion: await inclusionOf(context, logId, leafIndex),
    verifierKey: await context.signer.verifierKey(logId),
  }
}

/** Stored bytes of one leaf. */
export async function storedLeaf(
  context: Pick<ApiContext, 'storage'>,
  logId: string,
  leafIndex: number,
): Promise<Uint8Array> {
  for await (const segment of context.storage.readSegments(logId, leafIndex)) {
    const leaf = segment.leaves[leafIndex - segment.fromIndex]
    if (leaf !== undefined) return leaf
    break
  }
  throw new SealtrailError('NOT_FOUND', `log ${logId} has no leaf ${leafIndex}`)
}

/** Openings of a leaf; `erased` when its key or payload is gone for good. */
export async function openingsOf(
  context: Pick<ApiContext, 'payloads' | 'keyring'>,
  logId: string,
  leafIndex: number,
  leaf: Uint8Array,
): Promise<readonly Opening[] | 'erased'> {
  const parsed = parseLeaf(leaf)
  if (parsed.payload === undefined) return []
  const sealed = await context.payloads.get(logId, leafIndex)
  if (sealed === undefined) return 'erased'
  if (Buffer.compare(sha256(sealed), fromHex(parsed.payload.sha256)) !== 0) {
    throw new SealtrailError(
      'PAYLOAD_MISSING',
      `payload of leaf ${leafIndex} of ${logId} was altered`,
    )
  }
  const opened = openPayload(sealed, (keyId) => context.keyring.openingKey(logId, keyId))
  return opened === 'destroyed' ? 'erased' : opened
}

/** Inclusion under the newest checkpoint that covers the leaf; null while none does. */
async function inclusionOf(
  context: ApiContext,
  logId: string,
  leafIndex: number,
): Promise<Evidence['inclusion']> {
  const treeSize = (await context.storage.checkpointSizes(logId)).at(-1)
  if (treeSize === undefined || treeSize <= leafIndex) return null
  const checkpoint = await context.storage.readCheckpoint(logId, treeSize)
  if (checkpoint === undefined) return null
  const hashes = inclusionProof(context.tree(logId), sha256, leafIndex, treeSize)
  return { treeSize, hashes: hashes.map(base64), checkpoint }
}

/** A C2SP `tlog-proof@v1` with the leaf bytes it is about. @throws SealtrailError `PROOF_INVALID` while unpublished */
export async function tlogProofOf(
  context: ApiContext,
  logId: string,
  leafIndex: number,
): Promise<TlogProof> {
  const { cosigned } = context.anchoring(logId)
  // A proof that witnesses stand behind is worth more than one of a newer tree.
  const isCosigned = cosigned !== null && cosigned.size > leafIndex
  const sizes = await context.storage.checkpointSizes(logId)
  const treeSize = isCosigned ? cosigned.size : sizes.at(-1)
  const checkpoint = isCosigned
    ? cosigned.note
    : treeSize === undefined
      ? undefined
      : await context.storage.readCheckpoint(logId, treeSize)
  if (treeSize === undefined || checkpoint === undefined || treeSize <= leafIndex) {
    throw new SealtrailError(
      'PROOF_INVALID',
      `leaf ${leafIndex} is not under a signed checkpoint yet`,
      {
        retryable: true,
        hint: 'Checkpoints are signed once a second; try again.',
      },
    )
  }
  const hashes = inclusionProof(context.tree(logId), sha256, leafIndex, treeSize)
  return {
    leafIndex,
    leaf: base64(await storedLeaf(context, logId, leafIndex)),
    proof: formatTlogProof({ index: leafIndex, hashes, checkpoint }),
    verifierKey: await context.signer.verifierKey(logId),
  }
}

/** Rotations of the key of a log that both keys vouch for, oldest first, with their proofs. */
export async function keyRotationsOf(
  context: Pick<ApiContext, 'signer' | 'storage' | 'tree'>,
  logId: string,
): Promise<KeyRotationsReply['rotations']> {
  const sizes = await context.storage.checkpointSizes(logId)
  const proven: KeyRotationsReply['rotations'] = []
  for (const { index, previous, next } of await context.signer.rotations(logId)) {
    const size = sizes.find((each) => each > index)
    const checkpoint =
      size === undefined ? undefined : await context.storage.readCheckpoint(logId, size)
    if (size === undefined || checkpoint === undefined) break
    const hashes = inclusionProof(context.tree(logId), sha256, index, size)
    proven.push({
      index,
      previous,
      next,
      leaf: base64(await storedLeaf(context, logId, index)),
      proof: formatTlogProof({ index, hashes, checkpoint }),
    })
  }
  return proven
}
