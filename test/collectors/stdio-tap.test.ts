import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CaptureReceiver } from '../fixtures/mcp/capture-receiver.ts'
import {
  bundledCollector,
  eventually,
  spawnPiped,
  spoolFiles,
  tapEnvironment,
} from '../fixtures/mcp/tap-process.ts'

const sha = (data: Uint8Array | string) => createHash('sha256').update(data).digest('hex')
const echo = 'process.stdin.pipe(process.stdout)'
/** Answers each tools/call at once with its own id. */
const answering = `
let rest = ''
process.stdin.on('data', (chunk) => {
  const lines = (rest + chunk).split('\\n')
  rest = lines.pop()
  for (const line of lines) {
    const { id } = JSON.parse(line)
    process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: 'ok ' + id }] } }) + '\\n')
  }
})
process.stdin.on('end', () => process.exit(0))`

let collector = ''
let spool = ''
let receiver = new CaptureReceiver()

beforeAll(async () => {
  collector = await bundledCollector()
})
beforeEach(async () => {
  spool = mkdtempSync(join(tmpdir(), 'sealtrail-spool-'))
  receiver = await new CaptureReceiver().start()
  return () => receiver.stop()
})
afterAll(() => receiver.stop().catch(() => undefined))

function tap(script: string, env: Record<string, string> = {}, more: string[] = []) {
  return spawnPiped(
    [collector, 'tap', '--server', 'echo', '--url', receiver.url, '--spool', spool, ...more].concat(
      ['--', process.execPath, '-e', script],
    ),
    tapEnvironment({ SEALTRAIL_SOURCE_SECRET: receiver.secretText, ...env }),
  )
}

const call = (id: number, args: unknown = { n: id }) =>
  `${JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'work', arguments: args } })}\n`

describe('bytes', () => {
  test('any bytes in any chunks come back as they went, both ways, recorded or not', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            fc.uint8Array({ maxLength: 3000 }),
            fc.json().map((text) => Buffer.from(`${text}\n`)),
            fc.constant(Buffer.from('{"jsonrpc":"2.0","id":1,"method":"tools/call"}\r\n')),
          ),
          { maxLength: 60 },
        ),
        fc.boolean(),
        async (chunks, recorded) => {
          const { child, finished } = tap(echo, recorded ? {} : { SEALTRAIL_SOURCE_SECRET: '' })
          const all = Buffer.concat(chunks)
          if (child.stdin) Readable.from(chunks, { objectMode: true }).pipe(child.stdin)
          const { code, stdout } = await finished
          expect(code).toBe(0)
          expect(sha(stdout)).toBe(sha(all))
        },
      ),
      { numRuns: 8 },
    )
  })

  test('40 MB through a reader that takes its time keep their bytes and the memory of the tap flat', async () => {
    const { child, finished } = tap(echo)
    const block = Buffer.alloc(64 * 1024)
    for (let i = 0; i < block.length; i++) block[i] = (i * 31 + (i >> 8)) % 251
    const digest = createHash('sha256')
    let peakKb = 0
    const input = Readable.from(
      (function* () {
        for (let i = 0; i < 640; i++) {
          block.writeUInt32LE(i, 0)
          digest.update(block)
          yield Buffer.from(block)
        }
      })(),
    )
    const slow = setInterval(() => {
      child.stdout?.pause()
      setTimeout(() => child.stdout?.resume(), 5)
      peakKb = Math.max(peakKb, residentKb(child.pid))
    }, 20)
    if (child.stdin) input.pipe(child.stdin)
    const { stdout } = await finished
    clearInterval(slow)
    expect(stdout.length).toBe(640 * block.length)
    expect(sha(stdout)).toBe(digest.digest('hex'))
    expect(peakKb).toBeLessThan(400_000)
  })

  test('the last bytes of a server that exits at once reach a reader that is behind', async () => {
    const script = `process.stdout.write(Buffer.alloc(8_000_000, 'x'), () => process.exit(7))`
    for (const env of [{}, { SEALTRAIL_SOURCE_SECRET: '' }]) {
      const { child, finished } = tap(script, env)
      child.stdout?.pause()
      setTimeout(() => child.stdout?.resume(), 800)
      const { code, stdout } = await finished
      expect({ code, bytes: stdout.length }).toEqual({ code: 7, bytes: 8_000_000 })
    }
  })

  test('stderr of the server passes, and the tap itself writes nothing to standard output', async () => {
    const { child, finished } = tap(`console.error('from the server'); process.exit(0)`)
    child.stdin?.end()
    const { stdout, stderr } = await finished
    expect(stdout.length).toBe(0)
    expect(stderr).toContain('from the server')
  })
})

