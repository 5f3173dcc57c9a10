/** Section of the report that sets the verdict beside the published rules of others, with its plots. */
import { quantile } from '../measure.ts'
import { backOf, JUDGES, type Judged, judge, VERDICT_REQUESTS } from './beside.ts'
import { figure, percent, plainly, spread, table } from './format.ts'
import { type Axis, dotPlot, gridPlot, linePlot, type Point } from './plot.ts'
import { type Run, type Section, shown } from './section.ts'
import { looksOf, WEIGHT } from './settings.ts'
import { equal, FAULTS, RATES, type Stream, WEATHER, worse } from './streams.ts'

/** Requests to a look. */
const LOOK = 5
/** Looks a second of runs that go on to the end: how often one looks does not change what an equal version is taken for. */
const CALM_LOOKS = 20

const SHARES = [0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1] as const
const EQUAL_SHARES = [0.001, 0.01, 0.05] as const
const WORSE_SHARES = [0.03, 0.05, 0.2] as const

const powers = (least: number, most: number, label: (value: number) => string): [number, string][] =>
  Array.from({ length: most - least + 1 }, (_, at) => [10 ** (least + at), label(10 ** (least + at))])
const inTime = (seconds: number) => `${plainly(seconds)} s`

const SHARE_AXIS: Axis = {
  label: 'share of requests that the new version fails (the live one fails 1 %)',
  ticks: SHARES.map((share) => [share, percent(share)]),
  min: 0.02,
  max: 1,
}
const RATE_AXIS: Axis = {
  label: 'requests in all, of which the new version gets 10 %',
  ticks: RATES,
  min: 1 / 60,
  max: 100_000,
}
const SECONDS_AXIS: Axis = {
  label: 'seconds until rollback (logarithmic)',
  ticks: powers(-2, 3, inTime),
  min: 0.01,
  max: 2_000,
}
const failedAxis = (power: number): Axis => ({
  label: 'failed requests until rollback (logarithmic)',
  ticks: [[1, '≤ 1'], ...powers(1, power, plainly)],
  min: 1,
  max: 10 ** power * 2,
})

const HOLLOW =
  'Marks: median; thin lines up to the 95th percentile. Hollow: rolled back in fewer than half of the runs.'

/** Who was caught, how often. */
type Row = readonly Judged[]

/** A line for each judge: the quantity over x. */
function lines(xs: readonly number[], rows: readonly Row[], by: 'failed' | 'seconds') {
  return JUDGES.map((name, at) => ({
    name,
    points: rows.map((row, nth): Point => {
      const list = row[at][by]
      const y = list.length === 0 ? null : quantile(list, 0.5)
      return { x: xs[nth], y, to: quantile(list, 0.95), isHollow: backOf(row[at]) < 0.5 }
    }),
  }))
}

const cells = (row: Row, by: 'failed' | 'seconds') =>
  row.map((judged) => `${spread(judged[by])}${backOf(judged) === 1 ? '' : ` (${percent(backOf(judged))})`}`)

function byShare({ runs, seed, say }: Run) {
  const rows = SHARES.map((share) => {
    say(`beside: ${percent(share)} and 1 %`)
    return judge(worse(100, share, percent(share)), { runs, seed, looks: looksOf(100, LOOK) })
  })
  const words = {
    subtitle: [
      `100 requests/s, a tenth of them to the new version; ${plainly(runs)} runs of half an hour each.`,
      HOLLOW,
    ] as const,
  }
  const tableBy = (by: 'failed' | 'seconds') =>
    table(
      ['new version fails', ...JUDGES],
      rows.map((row, at) => [percent(SHARES[at]), ...cells(row, by)]),
    )
  const plots = {
    'failed-by-share.svg': linePlot(
      { ...words, title: 'How many requests fail before a bad release is rolled back' },
      ...([SHARE_AXIS, failedAxis(4), lines(SHARES, rows, 'failed')] as const),
    ),
    'time-by-share.svg': linePlot(
      { ...words, title: 'How long it takes until a bad release is rolled back' },
      ...([
        SHARE_AXIS,
        { ...SECONDS_AXIS, ticks: powers(-1, 3, inTime), min: 0.1 },
        lines(SHARES, rows, 'seconds'),
      ] as const),
    ),
  }
  const text = `### A release that fails more

${plainly(runs)} runs each at 100 requests/s; the live version fails 1 %. Failed requests of the canary until it was rolled back, median / p95; in brackets the share of the runs
that were, where not all:

${tableBy('failed')}

${shown('failed-by-share.svg', 'Failed requests until rollback, by the failure rate of the new version')}

Seconds until then:

${tableBy('seconds')}

${shown('time-by-share.svg', 'Seconds until rollback, by the failure rate of the new version')}`
  return { text, plots }
}

