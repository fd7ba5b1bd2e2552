import { base64 } from '../../schemas/bytes.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import {
  type Cosignature,
  cosignatureVerifier,
  readCosignatures,
} from '../../schemas/tlog/cosignature.ts'
import { type NoteVerifier, openNote, parseNote, signatureLines } from '../../schemas/tlog/note.ts'
import type { PolicyWitness } from '../../schemas/tlog/tlog-policy.ts'
import type { Anchor, AnchorReceipt, CheckpointToAnchor } from '../anchor.ts'
import { verifyEd25519 } from '../ed25519.ts'
import { sha256 } from '../sha256.ts'
import { request } from './http-request.ts'

const maxReplyBytes = 64 * 1024

/**
 * Anchor at a witness of C2SP tlog-witness: each checkpoint is submitted to `add-checkpoint` with a consistency proof
 * from the one before. The witness keeps the largest tree that it saw, and cosigns only what continues it.
 *
 * @param witness with its URL, the submission prefix
 * @throws SealtrailError `PROOF_INVALID` when its key is none of Ed25519 cosignatures
 */
export function openWitnessAnchor(witness: PolicyWitness & { readonly url: string }): Anchor {
  return new WitnessAnchor(witness.verifierKey, witness.url)
}

class WitnessAnchor implements Anchor {
  readonly kind = 'witness'
  readonly readable = false
  readonly target: string
  private readonly url: string
  private readonly verifier: NoteVerifier

  constructor(verifierKey: string, url: string) {
    this.verifier = cosignatureVerifier(sha256, verifyEd25519, verifierKey)
    this.target = this.verifier.name
    this.url = `${url.replace(/\/+$/, '')}/add-checkpoint`
  }

  async put(checkpoint: CheckpointToAnchor): Promise<AnchorReceipt> {
    const first = await this.submit(checkpoint, Math.min(checkpoint.knownSize, checkpoint.size))
    if (!('knownSize' in first)) return first
    // A lost answer leaves the witness further than we know: from there it goes on. Once, or two who submit would
    // chase each other.
    const second = await this.submit(checkpoint, first.knownSize)
    if (!('knownSize' in second)) return second
    throw this.unavailable(
      `it moved from ${first.knownSize} to ${second.knownSize} while ${checkpoint.size} was submitted: does another process sign ${checkpoint.origin}?`,
    )
  }

  async newest(): Promise<undefined> {
    return undefined
  }

  async close(): Promise<void> {}

  /** The receipt, or the size that the witness knows where it is not `oldSize`. */
  private async submit(
    checkpoint: CheckpointToAnchor,
    oldSize: number,
  ): Promise<AnchorReceipt | { readonly knownSize: number }> {
    const { origin, size, note } = checkpoint
    const proof = oldSize === 0 || oldSize === size ? [] : checkpoint.proofFrom(oldSize)
    const body = `${[`old ${oldSize}`, ...proof.map(base64)].join('\n')}\n\n${note}`
    const reply = await request(this.target, {
      url: this.url,
      method: 'POST',
      headers: { 'content-type': 'text/plain; charset=utf-8' },
      body,
      maxReplyBytes,
    })
    switch (reply.status) {
      case 200:
        return this.receipt(note, reply.text)
      case 409: {
        const known = /^(0|[1-9]\d{0,15})\n$/.exec(reply.text)?.[1]
        if (known === undefined) throw this.unavailable('it answered 409 without a tree size')
        const knownSize = Number(known)
        if (knownSize > size) {
          throw this.contradicts(
            `cosigned ${origin} at size ${knownSize}, and it has only ${size} leaves here: it was rolled back`,
          )
        }
        if (knownSize === oldSize)
          throw this.contradicts(
            `cosigned another root of ${origin} at size ${oldSize}: it has forked`,
          )
        return { knownSize }
      }
      case 422:
        throw this.contradicts(
          `cosigned a tree of ${origin} at size ${oldSize} that this one of size ${size} does not continue: it has forked`,
        )
      case 403:
        throw this.unavailable(`it does not accept the key of ${origin}: give it the verifier key`)
      case 404:
        throw this.unavailable(`it does not know ${origin}: register the log there`)
      default:
        throw this.unavailable(
          `it answered ${reply.status} ${JSON.stringify(reply.text.slice(0, 200))}`,
        )
    }
  }

  /** Only lines under the pinned key are taken over; whatever else the witness sent is left behind. */
  private receipt(note: string, reply: string): AnchorReceipt {
    const { text } = parseNote(note)
    let cosignatures: { line: string; cosignature: Cosignature }[]
    try {
      cosignatures = signatureLines(`${text}\n${reply}`).flatMap((line) =>
        this.verified(text, line).map((cosignature) => ({ line, cosignature })),
      )
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new SealtrailError('ANCHOR_UNAVAILABLE', `witness ${this.target}: ${why}`, { cause })
    }
    const [first] = cosignatures
    if (first === undefined)
      throw this.unavailable('its answer holds no cosignature under the key of the policy')
    return {
      at: new Date(first.cosignature.seconds * 1000).toISOString(),
      answer: first.line.trimEnd(),
      cosignatures: [first.line],
    }
  }

  private verified(text: string, line: string): Cosignature[] {
    const note = `${text}\n${line}`
    const [signature] = parseNote(note).signatures
    if (signature?.name !== this.verifier.name || signature.keyId !== this.verifier.keyId) return []
    openNote(note, [this.verifier])
    return readCosignatures(note, [], [this.verifier])
  }

  private contradicts(what: string): SealtrailError {
    return new SealtrailError('ANCHOR_CONTRADICTS', `witness ${this.target} ${what}`)
  }

  private unavailable(what: string): SealtrailError {
    return new SealtrailError('ANCHOR_UNAVAILABLE', `witness ${this.target}: ${what}`, {
      retryable: true,
    })
  }
}
