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
  for await (const line of requestLines(ErasureProgress, path, { method: 'POST', body })) {
    if (line.kind === 'progress') onStep(line)
    else if (line.kind === 'problem') throw problemOf(line.code, line.detail)
    else return line
  }
  throw problemOf(
    'INTERNAL',
    'the answer broke off. What was ordered goes on: the list below says how far it is',
  )
}

function problemOf(code: string, detail: string): ApiError {
  const title = 'This could not be done'
  const sentence = detail.replace(/\.$/, '')
  return new ApiError({ type: 'about:blank', title, status: 200, detail: sentence, code })
}
