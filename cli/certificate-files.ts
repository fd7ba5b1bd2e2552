import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { isSealtrailError, SealtrailError } from '../schemas/errors.ts'
import { systemErrorCode } from './system-error.ts'

/** Where a certificate, its key and the authorities whose certificates are accepted lie, as PEM. */
export interface CertificateFiles {
  /** The certificate first, then those of the authorities between it and the root. */
  readonly certFile: string
  /** PKCS #8, PKCS #1 or SEC 1, without a passphrase. */
  readonly keyFile: string
  /** Authorities that the other side's certificate must come from; absent: none are asked for. */
  readonly caFile?: string | undefined
}

/** What {@link CertificateFiles} held when they were read, checked. `cert`, `key` and `ca` are options of `node:tls`. */
export interface Certificates {
  readonly cert: string
  readonly key: string
  readonly ca: string | undefined
  /** Of the certificate, as OpenSSL writes it on one line. */
  readonly subject: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** SHA-256 of the certificate, lower-case hex. */
  readonly sha256: string
}

/**
 * Reads and checks the files. A certificate outside its dates is let through, because a server that does not start
 * explains less than one that says so; {@link WatchedCertificates} does not exchange a good one for it.
 *
 * @throws SealtrailError `CONFIG_INVALID` that names file, fault and next step
 */
export async function loadCertificates(files: CertificateFiles): Promise<Certificates> {
  const [cert, key, ca] = await Promise.all([
    readPem(files.certFile),
    readPem(files.keyFile),
    files.caFile === undefined ? undefined : readPem(files.caFile),
  ])
  const chain = certificatesIn(cert, files.certFile)
  const privateKey = privateKeyIn(key, files.keyFile)
  const [own, ...rest] = chain
  if (!own.checkPrivateKey(privateKey)) {
    const later = rest.some((each) => each.checkPrivateKey(privateKey))
    throw invalid(
      `the key in ${files.keyFile} does not belong to the first certificate in ${files.certFile}`,
      later
        ? 'It belongs to a later one in the file: put that one first, then the authorities.'
        : 'Name the key that the certificate was issued for; both files change together when it is renewed.',
    )
  }
  if (ca !== undefined && files.caFile !== undefined) certificatesIn(ca, files.caFile)
  try {
    // What OpenSSL refuses beyond that, such as a key that is too short for its security level.
    createSecureContext({ cert, key, ...(ca === undefined ? {} : { ca }) })
  } catch (cause) {
    throw invalid(
      `${files.certFile} and ${files.keyFile} cannot be used: ${reasonOf(cause)}`,
      'Issue a certificate with a key of today: ECDSA P-256, or RSA of 2048 bits or more.',
      cause,
    )
  }
  return {
    cert,
    key,
    ca,
    subject: own.subject.split('\n').join(', '),
    notBeforeMs: Date.parse(own.validFrom),
    notAfterMs: Date.parse(own.validTo),
    sha256: own.fingerprint256.replaceAll(':', '').toLowerCase(),
  }
}

export interface CertificateObserver {
  /** New files are good and are in use from now on. */
  onReloaded(certificates: Certificates): void
  /** New files are not good; what was in use stays. Told once for each state of the files. */
  onRefused(problem: SealtrailError): void
}

export interface WatchOptions {
  /** How often the files are looked at. Default 10 s. */
  readonly intervalMs?: number
  /** Unix time, milliseconds. */
  readonly clock: () => number
}

const defaultIntervalMs = 10_000

/**
 * Certificates that follow their files. The files are read again at an interval, and their bytes compared: that sees
 * also what is exchanged by a symbolic link (mounted secrets) or lies on a network volume, where no notification comes.
 * Bad files never replace good ones; two files that are written one after the other are given one interval to agree.
 */
export class WatchedCertificates {
  private readonly files: CertificateFiles
  private readonly observer: CertificateObserver
  private readonly clock: () => number
  private readonly timer: NodeJS.Timeout
  private inUse: Certificates
  private refused: SealtrailError | undefined
  /** State of the files that was refused, and how often it was seen so. */
  private suspect = { state: '', seen: 0 }
  private checking: Promise<void> | undefined

  private constructor(
    files: CertificateFiles,
    first: Certificates,
    observer: CertificateObserver,
    { intervalMs = defaultIntervalMs, clock }: WatchOptions,
  ) {
    this.files = files
    this.inUse = first
    this.observer = observer
    this.clock = clock
    this.timer = setInterval(() => void this.check(2), intervalMs)
    this.timer.unref()
  }

  /** @throws SealtrailError `CONFIG_INVALID` when the files are not good now */
  static async open(
    files: CertificateFiles,
    observer: CertificateObserver,
    options: WatchOptions,
  ): Promise<WatchedCertificates> {
    return new WatchedCertificates(files, await loadCertificates(files), observer, options)
  }

