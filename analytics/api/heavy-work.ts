import { SealtrailError } from '../../schemas/errors.ts'

/** Lets only so much work at once be done that reads whole logs: nobody may take the process from those who wait. */
export class HeavyWork {
  private readonly most: number
  private running = 0

  constructor(most: number) {
    this.most = most
  }

  /**
   * @param what in the plural, for the refusal
   * @returns call it once when the work is over; a second call does nothing
   * @throws SealtrailError `RATE_LIMITED`
   */
  begin(what: string): () => void {
    if (this.running >= this.most) {
      throw new SealtrailError('RATE_LIMITED', `${this.running} ${what} are running`, {
        retryable: true,
        hint: 'Wait until one of them is finished.',
      })
    }
    this.running++
    let over = false
    return () => {
      if (over) return
      over = true
      this.running--
    }
  }
}
