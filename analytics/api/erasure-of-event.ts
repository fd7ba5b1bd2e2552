import { rootKeyIdOf } from '../../ledger/payloads/sealed-payload.ts'
import type { EventDetail } from '../../schemas/api/event-detail.ts'
import type { SealedGroup } from '../../schemas/event/fields.ts'
import type { ApiContext } from './api-context.ts'

/**
 * The first erasure on the record that closed the payload of a leaf: it names the leaf, or the root key that the payload
 * is sealed under.
 */
export async function erasureOfEvent(
  context: Pick<ApiContext, 'control' | 'payloads'>,
  logId: string,
  leafIndex: number,
  permitted: ReadonlySet<SealedGroup>,
): Promise<EventDetail['erasure']> {
  const payload = await context.payloads.get(logId, leafIndex)
  const rootKeyId = payload === undefined ? undefined : rootKeyIdOf(payload)
  for (const { request, requestedAt, completed } of context.control.erasures()) {
    if (request.logId !== logId || !('keyIds' in request)) continue
    const isNamed = rootKeyId !== undefined && request.keyIds.includes(rootKeyId)
    if (!isNamed && !request.leaves.includes(leafIndex)) continue
    return {
      action: request.action,
      at: requestedAt,
      ...(permitted.has('text')
        ? { ground: request.ground, reference: request.reference ?? null }
        : { ground: null, reference: null }),
      leafIndex: completed?.leafIndex ?? null,
    }
  }
  return null
}
