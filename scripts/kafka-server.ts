import { execFile, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { createKafkaClient } from '../ingest/bus/kafka-client.ts'
import { SealtrailError } from '../schemas/errors.ts'

export interface KafkaServerOptions {
  /** Data, settings and log of the broker. */
  readonly directory?: string
  /** A free one unless given. */
  readonly port?: number
  /** Listeners beside the plaintext one, e.g. `SASL_SSL://127.0.0.1:9094`. */
  readonly listeners?: readonly string[]
  /** Further settings of the broker. */
  readonly properties?: Readonly<Record<string, string>>
  /** SCRAM users, as `kafka-storage format --add-scram` takes them; made with the directory. */
  readonly scramUsers?: readonly string[]
}

export interface KafkaServer {
  /** `host:port`. */
  readonly brokers: string
  readonly pid: number
  /** SIGTERM, after 20 s SIGKILL; resolves when the process is gone. Also after it was killed otherwise. */
  stop(): Promise<void>
}

const run = promisify(execFile)
const version = '4.4.0'
const startTimeoutMs = 90_000
const stopTimeoutMs = 20_000

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${version}</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.5</version></dependency>
</dependencies></project>
`

const log4j2 = `status=error
appender.c.type=Console
appender.c.name=C
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=info
rootLogger.appenderRef.c.ref=C
`

/**
 * A real Kafka broker (KRaft, one node) on loopback, out of Maven's jars; 43 MB are fetched once a machine. For
 * development and tests: one replica, plaintext, no authentication unless further listeners are given.
 *
 * @throws SealtrailError `DIRECTORY_LOCKED`, `PORT_IN_USE`, `CONFIG_INVALID` when Java or Maven is missing
 */
export async function startKafka(options: KafkaServerOptions = {}): Promise<KafkaServer> {
  const directory = resolve(options.directory ?? '.servers/kafka')
  await mkdir(directory, { recursive: true })
  requireProgram('java', ['-version'], 'Java 17 or newer', 'openjdk-17-jre-headless')
  const jars = join(await fetchJars(), '*')
  const settings = join(directory, 'server.properties')
  const unlock = await lock(directory, settings)
  try {
    const port = options.port ?? (await freePort())
    const data = join(directory, 'data')
    await writeFile(settings, serverProperties(data, port, await freePort(), options))
    await writeFile(join(directory, 'log4j2.properties'), log4j2)
    const clusterId = await format(directory, jars, settings, options.scramUsers ?? [])
    return await launch({ directory, jars, settings, port, clusterId, unlock })
  } catch (error) {
    await unlock.release()
    throw error
  }
}

function serverProperties(
  data: string,
  port: number,
  controllerPort: number,
  { listeners = [], properties: further = {} }: KafkaServerOptions,
): string {
  const own = [`PLAINTEXT://127.0.0.1:${port}`, `CONTROLLER://127.0.0.1:${controllerPort}`]
  const properties = {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.listener.names': 'CONTROLLER',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: [...own, ...listeners].join(','),
    'log.dirs': data,
    // One node: with the defaults of three, no consumer group would ever work.
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 1,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'group.initial.rebalance.delay.ms': 0,
    'auto.create.topics.enable': false,
    'compression.type': 'uncompressed',
    'log.message.timestamp.type': 'LogAppendTime',
    // A start after SIGKILL waits until the old registration is over.
    'broker.session.timeout.ms': 3000,
    'broker.heartbeat.interval.ms': 500,
    ...further,
  }
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}

