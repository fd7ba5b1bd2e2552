import {
  createCipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
} from 'node:crypto'
import type { SealingKey, TransportKey } from '../../../ledger/keyring.ts'
import { fromHex, hex, utf8 } from '../../../schemas/bytes.ts'
import { canonicalJson } from '../../../schemas/leaf/canonical-json.ts'

/** Key pairs from fixed bytes, so that equal seeds give equal inputs. */
function keyPair(fill: number) {
  const raw = Buffer.alloc(32, fill)
  const privateKey = createPrivateKey({
    key: Buffer.concat([fromHex('302e020100300506032b656e04220420'), raw]),
    format: 'der',
    type: 'pkcs8',
  })
  const publicKey = createPublicKey(privateKey)
  return {
    raw,
    privateKey,
    publicKey,
    bytes: publicKey.export({ format: 'der', type: 'spki' }).subarray(-32),
  }
}

const recipient = keyPair(5)
const ephemeral = keyPair(6)

export const fuzzTransportKey: TransportKey = {
  id: 'k1',
  publicKey: recipient.bytes,
  privateKey: recipient.raw,
}

/** An envelope that authenticates, around any body: what a holder of the public key can send. */
export function forgeEnvelope(body: Uint8Array, count: number): Uint8Array {
  const header = utf8(
    canonicalJson({
      count,
      ephemeral: hex(ephemeral.bytes),
      key: fuzzTransportKey.id,
      log: 'main',
    }),
  )
  const length = Buffer.alloc(2)
  length.writeUInt16BE(header.length)
  const additional = Buffer.concat([utf8('STBE\x01'), length, header])
  const secret = diffieHellman({ privateKey: ephemeral.privateKey, publicKey: recipient.publicKey })
  const salt = Buffer.concat([ephemeral.bytes, recipient.bytes])
  const info = Buffer.concat([utf8('sealtrail/bus-envelope/v1\0'), additional])
  const key = new Uint8Array(hkdfSync('sha256', secret, salt, info, 44))
  const cipher = createCipheriv('aes-256-gcm', key.subarray(0, 32), key.subarray(32))
  cipher.setAAD(additional)
  return Buffer.concat([additional, cipher.update(body), cipher.final(), cipher.getAuthTag()])
}

/** A payload that authenticates, around any plaintext (flag and body). */
export function forgePayload(sealingKey: SealingKey, plain: Uint8Array): Uint8Array {
  const id = Buffer.from(sealingKey.keyId, 'ascii')
  const header = Buffer.concat([Uint8Array.of(1, id.length), id])
  const nonce = Buffer.alloc(12, 4)
  const cipher = createCipheriv('aes-256-gcm', sealingKey.key, nonce)
  cipher.setAAD(header)
  return Buffer.concat([header, nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}
