import type { BusPosition } from '../../ledger/segment.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import type { Receipt } from '../../schemas/receipt.ts'

const maxKept = 10_000

/** Receipts of recent bus positions, for the receivers that wait for them. Bounded. */
export class ReceiptBook {
  private readonly receipts = new Map<string, Receipt>()
  private readonly waiting = new Map<string, ((outcome: Receipt | Error) => void)[]>()

  put(position: BusPosition, receipt: Receipt): void {
    const key = keyOf(position)
    const waiters = this.waiting.get(key)
    if (waiters !== undefined) {
      this.waiting.delete(key)
      for (const resolve of waiters) resolve(receipt)
      return
    }
    this.receipts.set(key, receipt)
    if (this.receipts.size <= maxKept) return
    const oldest = this.receipts.keys().next()
    if (!oldest.done) this.receipts.delete(oldest.value)
  }

  /** Whoever waits is told that it is not in now; it may still come in, when the bus delivers it again. */
  refuse(position: BusPosition, error: Error): void {
    const key = keyOf(position)
    const waiters = this.waiting.get(key) ?? []
    this.waiting.delete(key)
    for (const settle of waiters) settle(error)
  }

  wait(position: BusPosition, timeoutMs: number): Promise<Receipt> {
    const key = keyOf(position)
    const known = this.receipts.get(key)
    if (known !== undefined) {
      this.receipts.delete(key)
      return Promise.resolve(known)
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const rest = this.waiting.get(key)?.filter((each) => each !== settle) ?? []
        if (rest.length === 0) this.waiting.delete(key)
        else this.waiting.set(key, rest)
        reject(
          new SealtrailError('LEDGER_UNAVAILABLE', `not durable within ${timeoutMs} ms`, {
            retryable: true,
            hint: 'Send the request again: what is in the ledger by then is answered as a duplicate.',
          }),
        )
      }, timeoutMs)
      const settle = (outcome: Receipt | Error) => {
        clearTimeout(timer)
        if (outcome instanceof Error) reject(outcome)
        else resolve(outcome)
      }
      this.waiting.set(key, [...(this.waiting.get(key) ?? []), settle])
    })
  }
}

function keyOf(position: BusPosition): string {
  return `${position.topic}/${position.incarnation}/${position.partition}/${position.offset}`
}
