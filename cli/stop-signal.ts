/** A second signal this soon is an echo: npm passes on what the terminal has sent to the whole group already. */
const echoMs = 1000

/** Exit code of a process that a signal ends. */
export const signalExitCodes = { SIGINT: 130, SIGTERM: 143 } as const
export type StopSignal = keyof typeof signalExitCodes

export interface SignalSource {
  on(signal: StopSignal, listener: () => void): unknown
}

/**
 * Resolves at the first SIGINT or SIGTERM. Whoever sends another, and means it, does not wait for the end.
 *
 * @param now milliseconds of a clock that only goes forward
 * @param exit ends the process at once
 */
export function untilStopSignal(
  source: SignalSource,
  now: () => number,
  exit: (code: number) => void,
): Promise<StopSignal> {
  return new Promise((resolve) => {
    let firstMs: number | undefined
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      source.on(signal, () => {
        if (firstMs === undefined) {
          firstMs = now()
          resolve(signal)
        } else if (now() - firstMs >= echoMs) exit(signalExitCodes[signal])
      })
    }
  })
}
