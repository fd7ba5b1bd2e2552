import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { decodeBody, maxBodyBytes } from '../../../ingest/receivers/decode-body.ts'
import { isSealtrailError } from '../../../schemas/errors.ts'
import { ensure, type FuzzTarget } from '../fuzz-target.ts'

const text = Buffer.from(JSON.stringify({ 'event.class': 'tool_call', note: 'n'.repeat(500) }))
const encodings = ['gzip', 'deflate', 'identity', 'br'] as const

/** First byte of an input: which encoding the request names. */
const named = (encoding: (typeof encodings)[number], body: Uint8Array) =>
  Buffer.concat([Uint8Array.of(encodings.indexOf(encoding)), body])

export const bodyEncoding: FuzzTarget = {
  name: 'body-encoding',
  corpus: [
    named('gzip', gzipSync(text)),
    named('gzip', Buffer.concat([gzipSync(text), gzipSync('more')])),
    named('gzip', gzipSync(Buffer.alloc(maxBodyBytes + 1))),
    named('deflate', deflateSync(text)),
    named('deflate', deflateRawSync(text)),
    named('identity', text),
    named('br', text),
  ],
  dictionary: ['\u001f\u008b\b', 'x\u009c'],
  async check(input) {
    const encoding = encodings[(input[0] ?? 0) % encodings.length]
    const body = input.subarray(1)
    try {
      const decoded = await decodeBody(body, encoding)
      ensure(decoded.length <= maxBodyBytes, 'a body unpacks to at most 4 MiB')
      for (const [name, pack] of [
        ['gzip', gzipSync],
        ['deflate', deflateSync],
      ] as const) {
        const again = await decodeBody(pack(decoded, { level: 1 }), name)
        ensure(Buffer.from(again).equals(Buffer.from(decoded)), 'what was packed unpacks to itself')
      }
      return `${encoding} ${decoded.length >> 8}`
    } catch (error) {
      if (!isSealtrailError(error)) throw error
      return `${encoding} ${error.code}`
    }
  },
}
