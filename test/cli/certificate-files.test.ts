import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  type CertificateFiles,
  type Certificates,
  loadCertificates,
  WatchedCertificates,
} from '../../cli/certificate-files.ts'
import type { SealtrailError } from '../../schemas/errors.ts'
import { CertificateAuthority } from '../fixtures/certificate-authority.ts'

let folder: string
let authority: CertificateAuthority
let good: { certFile: string; keyFile: string }
let other: { certFile: string; keyFile: string }

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sealtrail-certificates-'))
  authority = await CertificateAuthority.create()
  good = await authority.issueFiles(folder, 'good', { commonName: 'localhost' })
  other = await authority.issueFiles(folder, 'other', { commonName: 'localhost' })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function written(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

describe('certificate files', () => {
  test('are read with what people ask of them', async () => {
    const caFile = authority.writeFile(folder)
    const loaded = await loadCertificates({ ...good, caFile })
    expect(loaded).toMatchObject({ subject: 'CN=localhost', ca: authority.cert })
    expect(loaded.sha256).toMatch(/^[0-9a-f]{64}$/)
    expect(loaded.notAfterMs).toBeGreaterThan(Date.now())
    expect(loaded.notBeforeMs).toBeLessThan(Date.now())
  })

  test('a chain begins with the certificate of the key', async () => {
    const { cert } = await loadCertificates(good)
    const ordered = written('ordered.crt', `${cert}\n${authority.cert}`)
    expect((await loadCertificates({ ...good, certFile: ordered })).subject).toBe('CN=localhost')
    const swapped = written('swapped.crt', `${authority.cert}\n${cert}`)
    await expect(loadCertificates({ ...good, certFile: swapped })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: `the key in ${good.keyFile} does not belong to the first certificate in ${swapped}`,
      hint: expect.stringContaining('put that one first'),
    })
  })

  test.each<[string, () => CertificateFiles, RegExp, RegExp]>([
    [
      'no file',
      () => ({ ...good, certFile: join(folder, 'none') }),
      /none cannot be read: ENOENT$/,
      /is there/,
    ],
    [
      'no certificate',
      () => ({ ...good, certFile: good.keyFile }),
      /holds no certificate as PEM$/,
      /openssl x509/,
    ],
    [
      'no key',
      () => ({ ...good, keyFile: good.certFile }),
      /holds no private key as PEM$/,
      /two settings/,
    ],
    [
      'the key of another certificate',
      () => ({ ...good, keyFile: other.keyFile }),
      /does not belong to the first certificate/,
      /change together/,
    ],
    [
      'a damaged certificate',
      () => ({
        ...good,
        certFile: written(
          'damaged.crt',
          '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
        ),
      }),
      /certificate 1 in .*damaged.crt is damaged/,
      /whole/,
    ],
    [
      'a key with a passphrase',
      () => ({
        ...good,
        keyFile: written('locked.key', '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n'),
      }),
      /needs a passphrase$/,
      /openssl pkey/,
    ],
    [
      'an authority file without a certificate',
      () => ({ ...good, caFile: written('empty.crt', '') }),
      /empty.crt holds no certificate/,
      /BEGIN CERTIFICATE/,
    ],
  ])('%s is refused with a sentence and a next step', async (_name, files, message, hint) => {
    await expect(loadCertificates(files())).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    })
  })
})

