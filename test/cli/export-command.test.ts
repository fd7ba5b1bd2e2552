import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ControlClient } from '../../cli/control-client.ts'
import { exportCommand } from '../../cli/export-command.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealtrail-export-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

test('a folder that cannot be made is refused before anything is asked of the server', async () => {
  await writeFile(join(folder, 'file'), '')
  // Nobody listens there: reaching for it would be another error.
  const client = new ControlClient(join(folder, 'no.sock'))
  const flags = { from: '2026-11-01', to: '2026-12-01', query: '' }
  for (const [out, why] of [
    ['/proc/nope', /cannot be made/],
    [join(folder, 'absent', 'bundle'), /cannot be made: ENOENT/],
    [join(folder, 'file'), /cannot be made: ENOTDIR/],
    [folder, /is not empty/],
  ] as const) {
    await expect(exportCommand({ ...flags, out }, client), out).rejects.toThrow(why)
  }
})