describe('ends', () => {
  test.each([0, 1, 42, 255])(
    'exit code %i of the server is the exit code of the tap',
    async (code) => {
      const { child, finished } = tap(`process.exit(${code})`)
      child.stdin?.end()
      expect((await finished).code).toBe(code)
    },
  )

  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s reaches the server, whose own answer counts',
    async (signal) => {
      const { child, finished } = tap(
        `process.on('${signal}', () => process.exit(33)); process.stdout.write('up'); setInterval(() => {}, 1000)`,
      )
      child.stdout?.once('data', () => child.kill(signal))
      expect((await finished).code).toBe(33)
    },
  )

  test('a server that a signal ended gives 128 and its number', async () => {
    const { finished } = tap(`process.kill(process.pid, 'SIGKILL')`)
    expect((await finished).code).toBe(137)
  })

  test('a client that closes its side ends the server', async () => {
    const { child, finished } = tap(`process.stdin.resume().on('end', () => process.exit(9))`)
    child.stdin?.end('{}\n')
    expect((await finished).code).toBe(9)
  })

  test('a client that goes away while the pipe is full leaves no process behind', async () => {
    const { child, finished } = tap(
      `process.stdout.on('error', () => process.exit(5)); setInterval(() => process.stdout.write(Buffer.alloc(100_000)), 1)`,
    )
    child.stdout?.once('data', () => {
      child.stdout?.pause()
      setTimeout(() => {
        child.stdout?.destroy()
        child.stdin?.destroy()
      }, 400)
    })
    const ended = await Promise.race([
      finished.then(() => 'ended'),
      new Promise((resolve) => setTimeout(() => resolve('hangs'), 10_000)),
    ])
    if (ended === 'hangs') child.kill('SIGKILL')
    expect(ended).toBe('ended')
  })

  test('a server whose own child outlives it and holds the pipe does not hold the tap, nor its records', async () => {
    await receiver.stop()
    const { child, finished } = tap(
      `require('child_process').spawn(process.execPath, ['-e', 'setTimeout(() => {}, 20_000)'], { stdio: 'inherit', detached: true }).unref()
       process.stdin.once('data', () => process.stdout.write('up', () => process.exit(4)))`,
    )
    child.stdout?.once('data', () => setTimeout(() => child.kill('SIGTERM'), 500))
    child.stdin?.write(call(1))
    const started = performance.now()
    const code = await new Promise((resolve) => child.once('exit', resolve))
    expect(code).toBe(4)
    expect(performance.now() - started).toBeLessThan(10_000)
    expect(spoolFiles(spool)).toHaveLength(1)
    child.stdout?.destroy()
    child.stderr?.destroy()
    await finished
  })

  test('a command that does not exist is named on stderr, with exit code 2', async () => {
    const { finished } = spawnPiped(
      [collector, 'tap', '--server', 'x', '--spool', spool, '--', '/no/such/program'],
      tapEnvironment({ SEALTRAIL_SOURCE_SECRET: receiver.secretText }),
    )
    const { code, stderr } = await finished
    expect(code).toBe(2)
    expect(stderr).toContain('/no/such/program could not be started')
  })

  test('without a secret it passes everything, says one line and leaves no file', async () => {
    const { child, finished } = tap(echo, { SEALTRAIL_SOURCE_SECRET: '' })
    child.stdin?.end(call(1))
    const { code, stdout, stderr } = await finished
    expect({ code, out: stdout.toString() }).toEqual({ code: 0, out: call(1) })
    expect(stderr.trim().split('\n')).toHaveLength(1)
    expect(receiver.requests).toEqual([])
    expect(spoolFiles(spool)).toEqual([])
  })

  test('a spool folder that cannot be made costs records, never the session', async () => {
    const file = join(spool, 'a-file')
    writeFileSync(file, '')
    await receiver.stop()
    const { child, finished } = tap(echo, {}, ['--spool', join(file, 'below')])
    child.stdin?.end(call(1))
    const { code, stdout } = await finished
    expect({ code, out: stdout.toString() }).toEqual({ code: 0, out: call(1) })
  })
})

