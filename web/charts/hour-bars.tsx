/** Bars of the last hours, oldest first; the figures stand in a table for who cannot see them. */
export function HourBars({
  hours,
}: {
  hours: readonly { readonly from: string; readonly events: number }[]
}) {
  const most = Math.max(1, ...hours.map(({ events }) => events))
  return (
    <div className="p-4">
      <div className="flex h-24 items-end gap-1" aria-hidden>
        {hours.map(({ from, events }) => (
          <div
            key={from}
            className={`flex-1 rounded-t-sm ${events === 0 ? 'bg-raised' : 'bg-accent'}`}
            style={{ height: `${Math.max(2, (events / most) * 100)}%` }}
            title={`${from.slice(11, 16)}: ${events.toLocaleString('en')}`}
          />
        ))}
      </div>
      <div className="mt-1 flex justify-between font-mono text-xs text-muted" aria-hidden>
        <span>{hours[0]?.from.slice(11, 16)}</span>
        <span>
          {hours.every(({ events }) => events === 0)
            ? 'no event'
            : `at most ${most.toLocaleString('en')} an hour`}
        </span>
        <span>{hours.at(-1)?.from.slice(11, 16)}</span>
      </div>
      <table className="sr-only">
        <caption>Events of each hour</caption>
        <tbody>
          {hours.map(({ from, events }) => (
            <tr key={from}>
              <th scope="row">{from.slice(0, 16)}</th>
              <td>{events}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
