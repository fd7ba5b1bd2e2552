import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { ApiContext } from '../analytics/api/api-context.ts'
import { ExportShelf } from '../analytics/api/export-shelf.ts'
import type { IdentityProvider } from '../analytics/api/identity-provider.ts'
import { OpenIdProvider } from '../analytics/api/openid-provider.ts'
import { SessionStore } from '../analytics/api/session-store.ts'
import { callRate } from '../analytics/detectors/call-rate.ts'
import { firstScope } from '../analytics/detectors/first-scope.ts'
import { newArgumentValue } from '../analytics/detectors/new-argument-value.ts'
import { Eraser } from '../analytics/erasure/eraser.ts'
import { FoldRunner } from '../analytics/fold/fold-runner.ts'
import { openFileFoldSnapshots } from '../analytics/snapshots/file-fold-snapshots.ts'
import { CallFeed } from '../analytics/store/call-feed.ts'
import { openColumnarClient } from '../analytics/store/columnar-client.ts'
import { startColumnarProcess } from '../analytics/store/columnar-process.ts'
import { migrate } from '../analytics/store/migrate.ts'
import { openProjector } from '../analytics/store/projector.ts'
import { dropRebuildTables } from '../analytics/store/rebuild.ts'
import { Rebuilder } from '../analytics/store/rebuilder.ts'
import { Reconciler } from '../analytics/store/reconciler.ts'
import type { BusConsumer, EventBus } from '../ingest/bus/event-bus.ts'
import { openInProcessBus } from '../ingest/bus/in-process-bus.ts'
import type { ReceiverDeps } from '../ingest/receivers/receiver-deps.ts'
import { SourceIntake } from '../ingest/receivers/source-intake.ts'
import { createRedactor } from '../ingest/redaction/redactor.ts'
import { Sequencer } from '../ingest/sequencer/sequencer.ts'
import { AnchorKeeper } from '../ledger/anchors/anchor-keeper.ts'
import type { CommittedSegment } from '../ledger/committed.ts'
import { Control } from '../ledger/control/control.ts'
import { argon2id } from '../ledger/control/password-hash.ts'
import { dataPaths } from '../ledger/data-directory.ts'
import { DiskWatch, describeBytes } from '../ledger/disk-room.ts'
import { nodeFiles } from '../ledger/durable-file.ts'
import { openFileKeyring } from '../ledger/keyring/file-keyring.ts'
import { columnarDiskKey, loadMasterKey } from '../ledger/keyring/master-key.ts'
import { createLedgerReader } from '../ledger/ledger-reader.ts'
import { systemLogId } from '../ledger/log-id.ts'
import { openFilePayloadStore } from '../ledger/payloads/file-payload-store.ts'
import { sha256 } from '../ledger/sha256.ts'
import { openFileSigner } from '../ledger/signer/file-signer.ts'
import { keyRotationEvent } from '../ledger/signer/key-rotation-event.ts'
import { openFileStorage } from '../ledger/storage/file-storage.ts'
import { openStoredHashTree } from '../ledger/tree/stored-hash-tree.ts'
import { payloadWorkersFor } from '../ledger/verify/payload-workers.ts'
import { verifyLog } from '../ledger/verify/verify-log.ts'
import type { RebuildProgress, VerifyProgress } from '../schemas/api/integrity.ts'
import { SealtrailError } from '../schemas/errors.ts'
import type { KeyRotation } from '../schemas/tlog/key-rotation.ts'
import { openAnchors } from './anchors.ts'
import type { Configuration } from './configuration.ts'
import { examineSigner } from './examine-signer.ts'
import { compareWithNewest, describeStep, machineClocks, SteadyClock } from './steady-clock.ts'
import { version } from './version.ts'

export interface CoreOptions {
  readonly configuration: Configuration
  readonly logger: Logger
  /** Long work at start shows how far it is. */
  readonly onProgress: (what: string, done: number, total: number) => void
}

