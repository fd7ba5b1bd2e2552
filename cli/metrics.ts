import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { ReceiverCounts } from '../ingest/receivers/receiver-deps.ts'
import type { Core } from './core.ts'

/** Prometheus metrics of this process. No label ever holds log content. */
export class Metrics {
  readonly registry = new Registry()
  private readonly records = new Counter({
    name: 'sealtrail_received_records_total',
    help: 'Records received, by receiver and what became of them',
    labelNames: ['receiver', 'disposition'],
    registers: [this.registry],
  })
  private readonly bytes = new Counter({
    name: 'sealtrail_received_bytes_total',
    help: 'Bytes of request bodies, by receiver',
    labelNames: ['receiver'],
    registers: [this.registry],
  })
  private readonly requests = new Histogram({
    name: 'sealtrail_http_request_duration_seconds',
    help: 'Time to answer, by route and status',
    labelNames: ['route', 'status'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers: [this.registry],
  })

  constructor(core: Core) {
    const logIds = [core.api.logId, '_system']
    const gauges = [
      [
        'sealtrail_ledger_leaves',
        'Leaves that are durable',
        (logId: string) => core.api.tree(logId).size,
      ],
      [
        'sealtrail_indexed_leaves',
        'Leaves in the columnar store',
        (logId: string) => core.api.indexed(logId),
      ],
      [
        'sealtrail_judged_leaves',
        'Leaves that the detectors have passed',
        (logId: string) => core.api.judged(logId),
      ],
    ] as const
    for (const [name, help, read] of gauges) {
      new Gauge({
        name,
        help,
        labelNames: ['log'],
        registers: [this.registry],
        collect() {
          for (const logId of logIds) this.set({ log: logId }, read(logId))
        },
      })
    }
    new Gauge({
      name: 'sealtrail_bus_lag_batches',
      help: 'Batches accepted and not yet durable',
      registers: [this.registry],
      async collect() {
        this.set(await core.lag())
      },
    })
    new Gauge({
      name: 'sealtrail_resident_bytes',
      help: 'Resident memory of the core process',
      registers: [this.registry],
      collect() {
        this.set(process.memoryUsage.rss())
      },
    })
  }

  readonly onCounted = (counts: ReceiverCounts): void => {
    for (const disposition of ['mapped', 'unmapped', 'rejected', 'duplicates'] as const) {
      this.records.inc({ receiver: counts.receiver, disposition }, counts[disposition])
    }
    this.bytes.inc({ receiver: counts.receiver }, counts.bodyBytes)
  }

  answered(route: string, status: number, seconds: number): void {
    this.requests.observe({ route, status: String(status) }, seconds)
  }
}
