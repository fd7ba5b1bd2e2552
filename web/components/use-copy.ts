'use client'

import { useState } from 'react'
import { copyText } from '../format/copy-text.ts'

const shownMs = 1500

/** Copies a text and says for a moment how that went. */
export function useCopy(): {
  outcome: 'copied' | 'refused' | undefined
  copy: (text: string) => Promise<void>
} {
  const [outcome, setOutcome] = useState<'copied' | 'refused'>()
  const copy = async (text: string) => {
    setOutcome((await copyText(text)) ? 'copied' : 'refused')
    setTimeout(() => setOutcome(undefined), shownMs)
  }
  return { outcome, copy }
}
