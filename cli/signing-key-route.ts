import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { SealtrailError } from '../schemas/errors.ts'
import type { Core } from './core.ts'

const dayMs = 86_400_000
const RotateRequest = z.strictObject({
  logId: z.string().max(64),
  overlapDays: z.number().min(0).max(3650),
})
/** What became of a rotation: leaf index and verifier keys. */
export const RotateReply = z.strictObject({
  index: z.int().nonnegative(),
  previous: z.string(),
  next: z.string(),
})

/** On the control socket only: whoever may open it is the operator. */
export function signingKeyRoute(control: FastifyInstance, core: Core): void {
  control.post('/control/rotate-signing-key', async (request) => {
    const { logId, overlapDays } = rotationOf(request.body)
    if (!(await core.api.storage.logIds()).includes(logId))
      throw new SealtrailError('NOT_FOUND', `there is no log ${logId}`)
    return core.rotateKey(logId, Math.round(overlapDays * dayMs))
  })
}

/** @throws SealtrailError `REQUEST_INVALID` */
function rotationOf(body: unknown): z.infer<typeof RotateRequest> {
  const parsed = RotateRequest.safeParse(body)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new SealtrailError(
    'REQUEST_INVALID',
    `${issue?.path.join('.') ?? 'the body'}: ${issue?.message ?? 'is not valid'}`,
  )
}
