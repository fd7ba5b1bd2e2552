'use client'

import dynamic from 'next/dynamic'
import type { FindingDetail } from '../../schemas/api/findings.ts'
import { ShareBaselineChart } from '../charts/share-baseline-chart.tsx'
import { formatInstant, formatProbability } from '../format/instant.ts'
import { HostileText } from './hostile-text.tsx'

const SeriesBaselineChart = dynamic(
  () => import('../charts/series-baseline-chart.tsx').then((module) => module.SeriesBaselineChart),
  {
    ssr: false,
    loading: () => <div className="h-60" />,
  },
)

/** Why a detector fired, as data: what was observed against what is usual, what each part weighs, what would have changed it. */
export function FindingExplanation({
  detail: { finding, explanation },
}: {
  detail: FindingDetail
}) {
  const { baseline, window: learnt, contributions } = explanation
  const total = contributions.reduce((sum, { nats }) => sum + Math.max(0, nats), 0)
  const facts = [
    { label: 'Compared', text: explanation.subject },
    { label: 'Observed', text: explanation.observed },
    { label: 'Expected', text: explanation.expected },
    {
      label: 'Learnt from',
      text: `${learnt.samples.toLocaleString('en')} samples, ${formatInstant(learnt.from).slice(0, 16)} to ${formatInstant(learnt.until).slice(0, 16)} UTC`,
    },
    {
      label: 'Chance of this',
      text: `${formatProbability(finding.p)} (p = ${finding.p.toPrecision(2)})`,
    },
    { label: 'Fires below', text: `p = ${explanation.threshold.toPrecision(2)}` },
  ]
  return (
    <>
      <section className="panel p-5" aria-labelledby="baseline">
        <h2 id="baseline" className="mb-4 font-semibold">
          Observed against what is usual for{' '}
          <HostileText
            text={`${explanation.entity.kind} ${explanation.entity.value}`}
            limit={120}
          />
        </h2>
        {baseline.kind === 'share' ? (
          <ShareBaselineChart baseline={baseline} />
        ) : (
          <SeriesBaselineChart baseline={baseline} />
        )}
        <dl className="mt-4 grid grid-cols-2 gap-x-6 gap-y-3 border-t border-line pt-4 lg:grid-cols-3">
          {facts.map(({ label, text }) => (
            <div key={label} className="min-w-0">
              <dt className="label">{label}</dt>
              <dd className="mt-0.5 [overflow-wrap:anywhere]">
                <HostileText text={text} limit={240} />
              </dd>
            </div>
          ))}
        </dl>
      </section>
      <section className="panel overflow-x-auto" aria-labelledby="score">
        <h2 id="score" className="px-5 pb-3 pt-5 font-semibold">
          What the score is made of
        </h2>
        <table className="w-full min-w-[34rem]">
          <thead>
            <tr className="border-y border-line bg-raised text-left">
              <th scope="col" className="label px-5 py-1.5">
                Part
              </th>
              <th scope="col" className="label px-3 py-1.5">
                Observed
              </th>
              <th scope="col" className="label px-3 py-1.5">
                Expected
              </th>
              <th scope="col" className="label w-56 px-5 py-1.5 text-right">
                Share of the score
              </th>
            </tr>
          </thead>
          <tbody className="divide-y divide-line">
            {contributions.map((each) => {
              const share = total === 0 ? 0 : Math.max(0, each.nats) / total
              return (
                <tr key={each.feature}>
                  <td className="px-5 py-2">
                    <HostileText text={each.feature} limit={128} />
                  </td>
                  <td className="px-3 py-2 font-mono text-xs">
                    <HostileText text={each.observed} limit={160} />
                  </td>
                  <td className="px-3 py-2 text-muted">
                    <HostileText text={each.expected} limit={160} />
                  </td>
                  <td className="px-5 py-2">
                    <span className="flex items-center justify-end gap-3">
                      <span
                        className="h-1.5 w-20 overflow-hidden rounded-full bg-raised"
                        aria-hidden
                      >
                        <span
                          className="block h-full rounded-full bg-bad"
                          style={{ width: `${share * 100}%` }}
                        />
                      </span>
                      <span
                        className="w-24 text-right tabular-nums"
                        title={`${each.nats.toFixed(2)} nats`}
                      >
                        {(share * 100).toFixed(0)} %{' '}
                        <span className="text-muted">· {each.nats.toFixed(1)}</span>
                      </span>
                    </span>
                  </td>
                </tr>
              )
            })}
          </tbody>
        </table>
        <div className="border-t border-line px-5 py-4">
          <h3 className="label">What would have made it not fire</h3>
          <p className="mt-1">
            <HostileText text={explanation.counterfactual} limit={600} />
          </p>
        </div>
      </section>
    </>
  )
}
