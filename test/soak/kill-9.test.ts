import { rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import { temporaryDirectory } from '../fixtures/embedded-ledger.ts'
import { killLedgerRounds, killRounds, seedOfRun } from '../fixtures/kill-rounds.ts'
import { RunningLedger } from '../fixtures/running-ledger.ts'
import { RunningSealtrail } from '../fixtures/running-sealtrail.ts'

/** Kills in all; a twentieth of them with tables, detection and pages. */
const kills = Number(process.env.SEALTRAIL_SOAK_KILLS ?? 500)
const wholeKills = Math.ceil(kills / 20)
/** Each directory is verified at its end, so that what is compared stays small. */
const killsADirectory = 50

test(`kill -9 of the whole at ${wholeKills} random moments`, async () => {
  const sealtrail = await RunningSealtrail.start()
  try {
    const { acknowledged } = await killRounds(sealtrail, wholeKills, seedOfRun())
    process.stdout.write(
      `${wholeKills} kills of the whole, ${acknowledged} acknowledged records, each there once\n`,
    )
    expect(acknowledged).toBeGreaterThan(10 * wholeKills)
  } finally {
    await sealtrail.end()
  }
}, 1_200_000)

test(`kill -9 of what acknowledges at ${kills - wholeKills} random moments`, async () => {
  const seed = seedOfRun()
  let acknowledgedInAll = 0
  for (let done = 0; done < kills - wholeKills; done += killsADirectory) {
    const rounds = Math.min(killsADirectory, kills - wholeKills - done)
    const directory = await temporaryDirectory()
    const ledger = await RunningLedger.start(directory)
    try {
      const { acknowledged } = await killLedgerRounds(ledger, rounds, seed + done)
      acknowledgedInAll += acknowledged
      process.stdout.write(
        `${done + rounds} kills, ${acknowledgedInAll} acknowledged records, each there once\n`,
      )
    } finally {
      await ledger.kill9()
      rmSync(directory, { recursive: true, force: true })
    }
  }
  expect(acknowledgedInAll).toBeGreaterThan(10 * (kills - wholeKills))
}, 3_000_000)
