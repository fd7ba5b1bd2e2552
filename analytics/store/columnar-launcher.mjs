// Runs ClickHouse's engine with its HTTP interface in a process of its own: node columnar-launcher.mjs DIR CONFIG PORT.
// Plain JavaScript, because it is started by the bare node binary both from the sources and from dist/.
import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'

const require = createRequire(import.meta.url)
// Loaded before the worker starts: finding the platform's binary asks every thread for a report, and a thread that
// waits for input gives none.
const { open, load, DataType } = require('ffi-rs')
const { libchdbPath } = require('chdb/libchdb')

const [directory, configFile, port] = process.argv.slice(2)

// The engine call below blocks this thread for good, so a worker watches the parent: its end of standard input closes
// when it goes, however it goes. There is nothing to flush: an acknowledged insert survives kill -9.
const watcher = new Worker(
  `const { readSync } = require('node:fs')
   const { parentPort } = require('node:worker_threads')
   parentPort.postMessage('watching')
   const buffer = Buffer.alloc(64)
   const pause = new Int32Array(new SharedArrayBuffer(4))
   for (;;) {
     try {
       if (readSync(0, buffer) === 0) break
     } catch (error) {
       if (error.code !== 'EAGAIN') break
       Atomics.wait(pause, 0, 0, 50)
     }
   }
   process.kill(process.pid, 'SIGKILL')`,
  { eval: true },
)
await new Promise((resolve) => watcher.once('message', resolve))

open({ library: 'chdb', path: libchdbPath() })
// The order counts: with --user or --password the engine starts without listening and without an error.
const argv = [
  'clickhouse',
  `--path=${directory}`,
  `--config-file=${configFile}`,
  `--http_port=${port}`,
  '--listen_host=127.0.0.1',
  '--multiquery',
  '--query',
  'SYSTEM START LISTEN HTTP; SELECT sleepEachRow(1) FROM system.numbers SETTINGS max_block_size = 1 FORMAT Null',
]
load({
  library: 'chdb',
  funcName: 'chdb_query_cmdline',
  retType: DataType.U64,
  paramsType: [DataType.I32, DataType.StringArray],
  paramsValue: [argv.length, argv],
})
// The engine gave up. An ordinary exit would wait for the worker, which waits for input.
process.kill(process.pid, 'SIGKILL')
