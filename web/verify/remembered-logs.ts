import { z } from 'zod'
import { hex } from '../../schemas/bytes.ts'
import { readCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import type { Remembered } from './verify-checkpoint.ts'

const Stored = z.object({
  verifierKey: z.string(),
  size: z.number(),
  root: z.string(),
  pinnedAt: z.string().optional(),
})

/** What this browser remembers of a log; undefined before first sight. */
export function rememberedLog(logId: string): Remembered | undefined {
  const text = localStorage.getItem(`log/${logId}`)
  if (text === null) return undefined
  try {
    return Stored.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** Remembers a checkpoint that verified, under the pinned key or one that it leads to. Never goes back to a smaller one. */
export function rememberLog(logId: string, verifierKey: string, checkpoint: string): void {
  const { size, root } = readCheckpoint(checkpoint)
  const known = rememberedLog(logId)
  if (known !== undefined && known.size >= size) return
  localStorage.setItem(
    `log/${logId}`,
    JSON.stringify({
      verifierKey,
      size,
      root: hex(root),
      pinnedAt: known?.pinnedAt ?? new Date().toISOString(),
    }),
  )
}

/** For a person who knows why a key changed; until then a changed key fails every check. */
export function forgetLog(logId: string): void {
  localStorage.removeItem(`log/${logId}`)
}
