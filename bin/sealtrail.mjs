#!/usr/bin/env node
// Plain JavaScript of any version: an old Node.js must come as far as this sentence.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(
    `sealtrail: this is Node.js ${process.versions.node}, and Sealtrail needs 20.19 or later (CONFIG_INVALID)\nSee https://nodejs.org, or ask your version manager for 20, 22 or 24.\n`,
  )
  process.exit(2)
}
const { register } = await import('tsx/esm/api').catch((error) => {
  if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error
  process.stderr.write(
    'sealtrail: its packages are not installed (CONFIG_INVALID)\nRun npm ci in its folder.\n',
  )
  process.exit(2)
})
register()
await import('../cli/main.ts')