function byRate({ runs, seed, say }: Run) {
  const rates = RATES.map(([rate]) => rate)
  const rows = RATES.map(([rate, title]) => {
    say(`beside: 20 % and 1 %, ${title}`)
    return judge(worse(rate, 0.2, title), { runs, seed, looks: looksOf(rate, LOOK) })
  })
  const words = {
    subtitle: [
      `The new version fails 20 %, the live one 1 %; ${plainly(runs)} runs of half an hour each.`,
      HOLLOW,
    ] as const,
  }
  const tableBy = (by: 'failed' | 'seconds') =>
    table(
      ['requests', ...JUDGES],
      rows.map((row, at) => [RATES[at][1], ...cells(row, by)]),
    )
  const plots = {
    'failed-by-traffic.svg': linePlot(
      { ...words, title: 'How many requests fail before it is rolled back, by traffic' },
      ...([RATE_AXIS, failedAxis(6), lines(rates, rows, 'failed')] as const),
    ),
    'time-by-traffic.svg': linePlot(
      { ...words, title: 'How long it takes until it is rolled back, by traffic' },
      ...([RATE_AXIS, SECONDS_AXIS, lines(rates, rows, 'seconds')] as const),
    ),
  }
  const text = `### The same fault at any traffic

${plainly(runs)} runs each; the canary fails 20 %, the live version 1 %. Failed requests of the canary until it was rolled back:

${tableBy('failed')}

${shown('failed-by-traffic.svg', 'Failed requests until rollback, by traffic')}

Seconds until then:

${tableBy('seconds')}

${shown('time-by-traffic.svg', 'Seconds until rollback, by traffic')}`
  return { text, plots }
}

function byKind({ runs, seed, say }: Run) {
  const rowsOf = (streams: readonly Stream[], looks: number) =>
    streams.map((stream) => {
      say(`beside: ${stream.title}`)
      return judge(stream, { runs, seed, looks })
    })
  const faults = rowsOf(FAULTS, looksOf(100, LOOK))
  const weather = rowsOf(WEATHER, looksOf(100, LOOK))
  const tableBy = (streams: readonly Stream[], rows: readonly Row[], cell: (judged: Judged) => string) =>
    table(
      ['', ...JUDGES],
      rows.map((row, at) => [streams[at].title, ...row.map(cell)]),
    )
  const median = (list: readonly number[]) => (list.length === 0 ? '–' : figure(quantile(list, 0.5)))
  const caught = (judged: Judged) =>
    judged.failed.length === 0
      ? '0 %'
      : `${percent(backOf(judged))}: ${median(judged.users)} users, ${median(judged.seconds)} s`
  // The median of all runs: one that was never rolled back is beyond any other.
  const panelOf = (axis: Axis, by: 'users' | 'seconds') => ({
    axis,
    rows: faults.map((row) => row.map((judged) => judged[by][Math.floor(judged.runs / 2)] ?? null)),
  })
  const usersAxis = {
    label: 'users harmed (median)',
    ticks: [[1, '≤ 1'] as const, ...powers(1, 3, plainly)],
    min: 1,
    max: 1_000,
  }
  const secondsAxis = { label: 'time until rollback (median)', ticks: powers(0, 3, inTime), min: 1, max: 2_000 }
  const plot = dotPlot(
    {
      title: 'Users harmed until rollback, by the kind of fault',
      subtitle: [
        `100 requests/s, a tenth of them to the new version; ${plainly(runs)} runs of half an hour each.`,
        'Marks: medians of all runs. Hollow, at the right: not rolled back in most of them.',
      ],
    },
    ...([JUDGES, FAULTS.map(({ title }) => title)] as const),
    [panelOf(usersAxis, 'users'), panelOf(secondsAxis, 'seconds')],
    'goes on',
  )
  const text = `### Faults of every kind

${plainly(runs)} runs each at 100 requests/s; beside the fault both versions fail at 1 %. Share that was rolled back, and the medians of the users harmed and of the time
until then:

${tableBy(FAULTS, faults, caught)}

${shown('users-by-kind.svg', 'Users harmed and time until rollback, by the kind of fault')}

Releases without a fault: share rolled back, and share that goes on after the half hour.

${tableBy(WEATHER, weather, (judged) => `${percent(backOf(judged))}, ${percent(judged.advanced / judged.runs)}`)}`
  return { text, plots: { 'users-by-kind.svg': plot } }
}

