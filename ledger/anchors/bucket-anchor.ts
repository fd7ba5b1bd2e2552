import { createHash } from 'node:crypto'
import { equal } from '../../schemas/bytes.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import { readCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import type { Anchor, AnchorReceipt, CheckpointToAnchor } from '../anchor.ts'
import { type AnchorReply, request } from './http-request.ts'
import { type BucketCredentials, signS3Request } from './s3-signature.ts'

export interface BucketAnchorOptions {
  /** `https://<endpoint>/<bucket>[/<prefix>]`. */
  readonly url: string
  readonly region: string
  /** Asked for each request, so that credentials may be replaced while it runs. */
  readonly credentials: () => Promise<BucketCredentials>
  /** How long nobody, the owner of the bucket included, can delete a checkpoint. */
  readonly retentionDays: number
  /** Unix milliseconds. */
  readonly clock: () => number
}

const dayMs = 86_400_000
const maxReplyBytes = 4 * 1024 * 1024
/** A decimal tree size with leading zeros, so that names sort as sizes do. */
const sizeDigits = 16
/** Listings that find nothing of ours are not followed for ever. */
const maxPages = 100

/**
 * Anchor in an S3-compatible bucket with object lock: each checkpoint is an object `<deployment>/<log>/<size>` that
 * nobody can delete or overwrite before its date (compliance mode). Whoever may write to the bucket can still put a
 * newer version or a delete marker over it, so reading looks at all versions and takes the first one.
 *
 * S3 API: PutObject with `x-amz-object-lock-mode`, ListObjectVersions, GetObject with a version id.
 */
export function openBucketAnchor(options: BucketAnchorOptions): Anchor {
  return new BucketAnchor(options)
}

class BucketAnchor implements Anchor {
  readonly kind = 'bucket'
  readonly readable = true
  readonly target: string
  private readonly options: BucketAnchorOptions
  private readonly bucketPath: string
  private readonly prefix: string

  constructor(options: BucketAnchorOptions) {
    this.options = options
    const { origin, pathname } = new URL(options.url)
    const [bucket = '', ...prefix] = pathname.split('/').filter((part) => part !== '')
    this.bucketPath = `/${bucket}`
    this.prefix = prefix.map((part) => `${part}/`).join('')
    this.target = `${origin}${[this.bucketPath, ...prefix].join('/')}`
  }

  async put(checkpoint: CheckpointToAnchor): Promise<AnchorReceipt> {
    const { origin, size, note } = checkpoint
    const key = this.keyOf(origin, size)
    const nowMs = this.options.clock()
    const until = new Date(nowMs + this.options.retentionDays * dayMs).toISOString()
    const reply = await this.send('PUT', key, {}, note, {
      'content-type': 'text/plain; charset=utf-8',
      'if-none-match': '*',
      'x-amz-checksum-sha256': createHash('sha256').update(note).digest('base64'),
      'x-amz-object-lock-mode': 'COMPLIANCE',
      'x-amz-object-lock-retain-until-date': until,
    })
    if (reply.status === 412) return this.alreadyThere(checkpoint, key)
    if (reply.status !== 200) throw this.refused('a checkpoint', reply)
    const version = reply.headers.get('x-amz-version-id')
    const answer = `${key}${version === null ? '' : `, version ${version}`}, locked until ${until}`
    return { at: new Date(nowMs).toISOString(), answer, cosignatures: [] }
  }

  /** By halving steps: the names sort as sizes do, and a bucket that is years old holds millions. */
  async newest(origin: string, knownSize: number): Promise<string | undefined> {
    let largest = await this.firstAfter(origin, knownSize - 1)
    if (largest === undefined && knownSize > 0) largest = await this.firstAfter(origin, -1)
    if (largest === undefined) return undefined
    let step = 1
    for (;;) {
      const found = await this.firstAfter(origin, largest + step - 1)
      if (found !== undefined) {
        largest = found
        step *= 2
      } else if (step === 1) break
      else step = Math.floor(step / 2)
    }
    return this.readFirstVersion(this.keyOf(origin, largest))
  }

  async close(): Promise<void> {}

  private async alreadyThere(checkpoint: CheckpointToAnchor, key: string): Promise<AnchorReceipt> {
    const { origin, size, root } = checkpoint
    const there = await this.readFirstVersion(key)
    let known: Uint8Array
    try {
      known = readCheckpoint(there).root
    } catch {
      throw this.unavailable(`${key} holds something else than a checkpoint: who writes there?`)
    }
    if (!equal(known, root)) {
      throw new SealtrailError(
        'ANCHOR_CONTRADICTS',
        `${this.target} holds another root of ${origin} at size ${size}: it has forked`,
      )
    }
    const at = new Date(this.options.clock()).toISOString()
    return { at, answer: `${key}, which was there already`, cosignatures: [] }
  }

