import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type ColumnarClient, openColumnarClient } from '../../analytics/store/columnar-client.ts'
import { startColumnarProcess } from '../../analytics/store/columnar-process.ts'
import { migrate } from '../../analytics/store/migrate.ts'
import { openProjector } from '../../analytics/store/projector.ts'
import { rebuild } from '../../analytics/store/rebuild.ts'
import { firstBadFinding, firstBadMinute, reconcile } from '../../analytics/store/reconcile.ts'
import { verifyLog } from '../../ledger/verify/verify-log.ts'
import { hex } from '../../schemas/bytes.ts'
import { openEmbeddedLedger, temporaryDirectory } from '../fixtures/embedded-ledger.ts'

const golden = fileURLToPath(new URL('./data', import.meta.url))
const expected = z
  .object({
    logs: z.array(
      z.object({
        logId: z.string(),
        treeSize: z.number(),
        root: z.string(),
        checkpoints: z.array(z.number()),
        verifierKey: z.string(),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(join(golden, 'expected.json'), 'utf8')))

let directory: string
let ledger: Awaited<ReturnType<typeof openEmbeddedLedger>>

beforeAll(async () => {
  directory = await temporaryDirectory()
  cpSync(golden, directory, { recursive: true })
  ledger = await openEmbeddedLedger(directory)
})
afterAll(async () => {
  await ledger?.close()
  rmSync(directory, { recursive: true, force: true })
})

/** Every row of every table is what the ledger says. */
async function expectEqual(client: ColumnarClient): Promise<void> {
  for (const { logId } of expected.logs) {
    const until = await ledger.reader.size(logId)
    const callsUntil = logId === '_system' ? 0 : until
    expect(await reconcile({ client, reader: ledger.reader, logId, until, callsUntil })).toEqual({
      logId,
      checkedUntil: until,
    })
    expect(await firstBadMinute(client, logId)).toBeUndefined()
    expect(await firstBadFinding(client, logId)).toBeUndefined()
  }
}

/** The tables as the first release made them. */
function firstMigrations(under: string): URL {
  const from = new URL('../../analytics/store/migrations/', import.meta.url)
  const folder = join(under, 'first-migrations')
  mkdirSync(folder)
  for (const name of readdirSync(from).sort().slice(0, 3)) {
    cpSync(fileURLToPath(new URL(name, from)), join(folder, name))
  }
  return pathToFileURL(`${folder}/`)
}

/** What an earlier version wrote is opened, verified and rebuilt by this one. */
describe('the golden data directory', () => {
  test.each(expected.logs)(
    'log $logId has the size, root and key that it had',
    async ({ logId, treeSize, root, verifierKey }) => {
      expect(ledger.sequencer.tree(logId).size).toBe(treeSize)
      expect(hex(ledger.sequencer.root(logId))).toBe(root)
      expect(await ledger.signer.verifierKey(logId)).toBe(verifierKey)
    },
  )

  test.each(expected.logs)(
    'log $logId verifies, with every payload opened',
    async ({ logId, treeSize, checkpoints, verifierKey }) => {
      const steps = verifyLog({
        logId,
        storage: ledger.storage,
        payloads: ledger.payloads,
        keyring: ledger.keyring,
        verifierKey,
        lastSigned: () => ledger.signer.lastSigned(logId),
      })
      let step = await steps.next()
      while (!step.done) step = await steps.next()
      expect(step.value).toMatchObject({
        treeSize,
        checkpoints: checkpoints.length,
        erased: 0,
        firstProblem: undefined,
      })
      expect(step.value.payloads).toBeGreaterThan(0)
    },
  )

  test('every event opens to what was put in', async () => {
    const seen = { classes: new Set<string>(), scopes: 0, gaps: 0, rejected: 0 }
    for await (const leaves of ledger.reader.read('main', 0, await ledger.reader.size('main'))) {
      for (const { event, opened } of leaves) {
        expect(opened).toBe('full')
        seen.classes.add(event['event.class'])
        seen.scopes = Math.max(seen.scopes, event['auth.scopes.granted']?.length ?? 0)
        if (event['source.signal'] === 'gap') seen.gaps += event['source.missing'] ?? 0
        if (event['record.disposition'] === 'rejected') seen.rejected++
      }
    }
    expect(seen).toMatchObject({ scopes: 200, gaps: 2, rejected: 1 })
    expect(seen.classes.size).toBe(20)
  })

  test('the sequencer goes on where it stopped: numbers are remembered, and the signer signs', async () => {
    expect(ledger.sequencer.committedMarks('main', 'gateway')[0]).toEqual({ epoch: 'e1', seq: 3 })
    expect(ledger.sequencer.committedPositions()).toEqual([
      { topic: 't', incarnation: 'i', partition: 0, offset: '7' },
    ])
    await ledger.sequencer.tick()
    await ledger.sequencer.publishCheckpoints()
    expect(ledger.errors).toEqual([])
  })

  test('a columnar store of the first release is brought up to date, and made anew, equal to the ledger', async () => {
    const columnar = await startColumnarProcess({
      directory: join(directory, 'columnar'),
      password: 'golden',
      diskKey: '11'.repeat(32),
      memoryLimitBytes: 1024 ** 3,
      logger: pino({ level: 'silent' }),
    })
    const client = openColumnarClient({
      url: columnar.url,
      user: columnar.user,
      password: 'golden',
    })
    try {
      const { reader } = ledger
      await migrate({ client, folder: firstMigrations(directory) })
      await rebuild({ client, reader })
      const applied = await migrate({ client })
      expect(applied[0]).toBe(4)
      // As a start does: what a migration took out is written again.
      const projector = openProjector({
        client,
        reader,
        logIds: expected.logs.map(({ logId }) => logId),
        logger: pino({ level: 'silent' }),
        clock: () => performance.now(),
      })
      for (const { logId } of expected.logs) {
        expect(await projector.waitUntil(logId, await reader.size(logId), 20_000)).toBe(true)
      }
      await expectEqual(client)
      await rebuild({ client, reader, projector })
      await expectEqual(client)
      await projector.close()
    } finally {
      await client.close()
      await columnar.stop()
    }
  })
})
