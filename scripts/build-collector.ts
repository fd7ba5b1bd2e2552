import { readFile, stat, writeFile } from 'node:fs/promises'
import { build } from 'esbuild'

const root = new URL('../', import.meta.url)
const outDirectory = new URL('dist/collector/', root)
/** The promise of the collector package: it is light enough to sit beside every server. */
export const maxCollectorBytes = 2 * 1024 * 1024

/** Bundles the collectors to dist/collector with a package.json of their own. */
export async function buildCollector(): Promise<number> {
  const outfile = new URL('sealtrail.mjs', outDirectory)
  await build({
    entryPoints: [new URL('cli/collector-main.ts', root).pathname],
    outfile: outfile.pathname,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    minifySyntax: true,
    banner: { js: '#!/usr/bin/env node' },
    logLevel: 'warning',
  })
  const { version, license, engines } = JSON.parse(
    await readFile(new URL('package.json', root), 'utf8'),
  )
  const manifest = {
    name: 'sealtrail-collector',
    version,
    license,
    engines,
    type: 'module',
    bin: { sealtrail: 'sealtrail.mjs' },
  }
  await writeFile(new URL('package.json', outDirectory), `${JSON.stringify(manifest, null, 2)}\n`)
  const { size } = await stat(outfile)
  if (size > maxCollectorBytes)
    throw new Error(`the collector is ${size} bytes, more than ${maxCollectorBytes}`)
  return size
}

if (import.meta.url === `file://${process.argv[1]}`) {
  process.stdout.write(`dist/collector: ${await buildCollector()} bytes\n`)
}