/** Folder of the broker's jars; filled by Maven at the first call on a machine. */
async function fetchJars(): Promise<string> {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'sealtrail')
  const home = join(cache, `kafka-${version}`)
  if (existsSync(home)) return home
  requireProgram('mvn', ['-v'], 'Maven, which fetches the broker', 'maven')
  const work = `${home}.${process.pid}.${randomBytes(4).toString('hex')}`
  await mkdir(work, { recursive: true })
  try {
    await writeFile(join(work, 'pom.xml'), pom)
    const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', '-DoutputDirectory=lib']
    await run('mvn', ['-B', '-q', '-ntp', '-C', ...goal], { cwd: work, timeout: 300_000 })
    // Whole or not at all; somebody else may have been faster.
    await rename(join(work, 'lib'), home).catch((error: unknown) => {
      if (!existsSync(home)) throw error
    })
    return home
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function format(
  directory: string,
  jars: string,
  settings: string,
  scramUsers: readonly string[],
): Promise<string> {
  const meta = join(directory, 'data', 'meta.properties')
  if (!existsSync(meta)) {
    // Base64url of 16 bytes; a leading - would be read as an option.
    const id = `A${randomBytes(16).toString('base64url').slice(1)}`
    const tool = ['-cp', jars, 'kafka.tools.StorageTool', 'format', '-t', id, '-c', settings]
    tool.push(...scramUsers.flatMap((user) => ['--add-scram', user]))
    await run('java', tool, { cwd: directory, timeout: 60_000 })
  }
  const clusterId = /^cluster\.id=(.+)$/m.exec(await readFile(meta, 'utf8'))?.[1]
  if (clusterId === undefined)
    throw new SealtrailError('CONFIG_INVALID', `${meta} has no cluster.id`)
  return clusterId
}

interface Launch {
  readonly directory: string
  readonly jars: string
  readonly settings: string
  readonly port: number
  readonly clusterId: string
  readonly unlock: Lock
}

async function launch(start: Launch): Promise<KafkaServer> {
  const log = await open(join(start.directory, 'broker.log'), 'w')
  const flags = ['-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']
  const child = spawn(
    'java',
    [
      ...flags,
      `-Dlog4j2.configurationFile=${join(start.directory, 'log4j2.properties')}`,
      ...['-cp', start.jars, 'kafka.Kafka', start.settings],
    ],
    { cwd: start.directory, stdio: ['ignore', log.fd, log.fd] },
  )
  const exited = new Promise<void>((done) => {
    child.once('exit', () => done())
    child.once('error', () => done())
  })
  await log.close()
  const { pid } = child
  if (pid === undefined) throw new SealtrailError('CONFIG_INVALID', 'java could not be started')
  await start.unlock.hold(pid)
  const brokers = `127.0.0.1:${start.port}`
  const stop = async (): Promise<void> => {
    const killer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
    child.kill('SIGTERM')
    await exited
    clearTimeout(killer)
    await start.unlock.release()
  }
  const deadline = Date.now() + startTimeoutMs
  while ((await clusterIdAt(brokers)) !== start.clusterId) {
    const ended = child.exitCode !== null || child.signalCode !== null
    if (ended || Date.now() > deadline) {
      const said = await readFile(join(start.directory, 'broker.log'), 'utf8').catch(() => '')
      await stop()
      throw startFailure(said, ended, start)
    }
    await delay(100)
  }
  return { brokers, pid, stop }
}

function startFailure(said: string, ended: boolean, start: Launch): SealtrailError {
  if (said.includes('Address already in use')) {
    return new SealtrailError('PORT_IN_USE', `port ${start.port} is in use`)
  }
  return new SealtrailError(
    'SERVER_UNREACHABLE',
    ended ? 'the Kafka broker ended while it started' : 'the Kafka broker does not answer',
    { hint: `Look into ${join(start.directory, 'broker.log')}.` },
  )
}

/** Also says whose broker answers: an open port alone could be a stranger's. */
async function clusterIdAt(brokers: string): Promise<string | undefined> {
  const quiet = { debug: () => undefined, warn: () => undefined }
  const client = createKafkaClient({ brokers: [brokers], clientId: 'readiness', logger: quiet })
  const admin = client.admin({ retry: { retries: 0 } })
  try {
    await admin.connect()
    const cluster = await admin.describeCluster()
    return cluster.brokers.length === 1 ? cluster.clusterId : undefined
  } catch {
    return undefined
  } finally {
    await admin.disconnect().catch(() => undefined)
  }
}

interface Lock {
  hold(brokerPid: number): Promise<void>
  release(): Promise<void>
}

/**
 * Our own lock: a second broker on the same data reads them before it notices the first one, and hangs both. A broker
 * outlives its parent; one that was left behind on this very directory is stopped.
 */
async function lock(directory: string, settings: string): Promise<Lock> {
  const path = join(directory, 'lock')
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const file = await open(path, 'wx')
      await file.writeFile(JSON.stringify({ launcher: process.pid, broker: 0 }))
      await file.close()
      return {
        hold: (broker) => writeFile(path, JSON.stringify({ launcher: process.pid, broker })),
        release: () => rm(path, { force: true }),
      }
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
    const [launcher = 0, broker = 0] =
      (await readFile(path, 'utf8')).match(/\d+/g)?.map(Number) ?? []
    if (launcher === process.pid || (isAlive(launcher) && /node|tsx/.test(commandOf(launcher)))) {
      throw new SealtrailError('DIRECTORY_LOCKED', `process ${launcher} runs Kafka in ${directory}`)
    }
    if (broker > 0) await stopOrphan(broker, settings)
    await rm(path, { force: true })
  }
  throw new SealtrailError('DIRECTORY_LOCKED', `${path} could not be taken`)
}

async function stopOrphan(pid: number, settings: string): Promise<void> {
  const isOurs = () => isAlive(pid) && commandOf(pid).endsWith(`kafka.Kafka ${settings}`)
  for (const [signal, waitMs] of [
    ['SIGTERM', stopTimeoutMs],
    ['SIGKILL', 5000],
  ] as const) {
    if (!isOurs()) return
    process.kill(pid, signal)
    for (const end = Date.now() + waitMs; isOurs() && Date.now() < end; ) await delay(100)
  }
}

function isAlive(pid: number): boolean {
  if (pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function commandOf(pid: number): string {
  try {
    return execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], {
      encoding: 'utf8',
    }).trim()
  } catch {
    return ''
  }
}

function requireProgram(name: string, test: readonly string[], what: string, pack: string): void {
  try {
    execFileSync(name, [...test], { stdio: 'ignore', timeout: 30_000 })
  } catch (cause) {
    throw new SealtrailError('CONFIG_INVALID', `${what} is needed, and "${name}" does not run`, {
      cause,
      hint: `Install it (Debian: apt-get install ${pack}) and try again.`,
    })
  }
}

export function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer()
      .once('error', fail)
      .listen(0, '127.0.0.1', () => {
        const address = server.address()
        const port = typeof address === 'object' && address !== null ? address.port : 0
        server.close(() => done(port))
      })
  })
}
