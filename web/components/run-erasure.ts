import { ErasureProgress } from '../../schemas/api/erasures.ts'
import { ApiError, requestLines } from '../api/request.ts'

export type ErasureStep = Extract<ErasureProgress, { kind: 'progress' }>
type ErasureEnd = Extract<ErasureProgress, { kind: 'preview' | 'result' }>

/** Sends a preview or an erasure and reports its steps until it ends. @throws ApiError as the server says */
export async function runErasure(
  path: '/api/v1/erasures' | '/api/v1/erasures/preview',
  body: unknown,
  onStep: (step: ErasureStep) => void,
): Promise<ErasureEnd> {
  let begun = false
  try {
    for await (const line of requestLines(ErasureProgress, path, { method: 'POST', body })) {
      begun = true
      if (line.kind === 'progress') onStep(line)
      else if (line.kind === 'problem') throw problemOf(line.code, line.detail)
      else return line
    }
  } catch (cause) {
    // A connection that breaks off between two lines says nothing of what was ordered.
    if (cause instanceof ApiError || !begun) throw cause
  }
  throw problemOf(
    'INTERNAL',
    path === '/api/v1/erasures'
      ? 'the answer broke off. What was ordered goes on: the list below says how far it is'
      : 'the answer broke off, and nothing was erased; try again in a moment',
  )
}

function problemOf(code: string, detail: string): ApiError {
  const title = 'This could not be done'
  const sentence = detail.replace(/\.$/, '')
  return new ApiError({ type: 'about:blank', title, status: 200, detail: sentence, code })
}