export interface Core {
  readonly api: ApiContext
  readonly receivers: Omit<ReceiverDeps, 'logger'>
  readonly control: Control
  /** Puts the next signing key of a log on its record, and signs with both from there on. */
  rotateKey(logId: string, overlapMs: number): Promise<KeyRotation>
  /** Resolves with the error after which this process must end. */
  readonly failed: Promise<Error>
  lag(): Promise<number>
  /** Makes the columnar store anew from the ledger while people read it. */
  rebuild(): AsyncIterable<RebuildProgress>
  readonly disk: DiskWatch
  readonly steadyClock: SteadyClock
  stop(): Promise<void>
}

/** Opens everything that holds keys and data, and wires it. The caller holds the lock of the data directory. */
export async function openCore({ configuration, logger, onProgress }: CoreOptions): Promise<Core> {
  const paths = dataPaths(configuration.dataDirectory)
  const masterKey = await loadMasterKey(paths.keyring, configuration.masterKeyFile)
  const steady = new SteadyClock(machineClocks)
  const clock = steady.now
  const disk = await DiskWatch.start(configuration.dataDirectory, (state, room) =>
    logger[state === 'ok' ? 'info' : state === 'low' ? 'warn' : 'error'](
      { state, ...room },
      'room on the disk of the data directory',
    ),
  )
  const onTear = (message: string) =>
    logger.warn({ torn: message }, 'cut what was never acknowledged')
  const storage = await openFileStorage(paths.ledger, { onTear })
  const payloads = await openFilePayloadStore(paths.payloads)
  if ((await storage.logIds()).length > 0 && !existsSync(join(paths.keyring, 'keyring'))) {
    throw new SealtrailError(
      'KEYRING_CORRUPT',
      `${join(paths.keyring, 'keyring')} is gone, and the ledger is not empty: without it no payload opens`,
      { hint: 'Restore it from a backup. A new one would open nothing of what is recorded.' },
    )
  }
  const keyring = await openFileKeyring(paths.keyring, masterKey, nodeFiles, false, onTear)
  const signer = await openFileSigner(paths.signer, masterKey)
  await examineSigner(paths.signer, masterKey)
  const reader = createLedgerReader({ storage, payloads, keyring })
  const anchors = new AnchorKeeper({
    directory: paths.anchors,
    ...(await openAnchors(configuration.anchors, clock)),
    signer,
    storage,
    intervalMs: configuration.anchors.intervalMs,
    clock,
    onProblem: (error, logId, { kind, target }) =>
      logger.error({ err: error, log: logId, anchor: `${kind} ${target}` }, 'anchor not reached'),
  })
  const control = new Control({ reader, keyring, passwords: argon2id, clock, random: randomBytes })

  // The observers exist before the sequencer, and some of what they need exists after it.
  const observers: ((segment: CommittedSegment) => void)[] = [control.observe]
  const sequencer = new Sequencer({
    storage,
    openTree: (logId) => openStoredHashTree(join(paths.trees, logId)),
    payloads,
    keyring,
    signer,
    anchors,
    clock,
    random: randomBytes,
    observers: [(segment) => observers.forEach((observe) => void observe(segment))],
    onError: (error, logId) =>
      logger.error({ err: error, log: logId }, 'checkpoint or tick failed'),
    refusal: disk.refusal,
  })
  const eraser = new Eraser({
    storage,
    payloads,
    keyring,
    control,
    appender: sequencer,
    clock,
    logger,
  })
  observers.push(eraser.observe)
  onProgress('ledger', 0, 1)
  await sequencer.start()
  const behind = compareWithNewest(clock(), sequencer.newestRecordedMs(), configuration.acceptClock)
  if (behind !== undefined) logger.warn(behind)
  await control.load(sequencer)
  const erasing = await eraser.settle()
  onProgress('ledger', 1, 1)
  await prepareAccounts(control, configuration)
  const identityProvider = await openIdentityProvider(configuration, clock)

  const columnarPassword = randomBytes(24).toString('base64url')
  const columnar = await startColumnarProcess({
    directory: paths.columnar,
    password: columnarPassword,
    diskKey: await columnarDiskKey(keyring, masterKey, paths.columnar),
    memoryLimitBytes: configuration.columnarMemoryMib * 1024 * 1024,
    logger,
    onExit: (exit) => logger.error(exit, 'columnar store ended; it is started again'),
  })
  const client = openColumnarClient({
    url: columnar.url,
    user: columnar.user,
    password: columnarPassword,
  })
  const migrated = await migrate({ client })
  if (migrated.length > 0) logger.info({ migrations: migrated }, 'columnar store migrated')
  await dropRebuildTables(client)
  const logIds = [...new Set([configuration.logId, systemLogId])]
  const projector = openProjector({
    client,
    reader,
    logIds,
    logger,
    clock: () => performance.now(),
  })
  observers.push((segment) => projector.observe(segment))
  const callFeed = new CallFeed(projector, (error) =>
    logger.warn({ err: error }, 'calls wait for the columnar store'),
  )
  const snapshots = openFileFoldSnapshots({
    directory: paths.snapshots,
    key: await keyring.storeKey('fold-snapshots'),
    release: `${version}, Unicode ${process.versions.unicode}`,
    onIgnored: (reason) =>
      logger.warn({ reason }, 'a snapshot of the detection is not used: the log is read anew'),
  })
  if (erasing) await snapshots.wipe()
  const fold = new FoldRunner({
    reader,
    appender: sequencer,
    digest: sha256,
    detectors: [firstScope, newArgumentValue, callRate],
    clock,
    alertsPerDay: configuration.alertsPerDay,
    onCalls: (logId, _upTo, changes) => callFeed.push(logId, changes),
    onError: (error) => logger.error({ err: error }, 'detection stopped'),
    snapshots,
    callsStored: (logId) => projector.callsProjected(logId),
    callsCursor: (logId) => projector.callsCursor(logId),
  })
  observers.push(fold.observe)
  // Events are taken meanwhile: what is judged lags, and says so.
  fold
    .follow(configuration.logId)
    .catch((error) => logger.error({ err: error }, 'detection stopped'))
  const reconciler = new Reconciler({
    client,
    reader,
    projector,
    clock,
    onDifference: (logId, what) =>
      logger.error({ log: logId, difference: what }, 'columnar store differs from the ledger'),
  })
  reconciler.start()
  const rebuilder = new Rebuilder({
    client,
    reader,
    projector,
    compare: async () => {
      const compared = (await reader.logIds()).map(async (logId) => {
        const { checkedUntil, firstDifference } = await reconciler.check(logId)
        return { logId, rows: checkedUntil, firstDifference }
      })
      return Promise.all(compared)
    },
  })
  await rm(paths.exports, { recursive: true, force: true })
  await mkdir(paths.exports, { recursive: true, mode: 0o700 })
  const exports = new ExportShelf(paths.exports)
  eraser.start({
    holdFold: (logId) => fold.hold(logId),
    holdReconciliation: () => reconciler.hold(),
    waitUntilIndexed: (logId, treeSize, timeoutMs) =>
      projector.waitUntil(logId, treeSize, timeoutMs),
    callsDrained: (logId) => callFeed.drained(logId),
    eraseRows: (logId, leafIndexes) => projector.erase(logId, leafIndexes),
    discardExports: () => exports.discardAll(),
  })

  const bus = await openBus(configuration, keyring, logger)
  const consumer = await bus.consume(sequencer.handle, sequencer.committedPositions())

  const intake = new SourceIntake((sourceId) => control.sourceQuota(sourceId), clock)

  async function* verify(logId: string): AsyncIterable<VerifyProgress> {
    const startedMs = performance.now()
    // Another thread: this one answers people and senders meanwhile.
    const checker = payloadWorkersFor(await storage.size(logId), 1)
    const steps = verifyLog({
      logId,
      checker,
      storage,
      payloads,
      keyring,
      verifierKey: await signer.verifierKey(logId),
      rotations: await signer.rotations(logId),
      lastSigned: () => signer.lastSigned(logId),
    })
    try {
      for (;;) {
        const step = await steps.next()
        if (!step.done) {
          yield { kind: 'progress', ...step.value }
          continue
        }
        yield { kind: 'progress', stage: `rows of ${logId}`, done: 0, total: 1 }
        await projector.waitUntil(logId, step.value.treeSize, 5000)
        const projection = await reconciler.check(logId)
        const firstProblem = step.value.firstProblem ?? projection.firstDifference ?? null
        yield {
          kind: 'result',
          ok: firstProblem === null,
          treeSize: step.value.treeSize,
          checkpoints: step.value.checkpoints,
          payloads: step.value.payloads,
          erased: step.value.erased,
          erasedUnsaid: step.value.erasedUnsaid,
          erasures: step.value.erasures.map(({ leafIndex, recordedAt, erasure }) => ({
            leafIndex,
            recordedAt,
            action: erasure.action,
            ground: erasure.ground,
            events: erasure.events,
          })),
          rows: projection.state === 'unavailable' ? null : projection.checkedUntil,
          firstProblem,
          elapsedMs: Math.round(performance.now() - startedMs),
        }
        return
      }
    } finally {
      await checker?.close()
    }
  }

  async function rotateKey(logId: string, overlapMs: number): Promise<KeyRotation> {
    const { previous, next } = await signer.prepareKey(logId, overlapMs)
    const receipt = await sequencer.append(logId, [keyRotationEvent(next, clock())])
    await sequencer.publishCheckpoints()
    await anchors.settle(logId, 5000)
    const index = receipt.leaves[0]?.first ?? 0
    if ((await signer.verifierKey(logId)) !== next) {
      throw new SealtrailError(
        'SIGNER_REFUSED',
        `leaf ${index} of ${logId} names the next signing key, and no checkpoint is signed with it yet`,
        {
          hint: 'The log of the server says why. It is tried again each second, and at each start.',
        },
      )
    }
    return { index, previous, next }
  }

  return {
    control,
    rotateKey,
    failed: Promise.race([sequencer.failed, consumer.failed]),
    lag: () => bus.lag(),
    rebuild: () => rebuilder.follow(),
    disk,
    steadyClock: steady,
    api: {
      version,
      clock,
      logger,
      logId: configuration.logId,
      control,
      sessions: new SessionStore(clock, randomBytes),
      identityProvider,
      reader,
      storage,
      payloads,
      keyring,
      signer,
      appender: sequencer,
      columnar: client,
      tree: (logId) => sequencer.tree(logId),
      root: (logId) => sequencer.root(logId),
      indexed: (logId) => projector.indexed(logId),
      judged: (logId) => (logId === systemLogId ? sequencer.tree(logId).size : fold.judged(logId)),
      waitUntilIndexed: (logId, treeSize, timeoutMs) =>
        projector.waitUntil(logId, treeSize, timeoutMs),
      projection: (logId) => reconciler.state(logId),
      columnarState: () => (columnar.ready ? 'ready' : 'restarting'),
      rebuildState: () => rebuilder.state,
      bus: async () => ({ kind: bus.durable ? 'kafka' : 'in process', lag: await bus.lag() }),
      publishCheckpoints: () => sequencer.publishCheckpoints(),
      warnings: () => warningsOf({ disk, steady, newestRecordedMs: sequencer.newestRecordedMs() }),
      anchoring: (logId) => anchors.coverage(logId),
      settleAnchors: (logId, timeoutMs) => anchors.settle(logId, timeoutMs),
      verify,
      intakeOf: (sourceId) => intake.of(sourceId),
      inspectRedaction: (event, policy) =>
        createRedactor({ policy }).inspectEvent(event).redactions,
      eraser,
      exports,
    },
    receivers: {
      intake,
      authenticate: async (token, shown) => control.authenticateSource(token, shown),
      bus,
      waitForReceipt: (position, timeoutMs) => sequencer.waitForReceipt(position, timeoutMs),
      committed: (sourceId, logId, epoch) => sequencer.committedMarks(logId, sourceId, epoch),
      tokenKey: (logId) => keyring.tokenKey(logId),
      redactionPolicy: (sourceId, logId) => control.redactionPolicy(sourceId, logId),
      clock,
    },
    async stop() {
      await stopAll(consumer, bus)
      await eraser.stop()
      // The last checkpoints are compared with the trees before they are put outside.
      await sequencer.stop(() => anchors.stop())
      await rebuilder.stop()
      // First: a fold that waits for room in the feed would wait for ever. What is missing follows at the next start.
      await callFeed.close()
      await fold.stop()
      await reconciler.stop()
      await projector.close()
      await client.close()
      await columnar.stop()
      await signer.close()
      await keyring.close()
      await payloads.close()
      await storage.close()
      disk.stop()
    },
  }
}

