import { createHmac } from 'node:crypto'
import { hex } from '../../schemas/bytes.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import type { Anchor, AnchorReceipt, CheckpointToAnchor } from '../anchor.ts'
import { request } from './http-request.ts'

export interface WebhookAnchorOptions {
  readonly url: string
  /** Shared with the receiver. */
  readonly secret: Uint8Array
  /** Unix milliseconds. */
  readonly clock: () => number
}

const maxReplyBytes = 64 * 1024
/** Of a reply, what is kept: a receipt is short. */
const keptReplyChars = 2048

/**
 * Anchor behind an address of somebody else: each checkpoint is posted as JSON {origin, size, root, checkpoint}, signed
 * as Standard Webhooks says (`webhook-id`, `webhook-timestamp`, and `webhook-signature` with HMAC-SHA-256). The reply is
 * kept as receipt. Nothing can be read back, so a rollback shows only at the receiver, as a size that went down.
 */
export function openWebhookAnchor(options: WebhookAnchorOptions): Anchor {
  return new WebhookAnchor(options)
}

class WebhookAnchor implements Anchor {
  readonly kind = 'webhook'
  readonly readable = false
  readonly target: string
  private readonly options: WebhookAnchorOptions

  constructor(options: WebhookAnchorOptions) {
    this.options = options
    const { origin, pathname } = new URL(options.url)
    // A query may hold a token.
    this.target = `${origin}${pathname}`
  }

  async put({ origin, size, root, note }: CheckpointToAnchor): Promise<AnchorReceipt> {
    const body = JSON.stringify({ origin, size, root: hex(root), checkpoint: note })
    // The same for the same checkpoint: a receiver may drop what it has.
    const id = `${origin}/${size}`
    const timestamp = String(Math.floor(this.options.clock() / 1000))
    const mac = createHmac('sha256', this.options.secret)
      .update(`${id}.${timestamp}.${body}`)
      .digest('base64')
    const reply = await request(this.target, {
      url: this.options.url,
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': timestamp,
        'webhook-signature': `v1,${mac}`,
      },
      body,
      maxReplyBytes,
    })
    if (reply.status === 409) {
      throw new SealtrailError(
        'ANCHOR_CONTRADICTS',
        `${this.target} says that size ${size} of ${origin} conflicts with what it holds: ${excerpt(reply.text)}`,
      )
    }
    if (reply.status < 200 || reply.status > 299) {
      throw new SealtrailError(
        'ANCHOR_UNAVAILABLE',
        `${this.target} answered ${reply.status}: ${excerpt(reply.text)}`,
        { retryable: true },
      )
    }
    return {
      at: new Date(this.options.clock()).toISOString(),
      answer: `${reply.status} ${reply.text.slice(0, keptReplyChars)}`.trim(),
      cosignatures: [],
    }
  }

  async newest(): Promise<undefined> {
    return undefined
  }

  async close(): Promise<void> {}
}

/** First words of what somebody else wrote, on one line. */
function excerpt(text: string): string {
  return JSON.stringify(text.slice(0, 200))
}
