import { ApiError } from '../api/request.ts'

/** Why a form was not taken, in words that a person can do something with. */
export function FormError({ error }: { error: Error }) {
  // A browser's own words for "no answer" are not.
  const sentence =
    error instanceof ApiError ? error.message : 'the server does not answer; try again in a moment'
  return (
    <p role="alert" className="mb-4 rounded-md bg-bad-soft px-3 py-2 text-sm text-bad">
      <span className="block first-letter:uppercase">{sentence}.</span>
      {error instanceof ApiError && error.problem.hint !== undefined && (
        <span className="mt-1 block text-text">{error.problem.hint}</span>
      )}
    </p>
  )
}
