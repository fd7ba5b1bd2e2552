import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { SignatureV4 } from '@smithy/signature-v4'
import { SealtrailError } from '../../schemas/errors.ts'

export interface BucketCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Of temporary credentials. */
  readonly sessionToken?: string
}

export interface S3Request {
  /** `https://host[:port]` */
  readonly endpoint: string
  readonly region: string
  readonly credentials: BucketCredentials
  readonly now: Date
  readonly method: string
  /** Without characters that need escaping. */
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Signs a request to S3 with AWS Signature Version 4. */
export async function signS3Request(
  unsigned: S3Request,
): Promise<{ url: string; headers: Record<string, string> }> {
  const { host, hostname, port, protocol } = new URL(unsigned.endpoint)
  const signer = new SignatureV4({
    service: 's3',
    region: unsigned.region,
    credentials: unsigned.credentials,
    sha256: NodeSha256,
    // S3 signs the path as it is sent.
    uriEscapePath: false,
  })
  const signed = await signer.sign(
    {
      method: unsigned.method,
      protocol,
      hostname,
      ...(port === '' ? {} : { port: Number(port) }),
      path: unsigned.path,
      query: { ...unsigned.query },
      headers: { ...unsigned.headers, host },
      body: unsigned.body,
    },
    { signingDate: unsigned.now },
  )
  const { host: _host, ...headers } = signed.headers
  const query = Object.entries(unsigned.query)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join('&')
  return { url: `${unsigned.endpoint}${unsigned.path}${query === '' ? '' : `?${query}`}`, headers }
}

/**
 * Credentials out of a file in the format of `~/.aws/credentials`, of its first profile.
 *
 * @throws SealtrailError `CONFIG_INVALID`
 */
export async function readBucketCredentials(path: string): Promise<BucketCredentials> {
  const text = await readFile(path, 'utf8')
  const value = (name: string) =>
    new RegExp(`^\\s*${name}\\s*=\\s*(\\S+)\\s*$`, 'm').exec(text)?.[1]
  const accessKeyId = value('aws_access_key_id')
  const secretAccessKey = value('aws_secret_access_key')
  const sessionToken = value('aws_session_token')
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    throw new SealtrailError(
      'CONFIG_INVALID',
      `${path} does not hold aws_access_key_id and aws_secret_access_key`,
      { hint: 'It has the format of ~/.aws/credentials: a line `name = value` each.' },
    )
  }
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) }
}

type Bytes = string | ArrayBuffer | ArrayBufferView

/** SHA-256, or HMAC-SHA-256 where there is a key, as the signer takes it. */
class NodeSha256 {
  private readonly key: Bytes | undefined
  private state: Hash | Hmac

  constructor(key?: Bytes) {
    this.key = key
    this.state = this.begin()
  }

  update(data: Uint8Array): void {
    this.state.update(data)
  }

  async digest(): Promise<Uint8Array> {
    return this.state.digest()
  }

  reset(): void {
    this.state = this.begin()
  }

  private begin(): Hash | Hmac {
    if (this.key === undefined) return createHash('sha256')
    return createHmac('sha256', typeof this.key === 'string' ? this.key : bytesOf(this.key))
  }
}

function bytesOf(data: ArrayBuffer | ArrayBufferView): Uint8Array {
  return data instanceof ArrayBuffer
    ? new Uint8Array(data)
    : new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}
