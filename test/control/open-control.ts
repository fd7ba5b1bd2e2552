import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { Sequencer } from '../../ingest/sequencer/sequencer.ts'
import type { LedgerReader } from '../../ledger/committed.ts'
import { Control } from '../../ledger/control/control.ts'
import { argon2id, type PasswordHasher } from '../../ledger/control/password-hash.ts'
import { openFileKeyring } from '../../ledger/keyring/file-keyring.ts'
import { createLedgerReader } from '../../ledger/ledger-reader.ts'
import { openFilePayloadStore } from '../../ledger/payloads/file-payload-store.ts'
import { openFileSigner } from '../../ledger/signer/file-signer.ts'
import { openFileStorage } from '../../ledger/storage/file-storage.ts'
import { testMasterKey } from '../fixtures/embedded-ledger.ts'

export interface ControlOverrides {
  readonly passwords?: PasswordHasher
  /** Stands between control and the real reader. */
  readonly reader?: (
    real: LedgerReader,
    sequencer: () => Sequencer,
    control: () => Control,
  ) => LedgerReader
}

/** Control over the real embedded ledger of a directory, wired as the product does it. */
export async function openControl(directory: string, overrides: ControlOverrides = {}) {
  const storage = await openFileStorage(join(directory, 'ledger'))
  const payloads = await openFilePayloadStore(join(directory, 'payloads'))
  const keyring = await openFileKeyring(join(directory, 'keyring'), testMasterKey)
  const signer = await openFileSigner(join(directory, 'signer'), testMasterKey)
  const reader = createLedgerReader({ storage, payloads, keyring })
  const clock = { nowMs: Date.parse('2026-11-24T12:00:00Z') }
  const control: Control = new Control({
    reader:
      overrides.reader?.(
        reader,
        () => sequencer,
        () => control,
      ) ?? reader,
    keyring,
    passwords: overrides.passwords ?? argon2id,
    clock: () => clock.nowMs,
    random: randomBytes,
  })
  const sequencer: Sequencer = new Sequencer({
    storage,
    payloads,
    keyring,
    signer,
    clock: () => clock.nowMs,
    random: randomBytes,
    observers: [control.observe],
    onError: () => undefined,
  })
  await sequencer.start()
  await control.load(sequencer)
  return {
    control,
    sequencer,
    storage,
    payloads,
    keyring,
    reader,
    clock,
    async close() {
      await sequencer.stop()
      await signer.close()
      await keyring.close()
      await payloads.close()
      await storage.close()
    },
  }
}

/** Everything that authentication goes by, for comparing two folds. */
export function stateOf(control: Control) {
  return {
    users: control.accounts.users(),
    sourceKeys: control.sourceKeys(),
    setup: control.accounts.needsSetup(),
  }
}
