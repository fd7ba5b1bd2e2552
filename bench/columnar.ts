import { createHash, randomUUID } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { Assembler } from '../analytics/fold/assembler.ts'
import { insertCalls } from '../analytics/store/call-projection.ts'
import { type ColumnarClient, openColumnarClient } from '../analytics/store/columnar-client.ts'
import { startColumnarProcess } from '../analytics/store/columnar-process.ts'
import { encodeBatch, insertBatch } from '../analytics/store/leaf-batch.ts'
import { migrate } from '../analytics/store/migrate.ts'
import type { CommittedLeaf } from '../ledger/committed.ts'
import { sha256 } from '../ledger/sha256.ts'
import { hex, utf8 } from '../schemas/bytes.ts'
import { EventFields, type RecordedEvent } from '../schemas/event/event.ts'
import { timestampFromMs } from '../schemas/event/timestamp.ts'
import { canonicalJson } from '../schemas/leaf/canonical-json.ts'
import { leafHash } from '../schemas/tlog/merkle.ts'
import { benchEvent } from './workload.ts'

/**
 * `npx tsx bench/columnar.ts [--events 200000] [--batch 8192] [--settle 20]`: microseconds of CPU that the columnar
 * engine and its feeder spend on an event: rows of observations, rows of calls with their rollup, and the merges that
 * follow for `settle` seconds. Prints disk and memory too.
 */
const { values: flags } = parseArgs({
  options: {
    events: { type: 'string', default: '200000' },
    batch: { type: 'string', default: '8192' },
    settle: { type: 'string', default: '20' },
    profile: { type: 'boolean', default: false },
  },
})
const events = Number(flags.events)
const batchRows = Number(flags.batch)
const startMs = Date.parse('2026-11-26T00:00:00Z')

const directory = await mkdtemp(join(tmpdir(), 'sealtrail-columnar-bench-'))
const columnar = await startColumnarProcess({
  directory,
  password: randomUUID(),
  diskKey: 'a5'.repeat(32),
  memoryLimitBytes: 1024 ** 3,
  logger: pino({ level: 'silent' }),
})
const client = openColumnarClient(columnar)
const print = (text: string) => process.stdout.write(`${text}\n`)
try {
  await migrate({ client })
  const pid = columnar.pid ?? 0
  const assembler = new Assembler()
  const spent = { encode: 0, observations: 0, calls: 0, merges: 0 }
  const started = cpuMs(pid)
  for (let from = 0; from < events; from += batchRows) {
    const leaves = Array.from({ length: Math.min(batchRows, events - from) }, (_, at) =>
      committed(from + at),
    )
    const before = process.cpuUsage()
    for (let at = 0; at < leaves.length; ) {
      const batch = await encodeBatch('epoch', 'main', leaves.slice(at))
      if (batch === undefined) break
      at += batch.untilIndex - batch.fromIndex
      spent.encode += microseconds(before) / 1000
      const engine = cpuMs(pid)
      await insertBatch(client, batch, {})
      spent.observations += cpuMs(pid) - engine
    }
    const changes = leaves.flatMap((leaf) => assembler.observe(leaf))
    const until = from + leaves.length
    const engine = cpuMs(pid)
    await insertCalls(
      client,
      'epoch',
      { logId: 'main', from, until, changes },
      AbortSignal.timeout(60_000),
      () => undefined,
    )
    spent.calls += cpuMs(pid) - engine
  }
  const inserted = cpuMs(pid)
  await sleep(Number(flags.settle) * 1000)
  spent.merges = cpuMs(pid) - inserted
  const perEvent = (ms: number) => ((ms * 1000) / events).toFixed(1)
  print(
    `machine: ${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}; ${events} events of ${Buffer.byteLength(JSON.stringify(benchEvent(1)))} bytes in batches of ${batchRows}`,
  )
  print(
    `engine, CPU an event: ${perEvent(cpuMs(pid) - started)} us; while observations were inserted ${perEvent(spent.observations)} us, while calls were ${perEvent(spent.calls)} us, ${flags.settle} s of merges afterwards ${perEvent(spent.merges)} us`,
  )
  print(`rows of observations, encoded: ${perEvent(spent.encode)} us`)
  print(`memory of the engine: ${rssMib(pid)} MiB`)
  for (const table of ['observations', 'calls', 'calls_per_minute']) {
    const [row] = await client.query<{ parts: string; bytes: string }>(
      'SELECT count() AS parts, sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND database = currentDatabase() AND table = {table:String}',
      { table },
      { readOnly: false },
    )
    print(
      `${table}: ${(Number(row?.bytes) / events).toFixed(0)} bytes an event in ${row?.parts} parts`,
    )
  }
  if (flags.profile) await columnSizes(client)
} finally {
  await client.close()
  await columnar.stop()
  rmSync(directory, { recursive: true, force: true })
}

/** An event as the sequencer commits it: ids and hashes are as random as they are there. */
function committed(index: number): CommittedLeaf {
  const at = timestampFromMs(startMs + index / 10)
  const { 'time.occurred': _sent, ...wire }: Record<string, unknown> = { ...benchEvent(index) }
  const event: RecordedEvent = {
    ...EventFields.parse(wire),
    'event.class': 'tool_call',
    'event.id': randomUUID(),
    'event.schema_version': 1,
    'log.id': 'main',
    'record.disposition': 'mapped',
    'mapping.id': 'native@1',
    'time.occurred': at,
    'time.observed': at,
    'time.recorded': at,
    'time.source': 'source',
    'source.id': 'bench',
    'source.format': 'native',
    'source.numbering': 'receiver',
    'source.seq': index,
    'arguments.hash': hashOf(wire['gen_ai.tool.call.arguments']),
    'arguments.size_bytes': 96,
    'result.hash': hashOf(wire['gen_ai.tool.call.result']),
    'result.size_bytes': 490,
  }
  const leaf = utf8(canonicalJson({ 'event.id': event['event.id'] }))
  return { logId: 'main', index, leaf, leafHash: leafHash(sha256, leaf), event, opened: 'full' }
}

function hashOf(value: unknown): string {
  return hex(createHash('sha256').update(JSON.stringify(value)).digest())
}

async function columnSizes(store: ColumnarClient): Promise<void> {
  const rows = await store.query<{ what: string; bytes: string }>(
    `SELECT concat(table, '.', name) AS what, data_compressed_bytes + marks_bytes AS bytes FROM system.columns
WHERE database = currentDatabase() AND bytes > 0
UNION ALL SELECT concat(table, '.', name, ' (index)') AS what, data_compressed_bytes + marks_bytes AS bytes
FROM system.data_skipping_indices WHERE database = currentDatabase()
ORDER BY bytes DESC LIMIT 30`,
    {},
    { readOnly: false },
  )
  for (const { what, bytes } of rows)
    print(`${what.padEnd(60)} ${(Number(bytes) / events).toFixed(2)}`)
}

function microseconds(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return user + system
}

/** CPU of a process so far, in milliseconds (Linux: 100 ticks a second). */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

function rssMib(pid: number): number {
  return Math.round(
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024,
  )
}