  /** What is in use: the last good state of the files. */
  get current(): Certificates {
    return this.inUse
  }

  /** Why the files as they lie there now are not in use; undefined when they are. */
  get problem(): SealtrailError | undefined {
    return this.refused
  }

  /** Looks at the files now (SIGHUP), and tells at once what is wrong with them. Never rejects. */
  async reload(): Promise<void> {
    await this.checking
    this.suspect = { state: '', seen: 0 }
    await this.check(1)
  }

  close(): void {
    clearInterval(this.timer)
  }

  /** @param patience how often the same bad state is seen before it is told */
  private check(patience: number): Promise<void> {
    this.checking ??= this.compare(patience).finally(() => {
      this.checking = undefined
    })
    return this.checking
  }

  private async compare(patience: number): Promise<void> {
    let found: Certificates
    try {
      found = await loadCertificates(this.files)
      const sameBytes =
        found.cert === this.inUse.cert && found.key === this.inUse.key && found.ca === this.inUse.ca
      if (sameBytes) {
        this.refused = undefined
        return
      }
      this.expectInForce(found)
    } catch (error) {
      this.refuse(isSealtrailError(error) ? error : invalid(reasonOf(error), ''), patience)
      return
    }
    this.inUse = found
    this.refused = undefined
    this.suspect = { state: '', seen: 0 }
    this.observer.onReloaded(found)
  }

  private expectInForce(found: Certificates): void {
    const now = this.clock()
    if (found.notAfterMs <= now) {
      throw invalid(
        `the certificate in ${this.files.certFile} ended on ${new Date(found.notAfterMs).toISOString()}`,
        'Renew it, and put the new one there.',
      )
    }
    if (found.notBeforeMs > now) {
      throw invalid(
        `the certificate in ${this.files.certFile} begins on ${new Date(found.notBeforeMs).toISOString()}`,
        'Check the clock of this machine, or wait until it begins.',
      )
    }
  }

  private refuse(problem: SealtrailError, patience: number): void {
    const same = this.suspect.state === problem.message
    this.suspect = { state: problem.message, seen: same ? this.suspect.seen + 1 : 1 }
    if (this.suspect.seen !== patience) return
    this.refused = problem
    this.observer.onRefused(problem)
  }
}

const pemBlock = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]+?-----END \1-----/g

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw invalid(
      `${path} cannot be read: ${systemErrorCode(cause) ?? reasonOf(cause)}`,
      'Name a file that is there, and let the user that Sealtrail runs as read it.',
      cause,
    )
  }
}

/** @throws SealtrailError `CONFIG_INVALID` where there is none, or one is damaged */
function certificatesIn(pem: string, path: string): [X509Certificate, ...X509Certificate[]] {
  const certificates: X509Certificate[] = []
  for (const [block, label] of pem.matchAll(pemBlock)) {
    if (label !== 'CERTIFICATE' && label !== 'TRUSTED CERTIFICATE') continue
    try {
      certificates.push(new X509Certificate(block))
    } catch (cause) {
      throw invalid(
        `certificate ${certificates.length + 1} in ${path} is damaged: ${reasonOf(cause)}`,
        'Copy the file again, whole.',
        cause,
      )
    }
  }
  const [first, ...rest] = certificates
  if (first !== undefined) return [first, ...rest]
  throw invalid(
    `${path} holds no certificate as PEM`,
    'It must hold -----BEGIN CERTIFICATE-----. From DER: openssl x509 -inform der -in FILE -out FILE.pem',
  )
}

/** @throws SealtrailError `CONFIG_INVALID` */
function privateKeyIn(pem: string, path: string): KeyObject {
  if (/BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED/.test(pem)) {
    throw invalid(
      `the key in ${path} needs a passphrase`,
      'Nobody is there to type it: openssl pkey -in FILE -out FILE.plain, and let only this user read that.',
    )
  }
  if (!pem.includes('PRIVATE KEY-----')) {
    throw invalid(
      `${path} holds no private key as PEM`,
      'It must hold -----BEGIN PRIVATE KEY-----; certificate and key are two settings.',
    )
  }
  try {
    return createPrivateKey(pem)
  } catch (cause) {
    throw invalid(
      `the key in ${path} cannot be read: ${reasonOf(cause)}`,
      'Copy the file again, whole.',
      cause,
    )
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function invalid(message: string, hint: string, cause?: unknown): SealtrailError {
  return new SealtrailError('CONFIG_INVALID', message, {
    ...(cause === undefined ? {} : { cause }),
    ...(hint === '' ? {} : { hint }),
  })
}
