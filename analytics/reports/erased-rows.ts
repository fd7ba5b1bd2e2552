import type { Erasure } from '../../ledger/control/system-state.ts'
import { rootKeyIdOf } from '../../ledger/payloads/sealed-payload.ts'

/** An erasure that closed rows of a bundle. */
export interface ClosedRows {
  /** Leaf that says so; null while the erasure is carried out, or when no leaf says so. */
  readonly leaf: number | null
  /** Canonical timestamp. */
  readonly recordedAt: string | null
  readonly action: 'erase' | 'shred' | null
  readonly ground: string | null
  readonly rows: number
}

/** Counts the rows of a bundle that are closed for good, by the erasure that closed them. */
export class ErasedRows {
  readonly by = new Map<string, ClosedRows>()
  private count = 0
  private readonly byKey = new Map<string, Erasure>()
  private readonly byLeaf = new Map<number, Erasure>()

  constructor(erasures: readonly Erasure[], logId: string) {
    for (const erasure of erasures) {
      const { request } = erasure
      if (!('keyIds' in request) || request.logId !== logId) continue
      for (const keyId of request.keyIds) this.byKey.set(keyId, erasure)
      for (const leaf of request.leaves) this.byLeaf.set(leaf, erasure)
    }
  }

  get rows(): number {
    return this.count
  }

  /** @param payload absent when it was overwritten */
  add(leafIndex: number, payload: Uint8Array | undefined): void {
    this.count++
    const erasure =
      payload === undefined ? this.byLeaf.get(leafIndex) : this.byKey.get(rootKeyIdOf(payload))
    const id = erasure?.id ?? ''
    const rows = (this.by.get(id)?.rows ?? 0) + 1
    const request = erasure?.request
    const said = request !== undefined && 'keyIds' in request ? request : undefined
    this.by.set(id, {
      leaf: erasure?.completed?.leafIndex ?? null,
      recordedAt: erasure?.completed?.at ?? null,
      action: said?.action ?? null,
      ground: said?.ground ?? null,
      rows,
    })
  }
}
