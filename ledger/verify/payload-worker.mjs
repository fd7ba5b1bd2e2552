import { register } from 'tsx/esm/api'

// A thread does not inherit what loads TypeScript in the process that starts it, as in bin/sealtrail.mjs.
register()
await import('./payload-worker.ts')
