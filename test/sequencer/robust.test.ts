import { rmSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import type { BusMessage } from '../../ingest/bus/event-bus.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import {
  aToolCall,
  type Interposer,
  openEmbeddedLedger,
  temporaryDirectory,
} from '../fixtures/embedded-ledger.ts'

const directories: string[] = []
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})
async function directory(): Promise<string> {
  const path = await temporaryDirectory()
  directories.push(path)
  return path
}

let offset = 0
function message(events: readonly ObservedEvent[], sourceId = 'gateway'): BusMessage {
  return {
    position: { topic: 't', incarnation: 'i', partition: 0, offset: String(offset++) },
    batch: {
      version: 1,
      logId: 'main',
      sourceId,
      requestDigest: `request-${offset}`,
      firstOrdinal: 0,
      requestCount: events.length,
      events,
    },
  }
}

describe('hostile', () => {
  test('an epoch that has no UTF-8', async () => {
    const ledger = await openEmbeddedLedger(await directory())
    await ledger.sequencer.handle([
      message([aToolCall({ 'source.epoch': '\ud800', 'source.seq': 0 }), aToolCall()]),
    ])
    expect(await ledger.reader.size('main')).toBe(2)
    await ledger.close()
  })
})
void 0 as unknown as Interposer
