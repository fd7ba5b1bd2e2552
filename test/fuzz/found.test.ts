import { describe, expect, test } from 'vitest'
import { openPayload } from '../../ledger/payloads/sealed-payload.ts'
import { parseLeaf } from '../../schemas/leaf/open-leaf.ts'
import { forgePayload } from './targets/forge.ts'

const key = { keyId: 'k-1', key: Buffer.alloc(32, 9) }
const seed = Buffer.alloc(32)

/** What fuzzing found, so that it stays found. */
describe('refused with an error of ours, not with that of a library', () => {
  test.each([
    ['bytes that are no UTF-8', Buffer.from('{"leaf.v":1,"a":"\xff"}', 'latin1')],
    ['a version that has no text', Buffer.from('{"leaf.v":{"toString":1,"valueOf":1}}')],
  ])('leaf: %s', (_name, bytes) => {
    expect(() => parseLeaf(bytes)).toThrow(expect.objectContaining({ code: 'LEDGER_CORRUPT' }))
  })

  test.each([
    ['no deflate stream', Buffer.from([1, 0xff, 0xff])],
    ['a deflate stream that is cut', Buffer.from([1, 0x4b])],
    [
      'a group that is no UTF-8',
      Buffer.concat([Buffer.of(0), seed, Buffer.of(0, 0, 0, 0, 1, 0xff)]),
    ],
  ])('sealed payload: %s', (_name, plain) => {
    expect(() => openPayload(forgePayload(key, plain), () => key.key)).toThrow(
      expect.objectContaining({ code: 'PAYLOAD_MISSING' }),
    )
  })
})
