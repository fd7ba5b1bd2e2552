import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** Package and exact version of each, in Go's module proxy. */
export const foreignPrograms = {
  witness: 'filippo.io/torchwood/cmd/litewitness@v0.9.0',
  s3Server: 'github.com/versity/versitygw/cmd/versitygw@v1.8.0',
} as const

/**
 * A program that is not ours, out of Go's module proxy, built once a machine into the user's cache folder.
 *
 * @param module path and exact version of its package, `example.com/module/cmd/name@v1.2.3`
 * @throws Error when Go is absent or cannot build it: never a reason to skip a test
 */
export async function buildForeignProgram(module: string): Promise<string> {
  const [path = '', version = ''] = module.split('@')
  const name = path.slice(path.lastIndexOf('/') + 1)
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'sealtrail')
  const program = join(cache, `${name}-${version}`)
  if (existsSync(program)) return program
  const fresh = join(cache, `${name}-${version}.${process.pid}`)
  await mkdir(fresh, { recursive: true })
  try {
    await execute('go', ['install', module], {
      env: { ...process.env, GOBIN: fresh, GOFLAGS: '', GOTOOLCHAIN: 'local' },
      timeout: 540_000,
    })
    await rename(join(fresh, name), program)
  } catch (cause) {
    throw new Error(`Go (1.26 or newer) could not build ${module}: ${String(cause)}`, { cause })
  } finally {
    await rm(fresh, { recursive: true, force: true })
  }
  return program
}
