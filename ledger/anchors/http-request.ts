import { SealtrailError } from '../../schemas/errors.ts'
import { systemErrorMessage } from './system-error-message.ts'

export interface AnchorRequest {
  readonly url: string
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  readonly maxReplyBytes: number
}

export interface AnchorReply {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

const timeoutMs = 10_000

/**
 * One request to a place outside. Redirects are not followed: what is signed is for one address.
 *
 * @param target how the place is named in errors: the URL may hold a token
 * @throws SealtrailError `ANCHOR_UNAVAILABLE` when there is no whole answer in time, or it is too long
 */
export async function request(target: string, options: AnchorRequest): Promise<AnchorReply> {
  try {
    const response = await fetch(options.url, {
      method: options.method,
      headers: options.headers,
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
      ...(options.body === undefined ? {} : { body: options.body }),
    })
    const text = await readReply(response, options.maxReplyBytes)
    return { status: response.status, headers: response.headers, text }
  } catch (cause) {
    throw new SealtrailError('ANCHOR_UNAVAILABLE', `${target}: ${systemErrorMessage(cause)}`, {
      cause,
      retryable: true,
    })
  }
}

async function readReply(response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
