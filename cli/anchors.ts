import { readFile } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import type { Anchor } from '../ledger/anchor.ts'
import { openBucketAnchor } from '../ledger/anchors/bucket-anchor.ts'
import { openDirectoryAnchor } from '../ledger/anchors/directory-anchor.ts'
import { readBucketCredentials } from '../ledger/anchors/s3-signature.ts'
import { openWebhookAnchor } from '../ledger/anchors/webhook-anchor.ts'
import { openWitnessAnchor } from '../ledger/anchors/witness-anchor.ts'
import { sha256 } from '../ledger/sha256.ts'
import { SealtrailError } from '../schemas/errors.ts'
import { parseTlogPolicy, type TlogPolicy } from '../schemas/tlog/tlog-policy.ts'
import { isLoopback } from './network-reach.ts'

/** Where checkpoints are put outside, as `up` was told. */
export interface AnchorSettings {
  readonly intervalMs: number
  readonly directory: string | undefined
  readonly webhook: { readonly url: string; readonly secretFile: string } | undefined
  readonly bucket:
    | {
        readonly url: string
        readonly region: string
        readonly credentialsFile: string
        readonly retentionDays: number
      }
    | undefined
  readonly witnessPolicyFile: string | undefined
}

export interface AnchorVariables {
  readonly SEALTRAIL_ANCHOR_INTERVAL_S: number
  readonly SEALTRAIL_ANCHOR_DIRECTORY?: string | undefined
  readonly SEALTRAIL_ANCHOR_WEBHOOK_URL?: string | undefined
  readonly SEALTRAIL_ANCHOR_WEBHOOK_SECRET_FILE?: string | undefined
  readonly SEALTRAIL_ANCHOR_BUCKET_URL?: string | undefined
  readonly SEALTRAIL_ANCHOR_BUCKET_REGION: string
  readonly SEALTRAIL_ANCHOR_BUCKET_CREDENTIALS_FILE?: string | undefined
  readonly SEALTRAIL_ANCHOR_BUCKET_RETENTION_DAYS: number
  readonly SEALTRAIL_WITNESS_POLICY_FILE?: string | undefined
}

/** @throws SealtrailError `CONFIG_INVALID` naming every variable that is wrong */
export function readAnchorSettings(env: AnchorVariables): AnchorSettings {
  const {
    SEALTRAIL_ANCHOR_DIRECTORY: directory,
    SEALTRAIL_ANCHOR_WEBHOOK_URL: webhookUrl,
    SEALTRAIL_ANCHOR_WEBHOOK_SECRET_FILE: secretFile,
    SEALTRAIL_ANCHOR_BUCKET_URL: bucketUrl,
    SEALTRAIL_ANCHOR_BUCKET_CREDENTIALS_FILE: credentialsFile,
  } = env
  const problems: string[] = []
  if (directory !== undefined && !isAbsolute(directory))
    problems.push('SEALTRAIL_ANCHOR_DIRECTORY must be an absolute path')
  if ((webhookUrl === undefined) !== (secretFile === undefined))
    problems.push(
      'SEALTRAIL_ANCHOR_WEBHOOK_URL and SEALTRAIL_ANCHOR_WEBHOOK_SECRET_FILE go together',
    )
  if ((bucketUrl === undefined) !== (credentialsFile === undefined))
    problems.push(
      'SEALTRAIL_ANCHOR_BUCKET_URL and SEALTRAIL_ANCHOR_BUCKET_CREDENTIALS_FILE go together',
    )
  for (const [variable, url] of [
    ['SEALTRAIL_ANCHOR_WEBHOOK_URL', webhookUrl],
    ['SEALTRAIL_ANCHOR_BUCKET_URL', bucketUrl],
  ] as const) {
    const problem = url === undefined ? undefined : problemOfUrl(url)
    if (problem !== undefined) problems.push(`${variable} ${problem}`)
  }
  if (bucketUrl !== undefined && !/^https?:\/\/[^/?#]+(?:\/[A-Za-z0-9._-]+)+\/?$/.test(bucketUrl))
    problems.push(
      'SEALTRAIL_ANCHOR_BUCKET_URL must be https://<endpoint>/<bucket>, with or without /<prefix> of letters, digits, . _ and -',
    )
  if (problems.length > 0) {
    throw new SealtrailError('CONFIG_INVALID', problems.join('; '), {
      hint: 'See sealtrail up --help.',
    })
  }
  return {
    intervalMs: env.SEALTRAIL_ANCHOR_INTERVAL_S * 1000,
    directory,
    webhook:
      webhookUrl === undefined || secretFile === undefined
        ? undefined
        : { url: webhookUrl, secretFile },
    bucket:
      bucketUrl === undefined || credentialsFile === undefined
        ? undefined
        : {
            url: bucketUrl,
            region: env.SEALTRAIL_ANCHOR_BUCKET_REGION,
            credentialsFile,
            retentionDays: env.SEALTRAIL_ANCHOR_BUCKET_RETENTION_DAYS,
          },
    witnessPolicyFile: env.SEALTRAIL_WITNESS_POLICY_FILE,
  }
}

/** Opens every anchor that is set up. Nothing is asked of them yet. @throws SealtrailError `CONFIG_INVALID` */
export async function openAnchors(
  settings: AnchorSettings,
  clock: () => number,
): Promise<{ anchors: Anchor[]; policy: TlogPolicy | undefined }> {
  const { directory, webhook, bucket, witnessPolicyFile } = settings
  const anchors: Anchor[] = []
  if (directory !== undefined) anchors.push(openDirectoryAnchor(directory, clock))
  if (webhook !== undefined) {
    const secret = (await readFile(webhook.secretFile, 'utf8')).trim()
    if (secret.length < 16) {
      throw new SealtrailError(
        'CONFIG_INVALID',
        `${webhook.secretFile} is shorter than 16 characters`,
        {
          hint: 'Make one with: openssl rand -hex 32',
        },
      )
    }
    anchors.push(openWebhookAnchor({ url: webhook.url, secret: Buffer.from(secret), clock }))
  }
  if (bucket !== undefined) {
    const { url, region, credentialsFile, retentionDays } = bucket
    const credentials = () => readBucketCredentials(credentialsFile)
    await credentials()
    anchors.push(openBucketAnchor({ url, region, credentials, retentionDays, clock }))
  }
  const policy =
    witnessPolicyFile === undefined
      ? undefined
      : parseTlogPolicy(sha256, await readFile(witnessPolicyFile, 'utf8'))
  for (const { name, verifierKey, url } of policy?.witnesses ?? []) {
    // Without an address it can be checked, and not be asked.
    if (url === undefined) continue
    const problem = problemOfUrl(url)
    if (problem !== undefined)
      throw new SealtrailError('CONFIG_INVALID', `the address of witness ${name} ${problem}`)
    anchors.push(openWitnessAnchor({ name, verifierKey, url }))
  }
  return { anchors, policy }
}

/** Whoever listens on the way could answer in the place's stead. */
function problemOfUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return 'is no URL'
  const url = new URL(text)
  if (url.username !== '' || url.password !== '') return 'must hold no user and password'
  if (url.protocol === 'https:') return undefined
  if (url.protocol === 'http:' && isLoopback(url.hostname)) return undefined
  return 'must begin with https:// (http:// only on this machine)'
}
