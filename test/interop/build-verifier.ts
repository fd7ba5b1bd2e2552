import { execFile } from 'node:child_process'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const source = join(import.meta.dirname, 'verifier')
const target = join(import.meta.dirname, '../../.servers/go-verifier')

/**
 * Builds the verifier of `verifier/` with Go and returns the path of its program. Go's build cache makes every build
 * but the first one take under a second.
 *
 * @param go the Go command
 * @throws Error when Go is absent, too old, or the verifier does not compile: never a reason to skip a test
 */
export async function buildGoVerifier(go = 'go'): Promise<string> {
  await mkdir(target, { recursive: true })
  const program = join(target, process.platform === 'win32' ? 'verify.exe' : 'verify')
  // Built under a name of its own, then renamed: test files in other processes may be running the program.
  const fresh = `${program}.${process.pid}`
  try {
    await execute(go, ['build', '-trimpath', '-o', fresh, '.'], {
      cwd: source,
      env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly', GOTOOLCHAIN: 'local' },
      timeout: 240_000,
    })
    await rename(fresh, program)
  } catch (cause) {
    await rm(fresh, { force: true })
    if (isMissing(cause)) {
      throw new Error(
        `The interop tests build an independent verifier with Go 1.26 or newer, and the command "${go}" was not found: install Go from https://go.dev/dl and put it on the PATH.`,
        { cause },
      )
    }
    throw new Error(`Go could not build test/interop/verifier: ${String(cause)}`, { cause })
  }
  return program
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
