import { setTimeout as sleep } from 'node:timers/promises'
import type { LedgerReader } from '../../ledger/committed.ts'
import type { RebuildProgress, RebuildResult, RebuildState } from '../../schemas/api/integrity.ts'
import type { ColumnarClient } from './columnar-client.ts'
import type { Projector } from './projector.ts'
import { rebuild } from './rebuild.ts'

export interface RebuilderParts {
  readonly client: ColumnarClient
  readonly reader: LedgerReader
  readonly projector: Projector
  /** Compares what people read after the exchange. */
  readonly compare: () => Promise<RebuildResult['logs']>
}

const progressEveryMs = 250

/** The rebuild of a Sealtrail that runs: one at a time, whoever asks. */
export class Rebuilder {
  private readonly parts: RebuilderParts
  private readonly closing = new AbortController()
  private running: Promise<RebuildResult> | undefined
  private progress: RebuildState | null = null

  constructor(parts: RebuilderParts) {
    this.parts = parts
  }

  /** How far it is; null when none runs. */
  get state(): RebuildState | null {
    return this.progress
  }

  /**
   * Begins a rebuild, or joins the one that runs, and tells how far it is until it is done. It goes on when nobody
   * listens any more.
   *
   * @throws SealtrailError `STORE_UNAVAILABLE`; what people read is untouched then
   */
  async *follow(): AsyncIterable<RebuildProgress> {
    const running = this.run()
    const waiting = new AbortController()
    const done = running.finally(() => waiting.abort()).catch(() => undefined)
    while (!waiting.signal.aborted) {
      if (this.progress !== null) yield { kind: 'progress', ...this.progress }
      await sleep(progressEveryMs, undefined, { signal: waiting.signal }).catch(() => undefined)
    }
    await done
    yield await running
  }

  async stop(): Promise<void> {
    this.closing.abort()
    await this.running?.catch(() => undefined)
  }

  private run(): Promise<RebuildResult> {
    this.running ??= this.rebuild().finally(() => {
      this.running = undefined
      this.progress = null
    })
    return this.running
  }

  private async rebuild(): Promise<RebuildResult> {
    const { client, reader, projector, compare } = this.parts
    this.progress = { logId: '', done: 0, total: 0 }
    await rebuild({
      client,
      reader,
      projector,
      onProgress: (progress) => {
        this.progress = progress
      },
      signal: this.closing.signal,
    })
    return { kind: 'result', logs: await compare() }
  }
}
