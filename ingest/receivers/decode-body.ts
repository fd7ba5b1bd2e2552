import { promisify } from 'node:util'
import { gunzip, inflate, inflateRaw } from 'node:zlib'
import { SealtrailError } from '../../schemas/errors.ts'

/** Largest request body, compressed or not. */
export const maxBodyBytes = 4 * 1024 * 1024

const options = { maxOutputLength: maxBodyBytes }
const gunzipAsync = promisify<Uint8Array, typeof options, Buffer>(gunzip)
const inflateAsync = promisify<Uint8Array, typeof options, Buffer>(inflate)
const inflateRawAsync = promisify<Uint8Array, typeof options, Buffer>(inflateRaw)

/**
 * Body of a request without its content encoding (RFC 9110 section 8.4). Stops at {@link maxBodyBytes}, however much
 * a small body would unpack to.
 *
 * @throws SealtrailError `BODY_TOO_LARGE`, `ENCODING_INVALID`, `MEDIA_TYPE_UNSUPPORTED`
 */
export async function decodeBody(
  body: Uint8Array,
  contentEncoding: string | undefined,
): Promise<Uint8Array> {
  const encoding = contentEncoding?.trim().toLowerCase() ?? ''
  if (encoding === '' || encoding === 'identity') return body
  try {
    if (encoding === 'gzip' || encoding === 'x-gzip') return await gunzipAsync(body, options)
    if (encoding === 'deflate') return await inflateEither(body)
  } catch (cause) {
    if (isTooLarge(cause)) {
      throw new SealtrailError(
        'BODY_TOO_LARGE',
        `the body unpacks to more than ${maxBodyBytes} bytes`,
      )
    }
    throw new SealtrailError('ENCODING_INVALID', `the body is not valid ${encoding}`, { cause })
  }
  throw new SealtrailError('MEDIA_TYPE_UNSUPPORTED', 'the content encoding is not supported', {
    hint: 'Send gzip, deflate or no content encoding.',
  })
}

/** RFC 9110 means zlib by `deflate`; some clients send the bare deflate stream. */
async function inflateEither(body: Uint8Array): Promise<Uint8Array> {
  const first = body[0] ?? 0
  const zlib = (first & 0x0f) === 8 && ((first << 8) | (body[1] ?? 0)) % 31 === 0
  return zlib ? await inflateAsync(body, options) : await inflateRawAsync(body, options)
}

function isTooLarge(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE'
}
