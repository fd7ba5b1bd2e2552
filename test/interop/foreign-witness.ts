import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { buildForeignProgram, foreignPrograms } from './foreign-program.ts'

const run = promisify(execFile)
const startTimeoutMs = 20_000
/** Root of the empty tree, as litewitness stores it. */
const emptyRoot = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='

/** litewitness of filippo.io/torchwood, with a key in an ssh-agent of its own, on loopback. */
export class ForeignWitness {
  readonly name: string
  readonly verifierKey: string
  readonly url: string
  private readonly database: string
  private readonly children: readonly ChildProcess[]

  private constructor(
    name: string,
    verifierKey: string,
    url: string,
    database: string,
    children: readonly ChildProcess[],
  ) {
    this.name = name
    this.verifierKey = verifierKey
    this.url = url
    this.database = database
    this.children = children
  }

  static async start(name: string, folder: string): Promise<ForeignWitness> {
    const program = await buildForeignProgram(foreignPrograms.witness)
    const file = (suffix: string) => join(folder, `${name.replace(/\W/g, '-')}${suffix}`)
    const agent = spawn('ssh-agent', ['-D', '-a', file('.agent')], { stdio: 'ignore' })
    await delay(300)
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file('.key')])
    const environment = { ...process.env, SSH_AUTH_SOCK: file('.agent') }
    await run('ssh-add', [file('.key')], { env: environment })
    const { stdout } = await run('ssh-keygen', ['-l', '-f', file('.key')])
    const fingerprint = /SHA256:\S+/.exec(stdout)?.[0] ?? ''
    const port = await freePort()
    const address = `127.0.0.1:${port}`
    const flags = ['-name', name, '-key', fingerprint, '-ssh-agent', file('.agent')]
    const witness = spawn(program, [...flags, '-db', file('.db'), '-listen', address], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    for (const stream of [witness.stdout, witness.stderr])
      stream.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')))
    const children = [witness, agent]
    process.once('exit', () => children.forEach((child) => void child.kill('SIGKILL')))
    const url = `http://${address}`
    const untilMs = performance.now() + startTimeoutMs
    for (;;) {
      const verifierKey = new RegExp(
        `${name.replace(/[.]/g, '\\.')}\\+[0-9a-f]{8}\\+[A-Za-z0-9+/=]+`,
      ).exec(said)?.[0]
      const answers = await fetch(url).then(
        () => true,
        () => false,
      )
      if (verifierKey !== undefined && answers)
        return new ForeignWitness(name, verifierKey, url, file('.db'), children)
      if (witness.exitCode !== null || performance.now() > untilMs)
        throw new Error(`litewitness did not start:\n${said}`)
      await delay(50)
    }
  }

  /** Lets it follow a log, as its operator would. */
  async register(origin: string, verifierKey: string): Promise<void> {
    await this.sql(
      `INSERT OR IGNORE INTO log VALUES ('${origin}', 0, '${emptyRoot}'); INSERT INTO key VALUES ('${origin}', '${verifierKey}');`,
    )
  }

  async sizeOf(origin: string): Promise<number> {
    return Number(await this.sql(`SELECT tree_size FROM log WHERE origin = '${origin}';`))
  }

  async stop(): Promise<void> {
    for (const child of this.children) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    }
  }

  private async sql(statements: string): Promise<string> {
    return (
      await run('sqlite3', ['-cmd', '.timeout 5000', this.database, statements])
    ).stdout.trim()
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        resolve(typeof address === 'object' && address !== null ? address.port : 0),
      )
    })
  })
}
