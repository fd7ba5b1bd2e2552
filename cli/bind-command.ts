import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { namesOf } from '../ingest/receivers/client-certificate.ts'
import { SourceDetailReply } from '../schemas/api/sources.ts'
import { SealtrailError } from '../schemas/errors.ts'
import type { CertificateBinding } from '../schemas/source-certificate.ts'
import type { ControlClient } from './control-client.ts'

export interface BindFlags {
  /** Name of the certificate, as schemas/source-certificate.ts says. */
  readonly certificate?: string
  /** PEM: bound by its public key. */
  readonly certificateFile?: string
  readonly insteadOfKey?: true
  readonly none?: true
}

/** Binds a source to a client certificate, or frees it; returns what to tell. */
export async function bindCommand(
  sourceId: string,
  flags: BindFlags,
  client: ControlClient,
): Promise<string> {
  const given = [flags.certificate, flags.certificateFile, flags.none].filter(
    (flag) => flag !== undefined,
  )
  if (given.length !== 1) {
    throw new SealtrailError(
      'CONFIG_INVALID',
      'one of --certificate, --certificate-file and --none is needed',
      { hint: 'See sealtrail source-key bind --help.' },
    )
  }
  const certificate = flags.none === true ? null : await bindingOf(flags)
  const path = `/api/v1/sources/${encodeURIComponent(sourceId)}`
  const { source } = await client.call(SourceDetailReply, 'GET', path)
  await client.call(z.object({}), 'POST', `${path}/certificate`, {
    certificate,
    expectedVersion: source.certificateVersion,
  })
  if (certificate === null) return `Source ${source.name} shows no certificate any more.`
  return certificate.use === 'with_key'
    ? `Source ${source.name} must show ${certificate.certificate} besides its key.`
    : `Source ${source.name} is whoever shows ${certificate.certificate}.`
}

async function bindingOf(flags: BindFlags): Promise<CertificateBinding> {
  const use = flags.insteadOfKey === true ? 'instead_of_key' : 'with_key'
  if (flags.certificate !== undefined) return { certificate: flags.certificate, use }
  const file = flags.certificateFile ?? ''
  try {
    const [name = ''] = namesOf(new X509Certificate(await readFile(file)))
    return { certificate: name, use }
  } catch (cause) {
    throw new SealtrailError('CONFIG_INVALID', `${file} is no certificate that can be read`, {
      cause,
      hint: 'Name the PEM file of the certificate that the source shows, not that of its key.',
    })
  }
}