  private keyOf(origin: string, size: number): string {
    return `${this.prefix}${origin}/${String(size).padStart(sizeDigits, '0')}`
  }

  /** The smallest size above `size` that has an object, whatever lies over it. */
  private async firstAfter(origin: string, size: number): Promise<number | undefined> {
    const prefix = `${this.prefix}${origin}/`
    // Just behind the object of that size: some servers list the marker itself.
    let marker = size < 0 ? '' : `${this.keyOf(origin, size)}~`
    for (let page = 0; page < maxPages; page++) {
      const listed = await this.list({ prefix, 'max-keys': '10', 'key-marker': marker })
      for (const { key } of listed.entries) {
        const digits = key.slice(prefix.length)
        const found = /^\d+$/.test(digits) && digits.length === sizeDigits ? Number(digits) : -1
        if (found > size) return found
      }
      if (!listed.truncated || listed.nextKey === undefined) return undefined
      marker = listed.nextKey
    }
    throw this.unavailable(`more than ${maxPages} listings hold nothing of ours: who writes there?`)
  }

  private async readFirstVersion(key: string): Promise<string> {
    let first: string | undefined
    let marker: Record<string, string> = {}
    for (let page = 0; page < maxPages; page++) {
      const listed = await this.list({ prefix: key, 'max-keys': '1000', ...marker })
      // Of one key the newest version stands first.
      for (const entry of listed.entries) {
        if (entry.key === key && entry.version !== undefined) first = entry.version
      }
      if (!listed.truncated || listed.nextKey !== key || listed.nextVersion === undefined) break
      marker = { 'key-marker': listed.nextKey, 'version-id-marker': listed.nextVersion }
    }
    if (first === undefined) throw this.unavailable(`${key} has no version that can be read`)
    const reply = await this.send('GET', key, { versionId: first })
    if (reply.status !== 200) throw this.refused(key, reply)
    return reply.text
  }

  private async list(query: Record<string, string>): Promise<VersionListing> {
    const asked = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ''))
    const reply = await this.send('GET', '', { versions: '', ...asked })
    if (reply.status !== 200) throw this.refused('the listing', reply)
    return parseVersionListing(reply.text)
  }

  private async send(
    method: 'GET' | 'PUT',
    key: string,
    query: Record<string, string>,
    body?: string,
    headers: Record<string, string> = {},
  ): Promise<AnchorReply> {
    const signed = await signS3Request({
      endpoint: new URL(this.options.url).origin,
      region: this.options.region,
      credentials: await this.options.credentials(),
      now: new Date(this.options.clock()),
      method,
      path: key === '' ? this.bucketPath : `${this.bucketPath}/${key}`,
      query,
      headers,
      body: body ?? '',
    })
    return request(this.target, {
      url: signed.url,
      method,
      headers: signed.headers,
      maxReplyBytes,
      ...(body === undefined ? {} : { body }),
    })
  }

  private refused(what: string, reply: AnchorReply): SealtrailError {
    const code = textOf(reply.text, 'Code')
    const message = textOf(reply.text, 'Message')
    return this.unavailable(
      `${what} was refused with ${reply.status}${code === undefined ? '' : ` ${code}`}${message === undefined ? '' : `: ${JSON.stringify(message.slice(0, 200))}`}`,
    )
  }

  private unavailable(what: string): SealtrailError {
    return new SealtrailError('ANCHOR_UNAVAILABLE', `bucket ${this.target}: ${what}`, {
      retryable: true,
      hint: 'The bucket needs versioning and object lock; the credentials need s3:PutObject, s3:PutObjectRetention, s3:GetObjectVersion and s3:ListBucketVersions.',
    })
  }
}

interface VersionListing {
  /** In the order of the listing; a delete marker has no version to read. */
  readonly entries: readonly { readonly key: string; readonly version: string | undefined }[]
  readonly truncated: boolean
  readonly nextKey: string | undefined
  readonly nextVersion: string | undefined
}

/** ListVersionsResult, as far as names of ours need it: they hold nothing that XML escapes. */
function parseVersionListing(xml: string): VersionListing {
  const entries = [...xml.matchAll(/<(Version|DeleteMarker)>([\s\S]*?)<\/\1>/g)].map(
    ([, kind, inner = '']) => ({
      key: textOf(inner, 'Key') ?? '',
      version: kind === 'Version' ? textOf(inner, 'VersionId') : undefined,
    }),
  )
  return {
    // Some servers list all versions before all delete markers.
    entries: entries.toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)),
    truncated: textOf(xml, 'IsTruncated') === 'true',
    nextKey: textOf(xml, 'NextKeyMarker'),
    nextVersion: textOf(xml, 'NextVersionIdMarker'),
  }
}

function textOf(xml: string, element: string): string | undefined {
  return new RegExp(`<${element}>([^<]*)</${element}>`).exec(xml)?.[1]
}