describe('watched certificates', () => {
  /** Live files, and what an observer of them was told. */
  async function watch(options: { clock?: () => number; intervalMs?: number } = {}) {
    const live = mkdtempSync(join(folder, 'live-'))
    const files = { certFile: join(live, 'tls.crt'), keyFile: join(live, 'tls.key') }
    const put = async (pair: { certFile: string; keyFile: string }) => {
      const { cert, key } = await loadCertificates(pair)
      for (const [path, text] of [
        [files.certFile, cert],
        [files.keyFile, key],
      ] as const) {
        writeFileSync(`${path}.new`, text)
        renameSync(`${path}.new`, path)
      }
    }
    await put(good)
    const reloaded: Certificates[] = []
    const refused: SealtrailError[] = []
    const watched = await WatchedCertificates.open(
      files,
      {
        onReloaded: (certificates) => reloaded.push(certificates),
        onRefused: (problem) => refused.push(problem),
      },
      { clock: Date.now, intervalMs: 3_600_000, ...options },
    )
    onTestFinished(() => watched.close())
    return { files, put, reloaded, refused, watched }
  }

  test('a new pair is in use after a reload, the same one tells nothing', async () => {
    const { put, reloaded, refused, watched } = await watch()
    const before = watched.current.sha256
    await watched.reload()
    expect(reloaded).toEqual([])
    await put(other)
    await watched.reload()
    expect(reloaded.map(({ sha256 }) => sha256)).toEqual([watched.current.sha256])
    expect(watched.current.sha256).not.toBe(before)
    expect(refused).toEqual([])
  })

  test('a broken pair keeps the good one and is told, until the files are good again', async () => {
    const { files, put, reloaded, refused, watched } = await watch()
    const before = watched.current
    const { key } = await loadCertificates(other)
    writeFileSync(files.keyFile, key)
    await watched.reload()
    expect(watched.current).toBe(before)
    expect(refused.map(({ message }) => message)).toEqual([
      expect.stringContaining('does not belong'),
    ])
    expect(watched.problem).toBe(refused[0])
    await put(good)
    await watched.reload()
    expect(watched.problem).toBeUndefined()
    expect(reloaded).toEqual([])
  })

  test('a certificate that has ended, or not begun, is not taken for one that is in force', async () => {
    const { put, reloaded, refused, watched } = await watch()
    const day = 24 * 60 * 60_000
    const ended = await authority.issueFiles(folder, 'ended', {
      commonName: 'localhost',
      notBefore: new Date(Date.now() - 2 * day),
      notAfter: new Date(Date.now() - day),
    })
    await put(ended)
    await watched.reload()
    const future = await authority.issueFiles(folder, 'future', {
      commonName: 'localhost',
      notBefore: new Date(Date.now() + day),
    })
    await put(future)
    await watched.reload()
    expect(refused.map(({ message }) => message)).toEqual([
      expect.stringMatching(/ended on 20/),
      expect.stringMatching(/begins on 20/),
    ])
    expect(reloaded).toEqual([])
  })

  test('files are looked at by themselves: two that change one after the other are no fault', async () => {
    const { files, reloaded, refused, watched } = await watch({ intervalMs: 400 })
    const { cert, key } = await loadCertificates(other)
    writeFileSync(files.certFile, cert)
    // One look comes in between, and sees two files that do not fit.
    await sleep(600)
    writeFileSync(files.keyFile, key)
    await expect.poll(() => reloaded.length, { timeout: 5000 }).toBe(1)
    expect(refused).toEqual([])
    expect(watched.current.cert).toBe(cert)
    writeFileSync(files.keyFile, 'half')
    await expect.poll(() => refused.length, { timeout: 5000 }).toBe(1)
    await sleep(900)
    expect(refused).toHaveLength(1)
    expect(watched.current.cert).toBe(cert)
  })

  test('a link that leads elsewhere is followed, as mounted secrets change', async () => {
    const live = mkdtempSync(join(folder, 'mount-'))
    const certFile = join(live, 'tls.crt')
    const keyFile = join(live, 'tls.key')
    const link = (pair: { certFile: string; keyFile: string }) => {
      for (const [target, path] of [
        [pair.certFile, certFile],
        [pair.keyFile, keyFile],
      ] as const) {
        rmSync(path, { force: true })
        symlinkSync(target, path)
      }
    }
    link(good)
    let reloads = 0
    const watched = await WatchedCertificates.open(
      { certFile, keyFile },
      { onReloaded: () => reloads++, onRefused: () => undefined },
      { clock: Date.now, intervalMs: 3_600_000 },
    )
    onTestFinished(() => watched.close())
    link(other)
    await watched.reload()
    expect(reloads).toBe(1)
  })
})
