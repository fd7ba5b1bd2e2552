import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { formatSourceSecret } from '../schemas/source-key.ts'
import {
  bundledCollector,
  publishedServer,
  tapEnvironment,
} from '../test/fixtures/mcp/tap-process.ts'

/**
 * What the tap adds to a call: the official client on the published server, direct and through the tap, in turns of
 * one call each so that the load of the machine falls on both alike.
 */
const calls = Number(process.argv[2] ?? 2000)
const collector = await bundledCollector()
const secret = formatSourceSecret({ id: 'bench', secret: randomBytes(32) })
// A process of its own, so that its work does not stand in the times of the client.
const receiver = spawn(
  process.execPath,
  [
    '-e',
    `let calls = 0
const server = require('node:http').createServer((request, response) => {
  let body = ''
  request.on('data', (chunk) => { body += chunk })
  request.on('end', () => {
    calls += body.split('"event.class":"tool_call"').length - 1
    const self = '{"token_key":"${randomBytes(32).toString('base64')}"}'
    response.end(request.url === '/calls' ? String(calls) : self)
  })
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))`,
  ],
  { stdio: ['ignore', 'pipe', 'inherit'] },
)
const [port] = await once(receiver.stdout, 'data')
const url = `http://127.0.0.1:${String(port).trim()}`
const folder = mkdtempSync(join(tmpdir(), 'sealtrail-latency-'))
const server = [publishedServer('everything'), 'stdio']

const direct = await connect(server)
const tapped = await connect(
  [collector, 'tap', '--server', 'everything', '--url', url, '--spool', folder].concat([
    '--',
    process.execPath,
    ...server,
  ]),
)
const times = { direct: [] as number[], tapped: [] as number[] }
for (let i = -100; i < calls; i++) {
  for (const [name, client] of [
    ['direct', direct],
    ['tapped', tapped],
  ] as const) {
    const started = performance.now()
    await client.callTool({ name: 'echo', arguments: { message: `call ${i}` } })
    if (i >= 0) times[name].push(performance.now() - started)
  }
}
await Promise.all([direct.close(), tapped.close()])
const recorded = Number(await (await fetch(new URL('/calls', url))).text())
receiver.kill()

const line = (name: string, p: (share: number) => number) =>
  `${name.padEnd(8)} p50 ${p(0.5).toFixed(3)} ms   p99 ${p(0.99).toFixed(3)} ms\n`
process.stdout.write(`${calls} calls each after 100 to warm up, ${recorded} on the record\n`)
process.stdout.write(line('direct', (share) => quantile(times.direct, share)))
process.stdout.write(line('tapped', (share) => quantile(times.tapped, share)))
process.stdout.write(
  line('added', (share) => quantile(times.tapped, share) - quantile(times.direct, share)),
)

async function connect(args: string[]): Promise<Client> {
  const client = new Client({ name: 'bench', version: '1' })
  await client.connect(
    new StdioClientTransport({
      command: process.execPath,
      args,
      env: tapEnvironment({ SEALTRAIL_SOURCE_SECRET: secret }),
      stderr: 'ignore',
    }),
  )
  return client
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}