describe('records', () => {
  test('calls arrive numbered without a hole, between an open and a close', async () => {
    const { child, finished } = tap(answering, { SEALTRAIL_AGENT: 'a', SEALTRAIL_USER: 'u' })
    for (let i = 0; i < 600; i++) child.stdin?.write(call(i))
    child.stdin?.end()
    await finished
    expect(receiver.violations).toEqual([])
    expect(receiver.distinct().map((record) => record['source.seq'])).toEqual(
      Array.from({ length: 602 }, (_, i) => i),
    )
    expect(receiver.records).toHaveLength(602)
    expect(receiver.ofClass('source').map((record) => record['source.signal'])).toEqual([
      'open',
      'close',
    ])
    const calls = receiver.ofClass('tool_call')
    expect(calls).toHaveLength(600)
    expect(calls[5]).toMatchObject({
      'gen_ai.tool.name': 'work',
      'gen_ai.tool.call.arguments': { n: 5 },
      'gen_ai.tool.call.result': 'ok 5',
      'outcome.status': 'success',
      'gen_ai.agent.name': 'a',
      'user.name': 'u',
      'jsonrpc.request.id': '5',
      'jsonrpc.request.id_type': 'number',
    })
  })

  test('the secret may lie in a file, and the environment names conversation and workflow', async () => {
    const file = join(spool, 'secret')
    writeFileSync(file, `${receiver.secretText}\n`)
    const { child, finished } = tap(answering, {
      SEALTRAIL_SOURCE_SECRET: '',
      SEALTRAIL_SOURCE_SECRET_FILE: file,
      SEALTRAIL_CONVERSATION: 'c-1',
      SEALTRAIL_WORKFLOW: 'w-1',
      // Longer than a field may be: cut, not refused.
      SEALTRAIL_AGENT: 'a'.repeat(1000),
    })
    child.stdin?.end(call(1))
    await finished
    expect(receiver.violations).toEqual([])
    expect(receiver.ofClass('tool_call')).toEqual([
      expect.objectContaining({
        'gen_ai.conversation.id': 'c-1',
        'workflow.id': 'w-1',
        'gen_ai.agent.name': 'a'.repeat(256),
      }),
    ])
  })

  test('the end of a client that terminates while the receiver hangs loses no record', async () => {
    receiver.mode = 'hang'
    const { child, finished } = tap(answering)
    child.stdin?.write(call(1))
    await eventually(() => receiver.requests.length > 0, 'first request')
    child.stdin?.end()
    // What the official SDK does: close stdin, SIGTERM after two seconds, SIGKILL after two more.
    setTimeout(() => child.kill('SIGTERM'), 700)
    const { code } = await finished
    expect(code).toBe(0)
    expect(spoolFiles(spool)).toHaveLength(1)
    receiver.mode = 'ok'
    const second = tap(answering)
    second.child.stdin?.end()
    await second.finished
    expect(receiver.ofClass('tool_call')).toHaveLength(1)
    expect(receiver.ofClass('source').map((each) => each['source.signal'])).toEqual([
      'open',
      'close',
      'open',
      'close',
    ])
  })

  test('kill -9 while the receiver is away: the next tap delivers what waited, in order, and clears the spool', async () => {
    await receiver.stop()
    const first = tap(answering)
    for (let i = 0; i < 50; i++) first.child.stdin?.write(call(i))
    await eventually(() => spoolLines() === 51, 'open and 50 calls in the spool')
    first.child.kill('SIGKILL')
    await first.finished
    await receiver.start()
    const second = tap(answering)
    second.child.stdin?.end()
    await second.finished
    expect(receiver.ofClass('tool_call').map((each) => each['jsonrpc.request.id'])).toEqual(
      Array.from({ length: 50 }, (_, i) => String(i)),
    )
    expect(new Set(receiver.records.map((each) => each['source.epoch'])).size).toBe(2)
    expect(spoolFiles(spool)).toEqual([])
  })

  test('two taps in one spool folder keep their records apart and both arrive', async () => {
    await receiver.stop()
    const taps = [tap(answering), tap(answering)]
    for (const [which, { child }] of taps.entries()) child.stdin?.end(call(which))
    await Promise.all(taps.map(({ finished }) => finished))
    expect(spoolFiles(spool)).toHaveLength(2)
    await receiver.start()
    const third = tap(answering)
    third.child.stdin?.end()
    await third.finished
    expect(
      receiver
        .ofClass('tool_call')
        .map((each) => each['jsonrpc.request.id'])
        .sort(),
    ).toEqual(['0', '1'])
    expect(spoolFiles(spool)).toEqual([])
  })

  test('a spool of another source is left alone', async () => {
    await receiver.stop()
    const first = tap(answering)
    first.child.stdin?.end(call(1))
    await first.finished
    const other = await new CaptureReceiver().start()
    const foreign = spawnPiped(
      [collector, 'tap', '--server', 'echo', '--url', other.url, '--spool', spool].concat([
        '--',
        process.execPath,
        '-e',
        answering,
      ]),
      tapEnvironment({ SEALTRAIL_SOURCE_SECRET: other.secretText }),
    )
    foreign.child.stdin?.end()
    await foreign.finished
    await other.stop()
    expect(other.ofClass('tool_call')).toEqual([])
    await receiver.start()
    const third = tap(answering)
    third.child.stdin?.end()
    await third.finished
    expect(receiver.ofClass('tool_call')).toHaveLength(1)
  })

  test('secrets on the command line of the server are replaced, those with spaces too', async () => {
    const { child, finished } = spawnPiped(
      [collector, 'tap', '--server', 'echo', '--url', receiver.url, '--spool', spool].concat(
        ['--', process.execPath, '-e', answering, '--', '--password', 'correct horse battery'],
        ['--api-key=QQQQ1111', '-e', 'DB_PASSWORD=one QQQQ2222'],
      ),
      tapEnvironment({ SEALTRAIL_SOURCE_SECRET: receiver.secretText }),
    )
    child.stdin?.end(call(1))
    await finished
    const url = receiver.ofClass('tool_call')[0]?.['mcp.server.url']
    expect(url).toContain('--password "[redacted:password')
    for (const part of ['correct', 'horse', 'battery', 'QQQQ']) {
      expect(receiver.requests.map(({ body }) => body).join()).not.toContain(part)
    }
  })

  test('secrets stand neither in the spool nor in a request, before and after first contact', async () => {
    const secrets = ['ghp_16C7e42F292c6912E7710c838347Ae178B4a', 'hunter2-Correct-Horse']
    const args = { header: `Bearer ${secrets[0]}`, password: secrets[1], plain: 'PLAIN-CONTROL' }
    await receiver.stop()
    const first = tap(answering)
    first.child.stdin?.end(call(1, args))
    await first.finished
    const [file = ''] = spoolFiles(spool)
    const raw = readFileSync(join(spool, file))
    // Encrypted: not even what is no secret can be read.
    for (const text of [...secrets, 'PLAIN-CONTROL', 'tools/call'])
      expect(raw.includes(text)).toBe(false)
    if (process.platform !== 'win32') expect(statSync(join(spool, file)).mode & 0o777).toBe(0o600)
    await receiver.start()
    const second = tap(answering)
    await eventually(() => receiver.ofClass('source').length > 2, 'first contact')
    second.child.stdin?.end(call(2, args))
    await second.finished
    const bodies = receiver.requests.map((each) => each.body).join('\n')
    for (const secret of secrets) expect(bodies).not.toContain(secret)
    expect(bodies).toContain('PLAIN-CONTROL')
    const [before, after] = receiver.ofClass('tool_call').map((each) => JSON.stringify(each))
    expect(before).toMatch(/\[redacted:[a-z-]+\]/)
    expect(after).toMatch(/\[redacted:[a-z-]+:[^\]]+\]/)
    expect(
      receiver.ofClass('tool_call').every((each) => each['arguments.capture'] === 'redacted'),
    ).toBe(true)
  })
})

