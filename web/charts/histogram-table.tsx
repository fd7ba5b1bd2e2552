import type { HistogramReply } from '../../schemas/api/search.ts'

/** The histogram as numbers: for screen readers and for whoever wants to copy them. Empty buckets are left out. */
export function HistogramTable({ data }: { data: HistogramReply }) {
  const filled = data.buckets.filter(({ counts }) => Object.keys(counts).length > 0)
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
    <section className="h-32 overflow-auto" tabIndex={0} aria-label="Counts over time as a table">
      <table className="w-full text-xs">
        <thead className="sticky top-0 bg-raised">
          <tr>
            <th scope="col" className="label px-2 py-1 text-left">
              From (UTC), {data.bucketSeconds.toLocaleString('en')} s each
            </th>
            {data.series.map((key) => (
              <th scope="col" key={key} className="label px-2 py-1 text-right">
                {key.replaceAll('_', ' ')}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {filled.map(({ at, counts }) => (
            <tr key={at} className="border-t border-line/60">
              <td className="px-2 py-0.5 font-mono">{`${at.slice(0, 10)} ${at.slice(11, 19)}`}</td>
              {data.series.map((key) => (
                <td key={key} className="px-2 py-0.5 text-right tabular-nums">
                  {(counts[key] ?? 0).toLocaleString('en')}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}
