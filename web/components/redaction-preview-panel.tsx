import Link from 'next/link'
import type { RedactionPreview } from '../../schemas/api/redaction.ts'
import { HostileText } from './hostile-text.tsx'

/** What a policy would do to stored events, with a few of them to look at. */
export function RedactionPreviewPanel({ preview }: { preview: RedactionPreview }) {
  return (
    <section className="panel p-4" aria-label="Preview">
      <h2 className="font-semibold">
        {preview.changed.toLocaleString('en')} of the newest {preview.events.toLocaleString('en')}{' '}
        events would be changed
      </h2>
      <p className="text-muted">
        Nothing was changed. That stored events were looked at is on the record.
      </p>
      {preview.counts.length > 0 && (
        <table className="mt-3 w-full text-sm">
          <thead>
            <tr className="border-b border-line text-left">
              <th className="label py-1.5 pr-3">What</th>
              <th className="label px-3 py-1.5 text-right">Values</th>
              <th className="label px-3 py-1.5 text-right">Events</th>
              <th className="label py-1.5 pl-3">For example</th>
            </tr>
          </thead>
          <tbody className="divide-y divide-line">
            {preview.counts.map(({ rule, action, values, events }) => (
              <tr key={`${rule} ${action}`} className="align-top">
                <td className="whitespace-nowrap py-2 pr-3">
                  {action} <span className="font-medium">{rule}</span>
                </td>
                <td className="px-3 py-2 text-right tabular-nums">{values}</td>
                <td className="px-3 py-2 text-right tabular-nums">{events}</td>
                <td className="py-2 pl-3">
                  <ul>
                    {preview.examples
                      .filter((each) => each.rule === rule && each.action === action)
                      .map(({ eventId, path }) => (
                        <li key={`${eventId} ${path}`} className="font-mono text-xs">
                          <Link
                            href={`/explore?view=events&t=90d&ev=${encodeURIComponent(eventId)}`}
                            className="inline-block min-h-6 py-1 underline decoration-dotted [overflow-wrap:anywhere]"
                          >
                            <HostileText text={path} limit={160} />
                          </Link>
                        </li>
                      ))}
                  </ul>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  )
}
