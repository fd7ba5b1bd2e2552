'use client'

import { Failure } from '../components/states.tsx'

export default function ErrorPage({ error, reset }: { error: Error; reset: () => void }) {
  return <Failure error={error} onRetry={reset} />
}