describe('what must not happen', () => {
  test('the key is not sent in the clear to another machine, unless somebody says so', async () => {
    const { child, finished } = tap(echo, {}, ['--url', 'http://192.0.2.1:3000'])
    child.stdin?.end('through\n')
    const { code, stdout, stderr } = await finished
    expect([code, stdout.toString()]).toEqual([0, 'through\n'])
    expect(stderr).toContain('http://192.0.2.1:3000 is another machine')
    expect(spoolFiles(spool)).toEqual([])
    const allowed = tap(echo, {}, ['--url', 'http://192.0.2.1:3000', '--allow-http'])
    allowed.child.stdin?.end()
    expect((await allowed.finished).stderr).not.toContain('another machine')
  })

  test('with --when-full block a session stands still while nothing can be kept, then goes on', async () => {
    await receiver.stop()
    const env = { SEALTRAIL_SPOOL_BYTES: '20000' }
    const { child, finished } = tap(answering, env, ['--when-full', 'block'])
    let answers = 0
    child.stdout?.on('data', (chunk: Buffer) => {
      answers += chunk.toString().split('\n').length - 1
    })
    let asked = 0
    const asking = setInterval(() => child.stdin?.write(call(asked++, { pad: 'p'.repeat(400) })), 5)
    await eventually(() => spoolFiles(spool).length === 1, 'a spool')
    // Calls go in, and no answer comes out any more.
    let before = -1
    let still = 0
    await eventually(() => {
      still = answers === before && asked > answers + 20 ? still + 1 : 0
      before = answers
      return still > 20
    }, 'that it stands still')
    clearInterval(asking)
    await receiver.start()
    await eventually(() => answers === asked, 'every answer')
    child.stdin?.end()
    await finished
    expect(receiver.ofClass('tool_call')).toHaveLength(asked)
    const seqs = receiver.distinct().map((record) => record['source.seq'])
    expect(seqs).toEqual(seqs.map((_, i) => i))
  })
})

describe('help', () => {
  test('tap --help teaches with an example and exits 0; an unknown command exits 2', async () => {
    const help = spawnPiped([collector, 'tap', '--help'], tapEnvironment())
    const { code, stderr } = await help.finished
    expect(code).toBe(0)
    expect(stderr).toContain('"command": "sealtrail"')
    expect((await spawnPiped([collector, 'tup'], tapEnvironment()).finished).code).toBe(2)
  })
})

function spoolLines(): number {
  return spoolFiles(spool).reduce(
    (sum, name) => sum + readFileSync(join(spool, name), 'utf8').split('\n').length - 1,
    0,
  )
}

function residentKb(pid: number | undefined): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}
