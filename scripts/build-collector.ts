import { readFile, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../', import.meta.url))
/** The promise of the collector package: it is light enough to sit beside every server. */
export const maxCollectorBytes = 2 * 1024 * 1024

/** Bundles the collectors with a package.json of their own. Returns the size of the program in bytes. */
export async function buildCollector(
  outDirectory = join(root, 'dist', 'collector'),
): Promise<number> {
  const outfile = join(outDirectory, 'sealtrail.mjs')
  await build({
    entryPoints: [join(root, 'cli', 'collector-main.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    minifySyntax: true,
    banner: { js: '#!/usr/bin/env node' },
    logLevel: 'warning',
  })
  const { version, license, engines } = JSON.parse(
    await readFile(join(root, 'package.json'), 'utf8'),
  )
  const manifest = {
    name: 'sealtrail-collector',
    version,
    license,
    engines,
    type: 'module',
    bin: { sealtrail: 'sealtrail.mjs' },
  }
  await writeFile(join(outDirectory, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  const { size } = await stat(outfile)
  if (size > maxCollectorBytes)
    throw new Error(`the collector is ${size} bytes, more than ${maxCollectorBytes}`)
  return size
}

if (process.argv[1] !== undefined && fileURLToPath(import.meta.url) === resolve(process.argv[1])) {
  process.stdout.write(`dist/collector: ${await buildCollector()} bytes\n`)
}
