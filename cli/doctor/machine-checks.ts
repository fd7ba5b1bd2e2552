import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { ControlStatus } from '../control-client.ts'
import { systemErrorCode } from '../system-error.ts'
import { dashboardIsStale } from '../web-process.ts'
import { type Check, type Examined, type Finding, fail, ok, warn } from './check.ts'

/** Node.js, the C library that the engine needs, and the pages. */
export const runtime: Check = {
  name: 'runtime',
  async run() {
    const findings: Finding[] = []
    const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
    const node = `Node.js ${process.versions.node} on ${process.platform} ${process.arch}`
    if (major < 20 || (major === 20 && minor < 19))
      findings.push(fail(node, 'Install Node.js 20.19 or later: 20, 22 or 24.'))
    else if (major % 2 === 1)
      findings.push(warn(node, 'Odd versions get no long support: use 20, 22 or 24.'))
    else findings.push(ok(node))
    if (process.platform === 'linux') {
      const glibc = glibcVersion()
      findings.push(
        glibc === undefined
          ? fail(
              'the C library is not glibc',
              'The engine of the columnar store needs glibc: use a Debian image, not Alpine.',
            )
          : ok(`glibc ${glibc}`),
      )
    }
    findings.push(
      dashboardIsStale()
        ? warn(
            'the dashboard is not built, or older than its sources',
            'The next start builds it, in about half a minute; npm run build does it before.',
          )
        : ok('the dashboard is built'),
    )
    return findings
  },
}

/** Version of glibc; undefined where the C library is another one. */
function glibcVersion(): string | undefined {
  const report: unknown = process.report.getReport()
  const header: unknown =
    typeof report === 'object' && report !== null && 'header' in report ? report.header : undefined
  if (typeof header !== 'object' || header === null || !('glibcVersionRuntime' in header))
    return undefined
  return String(header.glibcVersionRuntime)
}

/** Each is ours already, or free. */
export const ports: Check = {
  name: 'ports',
  async run({ configuration, running }: Examined) {
    if (running !== undefined) {
      const { origin, otlpOrigin } = await running.call(ControlStatus, 'GET', '/control/status')
      return [ok(`this Sealtrail listens on ${origin} and ${otlpOrigin}`)]
    }
    if (configuration === undefined) return []
    const { host } = configuration
    return Promise.all(
      (
        [
          ['--port', configuration.port],
          ['--otlp-port', configuration.otlpPort],
        ] as const
      ).map(async ([flag, port]) => {
        if (port === 0) return ok(`${flag}: any free port`)
        const code = await refusalOf(host, port)
        if (code === undefined) return ok(`${flag}: ${host} port ${port} is free`)
        return fail(
          `${flag}: ${host} port ${port} cannot be listened on: ${code}`,
          code === 'EADDRINUSE'
            ? `Another program listens there. Choose another port with ${flag}.`
            : 'Check SEALTRAIL_HOST, and whether this user may use that port.',
        )
      }),
    )
  },
}

function refusalOf(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error) => resolve(systemErrorCode(error) ?? String(error)))
    server.listen({ host, port }, () => server.close(() => resolve(undefined)))
  })
}

/** Bounds of the system for this user. */
export const limits: Check = {
  name: 'limits',
  async run() {
    if (process.platform !== 'linux') return []
    const files = /^Max open files\s+(\d+|unlimited)/m.exec(
      readFileSync('/proc/self/limits', 'utf8'),
    )?.[1]
    if (files === undefined) return []
    const count = files === 'unlimited' ? Number.POSITIVE_INFINITY : Number(files)
    const what = `${files} open files at most`
    const next = 'Raise it: ulimit -n 65536, or LimitNOFILE=65536 in a systemd unit.'
    return [count < 1024 ? fail(what, next) : count < 4096 ? warn(what, next) : ok(what)]
  },
}
