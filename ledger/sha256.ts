import { createHash } from 'node:crypto'
import type { Digest } from '../schemas/tlog/digest.ts'

/** SHA-256 on node:crypto. */
export const sha256: Digest = (data) => createHash('sha256').update(data).digest()
