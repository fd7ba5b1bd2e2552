import type { z } from 'zod'
import { Problem } from '../../schemas/api/problem.ts'

/** A refusal or failure of the API, as problem details. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.detail)
    this.problem = problem
  }
}

interface RequestOptions {
  readonly method?: 'GET' | 'POST'
  readonly body?: unknown
  readonly params?: Readonly<Record<string, string | number | undefined>>
  readonly signal?: AbortSignal
}

/** Asks the API and checks the answer against its schema. @throws ApiError */
export async function request<T>(
  schema: z.ZodType<T>,
  path: string,
  options: RequestOptions = {},
): Promise<T> {
  const response = await send(path, options)
  if (!response.ok) throw new ApiError(await problemOf(response))
  return checked(schema, await jsonOf(response))
}

/** Lines of an NDJSON answer as they arrive. */
export async function* requestLines<T>(
  schema: z.ZodType<T>,
  path: string,
  options: RequestOptions = {},
): AsyncIterable<T> {
  const response = await send(path, options)
  if (!response.ok || response.body === null) throw new ApiError(await problemOf(response))
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return
    const lines = (rest + value).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line !== '') yield checked(schema, JSON.parse(line))
  }
}

/** @throws ApiError when an answer is not what this page was written for: it is shown to nobody. */
function checked<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const where = issue === undefined || issue.path.length === 0 ? '' : ` at ${issue.path.join('.')}`
  throw unexpected(200, `its answer is not in the agreed form${where}: ${issue?.message ?? ''}`)
}

async function jsonOf(response: Response): Promise<unknown> {
  try {
    return await response.json()
  } catch (cause) {
    if (cause instanceof SyntaxError) throw unexpected(response.status, 'its answer is no JSON')
    throw cause
  }
}

function unexpected(status: number, detail: string): ApiError {
  const title = 'The server did not answer as expected'
  const hint = 'Reload this page: it may be older than the server.'
  return new ApiError({ type: 'about:blank', title, status, detail, code: 'INTERNAL', hint })
}

function send(
  path: string,
  { method = 'GET', body, params = {}, signal }: RequestOptions,
): Promise<Response> {
  const url = new URL(path, window.location.origin)
  for (const [key, value] of Object.entries(params)) {
    if (value !== undefined) url.searchParams.set(key, String(value))
  }
  return fetch(url, {
    method,
    credentials: 'same-origin',
    signal: signal ?? null,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  })
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    return Problem.parse(await response.json())
  } catch {
    return unexpected(response.status, `it answered ${response.status}`).problem
  }
}
