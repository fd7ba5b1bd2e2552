import { startColumnarProcess } from '../../analytics/store/columnar-process.ts'
import { storeOptions } from './running-store.ts'

// A parent that is killed by its test: prints the process id of its engine and waits.
const columnar = await startColumnarProcess({ ...storeOptions, directory: process.argv[2] ?? '' })
process.stdout.write(`${columnar.pid}\n`)
setInterval(() => undefined, 1000)
