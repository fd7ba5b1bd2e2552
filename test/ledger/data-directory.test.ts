import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { dataPaths, lockDataDirectory } from '../../ledger/data-directory.ts'
import { temporaryDirectory } from '../fixtures/embedded-ledger.ts'

let directory: string
beforeEach(async () => {
  directory = await temporaryDirectory()
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const lockPath = () => join(directory, 'lock')
/** No process has this id: it is above the largest that Linux gives. */
const dead = JSON.stringify({ pid: 2 ** 22 + 1, started: null })
const locked = { code: 'DIRECTORY_LOCKED' }

describe('the lock of a data directory', () => {
  test('is held by one, until it is released', async () => {
    const release = await lockDataDirectory(directory)
    await expect(lockDataDirectory(directory)).rejects.toMatchObject(locked)
    release()
    expect(existsSync(lockPath())).toBe(false)
    ;(await lockDataDirectory(directory))()
  })

  test.each([
    ['a process that is gone', dead],
    [
      'a process whose id another one has now',
      JSON.stringify({ pid: process.pid, started: '0/1' }),
    ],
    ['nobody, after a power cut', ''],
  ])('is taken over from %s', async (_name, text) => {
    writeFileSync(lockPath(), text)
    const release = await lockDataDirectory(directory)
    expect(readFileSync(lockPath(), 'utf8')).toContain(`"pid":${process.pid}`)
    release()
  })

  test('is not taken over from a process of another container, which answers on its socket', async () => {
    writeFileSync(lockPath(), dead)
    const server = createServer().listen(dataPaths(directory).controlSocket)
    await new Promise((resolve) => server.once('listening', resolve))
    await expect(lockDataDirectory(directory)).rejects.toMatchObject(locked)
    await new Promise((resolve) => server.close(resolve))
    ;(await lockDataDirectory(directory))()
  })

  test('of two that take it over from a dead one, the one whose lock was removed again has lost', async () => {
    writeFileSync(lockPath(), dead)
    const taking = lockDataDirectory(directory)
    const lost = expect(taking).rejects.toMatchObject(locked)
    for (const end = Date.now() + 2000; Date.now() < end; ) {
      if (readFileSync(lockPath(), 'utf8').includes(`"pid":${process.pid}`)) break
      await new Promise((resolve) => setImmediate(resolve))
    }
    // As the other one does, which read the dead lock before ours was made.
    const other = JSON.stringify({ pid: 1, started: null })
    writeFileSync(lockPath(), other)
    await lost
    expect(readFileSync(lockPath(), 'utf8')).toBe(other)
  })

  test("is not removed by a release when it is somebody else's", async () => {
    const release = await lockDataDirectory(directory)
    writeFileSync(lockPath(), dead)
    release()
    expect(existsSync(lockPath())).toBe(true)
  })
})
