import type { FuzzTarget } from './fuzz-target.ts'
import { createMutator } from './mutate.ts'

export interface Finding {
  readonly decoder: string
  readonly what: string
  readonly input: Uint8Array
}

export interface FuzzResult {
  readonly decoder: string
  readonly seed: number
  readonly executions: number
  readonly signatures: number
  readonly cpuSeconds: number
  /** One of each kind: the same failure is told once. */
  readonly findings: readonly Finding[]
}

/** A decoder that needs longer for 64 KiB, in time of the processor, is slow enough to be an attack. */
const maxCpuMsEach = 1500
const maxCorpus = 4000

/** Feeds a decoder mutated inputs until `isOver`. Equal seeds give equal inputs. */
export async function fuzz(
  target: FuzzTarget,
  seed: number,
  isOver: (executions: number) => boolean,
  onFinding: (finding: Finding) => void = () => undefined,
): Promise<FuzzResult> {
  const mutator = createMutator(seed, target.dictionary)
  const corpus = [...target.corpus]
  const seen = new Set<string>()
  const findings = new Map<string, Finding>()
  const startedMicros = cpuMicros()
  let executions = 0
  const attempt = async (input: Uint8Array): Promise<void> => {
    const beforeMicros = cpuMicros()
    let kind: string | undefined
    let what = ''
    try {
      const signature = await target.check(input)
      if (!seen.has(signature)) {
        seen.add(signature)
        if (executions > 0 && corpus.length < maxCorpus) corpus.push(input)
      }
    } catch (error) {
      what = error instanceof Error ? (error.stack ?? error.message) : String(error)
      kind = error instanceof Error ? kindOf(error) : what
    }
    const tookMs = (cpuMicros() - beforeMicros) / 1000
    if (kind === undefined && tookMs > maxCpuMsEach) {
      kind = 'slow'
      what = `${Math.round(tookMs)} ms for ${input.length} bytes`
    }
    executions++
    if (kind === undefined || findings.has(kind)) return
    const finding = { decoder: target.name, what, input }
    findings.set(kind, finding)
    onFinding(finding)
  }
  for (const input of target.corpus) await attempt(input)
  while (!isOver(executions)) await attempt(mutator.next(corpus))
  return {
    decoder: target.name,
    seed,
    executions,
    signatures: seen.size,
    cpuSeconds: (cpuMicros() - startedMicros) / 1e6,
    findings: [...findings.values()],
  }
}

/** Where it was thrown, and what, without the figures that differ from input to input. */
function kindOf(error: Error): string {
  const place = error.stack?.split('\n').find((line) => line.includes('    at ')) ?? ''
  return `${error.name}: ${error.message.slice(0, 60).replaceAll(/\d+/g, 'n')} ${place}`
}

function cpuMicros(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}
