'use client'

import { type UseQueryResult, useQuery } from '@tanstack/react-query'
import { useEffect, useMemo } from 'react'
import {
  type ListedRow,
  type LoadedEvent,
  loadEvent,
  rememberVerified,
  verifyLoaded,
} from './load-verified.ts'
import type { CompareMore, Verification } from './verify-evidence.ts'

/** An event with its evidence, verified in this browser against everything that the screen shows of it. */
export function useVerifiedEvent(
  eventId: string | undefined,
  listed: ListedRow | undefined,
  compareMore: CompareMore | undefined,
): { query: UseQueryResult<LoadedEvent>; verification: Verification | undefined } {
  const query = useQuery({
    queryKey: ['event', eventId],
    queryFn: ({ signal }) => loadEvent(eventId ?? '', signal),
    enabled: eventId !== undefined,
    // Opening an event is put on the record: once is enough. What is not published yet is asked for until it is.
    staleTime: Number.POSITIVE_INFINITY,
    refetchInterval: ({ state }) => (state.data?.detail.evidence.inclusion === null ? 2000 : false),
  })
  const loaded = query.data
  const verification = useMemo(
    () =>
      loaded === undefined || eventId === undefined
        ? undefined
        : verifyLoaded(eventId, loaded, listed, compareMore),
    [eventId, loaded, listed, compareMore],
  )
  useEffect(() => {
    if (loaded !== undefined && verification !== undefined) rememberVerified(loaded, verification)
  }, [loaded, verification])
  return { query, verification }
}
