import { hash } from 'node:crypto'
import type { Digest } from '../schemas/tlog/digest.ts'

/** SHA-256 on node:crypto, in one call: a hash object would cost more than hashing a node of the tree. */
export const sha256: Digest = (data) => hash('sha256', data, 'buffer')