/** Fewer runs where there is so much traffic that each takes seconds. */
const affordable = (rate: number, runs: number) =>
  rate > 1_000
    ? Math.max(2, Math.floor(runs / (rate > 10_000 ? 10 : 5)))
    : rate > 100
      ? Math.max(2, Math.floor(runs / 2))
      : runs

function grid(
  { runs, seed, say }: Run,
  shares: readonly number[],
  streamOf: (rate: number, share: number) => Stream,
  of: (judged: Judged) => number,
) {
  return shares.map((share) =>
    RATES.map(([rate, title]) => {
      say(`beside: ${percent(share)}, ${title}`)
      const looks = Math.min(CALM_LOOKS, looksOf(rate, LOOK))
      return judge(streamOf(rate, share), { runs: affordable(rate, runs), seed, looks }).map(of)
    }),
  )
}

/** Rates in the rows, or in the columns of the plot. */
const turned = (rows: readonly (readonly number[])[]) => JUDGES.map((_, at) => rows.map((row) => row[at]))

function wrongly(run: Run) {
  const back = grid(run, EQUAL_SHARES, (rate, share) => equal(rate, share, ''), backOf)
  const on = grid(
    run,
    WORSE_SHARES,
    (rate, share) => worse(rate, share, ''),
    ({ advanced, runs }) => advanced / runs,
  )
  const columns = RATES.map(([, title]) => title)
  const words = `A tenth of the requests to the new version for half an hour; ${plainly(run.runs)} runs each, fewer above 100/s.`
  const label = 'requests in all'
  const tableOf = (shares: readonly number[], name: (share: number) => string, found: typeof back) =>
    table(
      ['', ...JUDGES],
      shares.flatMap((share, at) =>
        RATES.map(([, title], nth) => [`${name(share)}, ${title}`, ...found[at][nth].map(percent)]),
      ),
    )
  const plots = {
    'false-rollbacks.svg': gridPlot(
      { title: 'Equal releases that are rolled back', subtitle: ['Nothing is wrong with them.', words] },
      ...([JUDGES, columns] as const),
      EQUAL_SHARES.map((share, at) => ({ title: `both versions fail ${percent(share)}`, shares: turned(back[at]) })),
      label,
    ),
    'false-advances.svg': gridPlot(
      { title: 'Bad releases that go on to the next step', subtitle: ['The live version fails 1 %.', words] },
      ...([JUDGES, columns] as const),
      WORSE_SHARES.map((share, at) => ({ title: `the new version fails ${percent(share)}`, shares: turned(on[at]) })),
      label,
    ),
  }
  const runsOf = RATES.map(([rate, title]) => `${affordable(rate, run.runs)} at ${title}`).join(', ')
  const text = `### False rollbacks

Equal releases that were rolled back within half an hour, by the failure rate of both and by traffic. Runs of each row: ${runsOf}. At
100,000/s the verdict is fed for the first ${figure(VERDICT_REQUESTS / 100_000)} s only, ${figure(VERDICT_REQUESTS / 1e6)} million requests.

${tableOf(EQUAL_SHARES, (share) => `both ${percent(share)}`, back)}

${shown('false-rollbacks.svg', 'Share of equal releases that are rolled back, by failure rate and traffic')}

### False advances

Releases that fail more than the live version's 1 % and go on to the next step after the half hour. The verdict bears 2 points, so 3 % is just
what it has to find. Neither rolled back nor let on is a release that waits for more traffic.

${tableOf(WORSE_SHARES, (share) => `fails ${percent(share)}`, on)}

${shown('false-advances.svg', 'Share of bad releases that advance, by failure rate and traffic')}`
  return { text, plots }
}

/** The verdict beside the rules of others. */
export const compared: Section = (run) => {
  const some = { ...run, runs: Math.max(10, Math.floor(run.runs / 10)) }
  const parts = [byShare(run), byRate(some), byKind(some), wrongly(some)]
  const text = `## Beside the rules of others

The same streams for all: half an hour at ${percent(WEIGHT)}. Their metrics are taken to be fresh, which they are not. Flagger: 1 m × 5, success ≥ 99 %, p99 ≤ 500 ms.
Argo's example: 5 m × 6, ≥ 95 %, failureLimit 3; strict: 1 m × 30, failureLimit 0. Script: 5 % over 300 s, each 15 s. The verdict looks once
for each ${LOOK} requests, at most every 10 ms.

${parts.map(({ text: words }) => words).join('\n\n')}`
  return { text, plots: Object.assign({}, ...parts.map(({ plots }) => plots)) }
}
