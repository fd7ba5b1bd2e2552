import { expect, test } from 'vitest'
import { RunningSealtrail, runSealtrail } from '../../fixtures/running-sealtrail.ts'

test('a second Sealtrail on a directory is refused with a sentence, and takes it over when the first was killed', async () => {
  const first = await RunningSealtrail.start()
  const second = () =>
    runSealtrail(['up', '--data', first.directory, '--port', '0', '--otlp-port', '0', '--no-web'])
  try {
    const refused = await second()
    expect(refused.stderr).toMatch(/process \d+ uses .*DIRECTORY_LOCKED/)
    expect(refused.stderr).toMatch(/Stop it first/)
    expect(refused.code).toBe(2)
    // Reading is refused too: what is written meanwhile looks damaged.
    const offline = await first.command(['verify', '--offline'])
    expect(offline.stderr).toMatch(/DIRECTORY_LOCKED/)
    await first.kill9()
    await first.restart()
    expect((await first.command(['verify'])).stdout).toMatch(/OK {2}_system/)
  } finally {
    await first.end()
  }
})
