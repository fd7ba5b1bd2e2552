import { statSync } from 'node:fs'
import { type CertificateFiles, loadCertificates } from '../certificate-files.ts'
import { ControlStatus } from '../control-client.ts'
import { type Check, type Finding, fail, ok, warn } from './check.ts'

/** Below this, clients that check once a day may meet one that has ended. */
const soonMs = 14 * 24 * 60 * 60_000

/** The certificate of the listeners: what is in use while it runs, else what the files hold. */
export const certificate: Check = {
  name: 'certificate',
  async run({ configuration, running }) {
    if (running !== undefined) {
      const status = await running.call(ControlStatus, 'GET', '/control/status')
      if (status.certificate === undefined) return [ok('the listeners speak plain HTTP')]
      const { subject, notAfter, problem } = status.certificate
      const dates = datesFinding(subject, Date.parse(notAfter), Date.now())
      return problem === undefined
        ? [dates]
        : [
            dates,
            fail(
              `the files hold another one, which is not used: ${problem}`,
              'Put a certificate and its key there; it is taken within ten seconds.',
            ),
          ]
    }
    if (configuration === undefined) return []
    const { tls } = configuration
    if (tls === undefined) return [ok('the listeners will speak plain HTTP')]
    const { subject, notAfterMs } = await loadCertificates(tls)
    return [datesFinding(subject, notAfterMs, Date.now()), ...keyFindings(tls)]
  },
}

function datesFinding(subject: string, notAfterMs: number, nowMs: number): Finding {
  const days = Math.floor((notAfterMs - nowMs) / 86_400_000)
  const end = new Date(notAfterMs).toISOString().slice(0, 10)
  if (notAfterMs <= nowMs) {
    return fail(`${subject} ended on ${end}: clients refuse it`, 'Renew it; no restart is needed.')
  }
  if (notAfterMs - nowMs < soonMs) {
    return warn(`${subject} ends on ${end}, in ${days} days`, 'Renew it; no restart is needed.')
  }
  return ok(`${subject} ends on ${end}, in ${days} days`)
}

function keyFindings({ keyFile }: CertificateFiles): Finding[] {
  const mode = statSync(keyFile).mode & 0o777
  if ((mode & 0o004) === 0) return []
  const octal = mode.toString(8)
  return [warn(`${keyFile} can be read by everybody: ${octal}`, `chmod 640 ${keyFile}`)]
}
