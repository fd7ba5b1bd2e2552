import { hash } from 'node:crypto'
import type { Digest } from '../schemas/tlog/digest.ts'

/**
 * SHA-256 on node:crypto, in one call: a hash object would cost more than hashing a node of the tree. By way of a
 * Latin-1 string, whose characters are the bytes: small buffers made here share one allocation, those of node:crypto
 * have one each, which is what hashing a node would then mostly cost.
 */
export const sha256: Digest = (data) => Buffer.from(hash('sha256', data, 'binary'), 'latin1')