async function stopAll(consumer: BusConsumer, bus: EventBus): Promise<void> {
  await consumer.stop()
  await bus.close()
}

async function openBus(
  configuration: Configuration,
  keyring: Awaited<ReturnType<typeof openFileKeyring>>,
  logger: Logger,
): Promise<EventBus> {
  if (configuration.kafka === undefined) return openInProcessBus()
  const { openKafkaBus } = await import('../ingest/bus/kafka-bus.ts')
  return openKafkaBus({
    brokers: [...configuration.kafka.brokers],
    topic: configuration.kafka.topic,
    tls: configuration.kafka.tls,
    sasl: configuration.kafka.sasl,
    clientId: 'sealtrail',
    groupId: `sealtrail-${configuration.logId}`,
    keyring,
    logger,
  })
}

/** What an operator must see to now. */
function warningsOf(seen: {
  readonly disk: DiskWatch
  readonly steady: SteadyClock
  readonly newestRecordedMs: number
}): string[] {
  const { disk, steady, newestRecordedMs } = seen
  const warnings: string[] = []
  const { room, state } = disk
  if (room !== undefined && state !== 'ok') {
    warnings.push(
      `${describeBytes(room.freeBytes)} of ${describeBytes(room.sizeBytes)} are left on the disk of the data directory: ${
        state === 'full'
          ? 'records are refused until there is room'
          : `below ${describeBytes(room.reserveBytes)} records are refused`
      }. Make room.`,
    )
  }
  const now = steady.now()
  if (steady.refusedStepMs !== 0) {
    warnings.push(
      `The clock of the machine jumped by ${describeStep(steady.refusedStepMs)}, which is not followed: records carry the time that has passed since. Set the clock; if it is right, restart Sealtrail.`,
    )
  }
  const behind = compareWithNewest(now, newestRecordedMs, true)
  if (behind !== undefined) warnings.push(`${behind}.`)
  return warnings
}

async function openIdentityProvider(
  { openId }: Configuration,
  clock: () => number,
): Promise<IdentityProvider | undefined> {
  if (openId === undefined) return undefined
  const { clientSecretFile, ...options } = openId
  const clientSecret =
    clientSecretFile === undefined
      ? undefined
      : (await readFile(clientSecretFile, 'utf8')).replace(/\r?\n$/, '')
  return new OpenIdProvider({ ...options, clientSecret }, clock)
}

/** First admin and source from files, for unattended starts. */
async function prepareAccounts(control: Control, configuration: Configuration): Promise<void> {
  const { adminName, adminPasswordFile, sourceSecretFile, logId } = configuration
  if (adminName !== undefined && adminPasswordFile !== undefined && control.accounts.needsSetup()) {
    const password = (await readFile(adminPasswordFile, 'utf8')).replace(/\r?\n$/, '')
    await control.accounts.createUser({ name: adminName, password, role: 'admin' }, 'operator')
  }
  if (sourceSecretFile !== undefined) {
    const secret = (await readFile(sourceSecretFile, 'utf8')).trim()
    await control.adoptSourceSecret(secret, { name: 'configured', logId })
  }
}
