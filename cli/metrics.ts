import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { ReceiverCounts } from '../ingest/receivers/receiver-deps.ts'
import type { WatchedCertificates } from './certificate-files.ts'
import type { Core } from './core.ts'
import { version } from './version.ts'

/**
 * Prometheus metrics of this process, with those of Node.js that every Prometheus client has (memory, CPU, event loop).
 * No label ever holds log content.
 */
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

  constructor(core: Core, certificates?: WatchedCertificates) {
    collectDefaultMetrics({ register: this.registry })
    new Gauge({
      name: 'sealtrail_build_info',
      help: 'Always 1; the version stands in the label',
      labelNames: ['version'],
      registers: [this.registry],
    }).set({ version }, 1)
    if (certificates !== undefined) this.certificates(certificates)
    const logIds = [core.api.logId, '_system']
    const gauges = [
      [
        'sealtrail_ledger_leaves',
        'Leaves that are durable',
        (logId: string) => core.api.tree(logId).size,
      ],
      [
        'sealtrail_published_leaves',
        'Leaves under a signed checkpoint',
        async (logId: string) => (await core.api.signer.lastSigned(logId))?.size ?? 0,
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
      [
        'sealtrail_witnessed_leaves',
        'Leaves that an anchor outside holds, or a quorum of witnesses cosigned',
        (logId: string) => core.api.anchoring(logId).witnessedSize,
      ],
      [
        'sealtrail_anchor_contradicts',
        '1 where an anchor contradicts the log, so that nothing more is signed, else 0',
        (logId: string) => (core.api.anchoring(logId).contradiction === null ? 0 : 1),
      ],
      [
        'sealtrail_projection_different',
        '1 where the rows of the columnar store differ from the ledger, else 0',
        (logId: string) => (core.api.projection(logId).state === 'different' ? 1 : 0),
      ],
    ] as const
    for (const [name, help, read] of gauges) {
      new Gauge({
        name,
        help,
        labelNames: ['log'],
        registers: [this.registry],
        async collect() {
          for (const logId of logIds) this.set({ log: logId }, await read(logId))
        },
      })
    }
    new Gauge({
      name: 'sealtrail_anchor_lag_leaves',
      help: 'Leaves of a log that an anchor does not cover yet',
      labelNames: ['log', 'anchor'],
      registers: [this.registry],
      collect() {
        for (const logId of logIds) {
          const size = core.api.tree(logId).size
          for (const { kind, target, coveredSize } of core.api.anchoring(logId).anchors)
            this.set({ log: logId, anchor: `${kind} ${target}` }, size - coveredSize)
        }
      },
    })
    new Gauge({
      name: 'sealtrail_bus_lag_batches',
      help: 'Batches accepted and not yet durable',
      registers: [this.registry],
      async collect() {
        this.set(await core.lag())
      },
    })
    const machine = [
      [
        'sealtrail_disk_free_bytes',
        'Bytes free on the disk of the data directory',
        () => core.disk.room?.freeBytes ?? Number.NaN,
      ],
      [
        'sealtrail_disk_reserve_bytes',
        'Bytes free below which no records are taken',
        () => core.disk.room?.reserveBytes ?? Number.NaN,
      ],
      [
        'sealtrail_disk_low_bytes',
        'Bytes free below which somebody should make room',
        () => core.disk.room?.lowBytes ?? Number.NaN,
      ],
      [
        'sealtrail_clock_refused_step_seconds',
        'Seconds by which the clock of the machine jumped and is not followed, else 0',
        () => {
          core.steadyClock.now()
          return core.steadyClock.refusedStepMs / 1000
        },
      ],
    ] as const
    for (const [name, help, read] of machine) {
      new Gauge({
        name,
        help,
        registers: [this.registry],
        collect() {
          this.set(read())
        },
      })
    }
    new Gauge({
      name: 'sealtrail_columnar_up',
      help: '1 while the columnar store answers, else 0',
      registers: [this.registry],
      collect() {
        this.set(core.api.columnarState() === 'ready' ? 1 : 0)
      },
    })
  }

  private certificates(watched: WatchedCertificates): void {
    new Gauge({
      name: 'sealtrail_certificate_expiry_timestamp_seconds',
      help: 'When the certificate in use ends, Unix time',
      labelNames: ['certificate'],
      registers: [this.registry],
      collect() {
        this.set({ certificate: 'listeners' }, Math.floor(watched.current.notAfterMs / 1000))
      },
    })
    new Gauge({
      name: 'sealtrail_certificate_reload_failed',
      help: '1 while the certificate files hold something that cannot be used, and the former ones stay in use, else 0',
      labelNames: ['certificate'],
      registers: [this.registry],
      collect() {
        this.set({ certificate: 'listeners' }, watched.problem === undefined ? 0 : 1)
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
