import type { ErasureStep } from './run-erasure.ts'

/** How far a preview or an erasure is. */
export function ErasureStepLine({ label, step }: { label: string; step: ErasureStep | undefined }) {
  return (
    <div className="mt-4 flex items-center gap-3">
      <progress
        className="w-full accent-[var(--accent)]"
        aria-label={label}
        {...(step !== undefined && step.total > 0 ? { max: step.total, value: step.done } : {})}
      />
      <span role="status" className="w-72 shrink-0 text-right text-muted">
        {step === undefined ? 'one moment …' : `${step.stage} …`}
      </span>
    </div>
  )
}
