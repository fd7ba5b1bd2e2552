import type { Verification } from '../verify/verify-evidence.ts'
import { HostileText } from './hostile-text.tsx'

/** Loud on every part: what is wrong, before anything of the event is read. */
export function FailureNotice({
  verification,
  onProof,
}: {
  verification: Verification
  onProof: () => void
}) {
  const failed = verification.checks.filter((check) => check.state === 'failed')
  return (
    <div role="alert" className="border-b border-bad bg-bad-soft px-4 py-2 text-[13px]">
      {failed.map((check) => (
        <p key={check.id} className="[overflow-wrap:anywhere]">
          <span className="font-semibold text-bad">Failed: {check.label}.</span>{' '}
          <HostileText text={check.detail} limit={300} />
        </p>
      ))}
      <button type="button" className="min-h-6 text-accent underline" onClick={onProof}>
        All checks
      </button>
    </div>
  )
}
