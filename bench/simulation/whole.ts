/** Section of the report on whole rollouts: steps, holds and the bake, under every kind of stream and traffic. */
import { percent, plainly, spread, table } from './format.ts'
import { type Ended, simulateMany } from './rollouts.ts'
import type { Run, Section } from './section.ts'
import { equal, FAULTS, RATES, type Stream, WEATHER, worse } from './streams.ts'

const SCENE = { strategy: { strategy: '5-10-25-50', step: { forMs: 60_000 } }, secondsMax: 7_200, bakeMs: 60_000 }
/** Above this rate a rollout takes seconds to simulate, so few are. */
const CHEAP_RATE = 1_000

const [, ...WEATHERS] = WEATHER
/** Of these there are as many runs as are asked for: with 1,000 runs, 10,000 equal releases. */
const EQUAL: readonly Stream[] = [
  ...[0, 0.001, 0.01, 0.05, 0.2].map((rate) => equal(100, rate, `equal, ${percent(rate)}`)),
  ...WEATHERS.slice(0, 5),
]
/** Of these, which take longer, fewer. */
const EQUAL_LONG: readonly Stream[] = WEATHERS.slice(5)
const WORSE: readonly Stream[] = [
  ...[0.2, 0.05, 0.03, 0.02].map((rate) => worse(100, rate, `always ${percent(rate)}`)),
  ...FAULTS,
]
const BY_RATE: readonly Stream[] = RATES.flatMap(([rate, title]) => [
  equal(rate, 0.01, `${title}, equal`),
  worse(rate, 0.05, `${title}, 5 % and 1 %`),
])

const HEAD = [
  '',
  'runs',
  'done',
  'rolled back',
  'undecided',
  's until done',
  's until rolled back',
  'failed',
  'users harmed',
]

/** How the runs of a scene ended, and how long they took to simulate. */
interface Ran {
  readonly stream: Stream
  readonly ended: readonly Ended[]
  readonly ms: number
}

export const whole: Section = (run) => {
  const { runs } = run
  const some = { ...run, runs: Math.max(5, Math.floor(runs / 10)) }
  const few = { ...run, runs: Math.max(2, Math.floor(runs / 100)) }
  const equals = EQUAL.map((stream) => simulated(stream, run))
  const longs = EQUAL_LONG.map((stream) => simulated(stream, some))
  const faults = WORSE.map((stream) => simulated(stream, { ...run, runs: some.runs * 2 }))
  const rates = BY_RATE.map((stream) => simulated(stream, stream.rate > CHEAP_RATE ? few : some))
  const tableOf = (rows: readonly Ran[]) => table(HEAD, rows.map(cells))
  const text = `## Whole rollouts

Five steps (5, 10, 25, 50 and 95 % of the traffic, at least a minute each) and a bake, with failures and slow answers judged; at most two hours.
Times and harm are median / p95, harm until the rollback. Every change of state is the product's \`step\`, every look its \`Verdict\`. A user sends a request every
20 s, ten in all. Sticky: users stay with their version, and count as failed once in a step. The live pool has 10 targets, the new one 2.
${pace([...equals, ...longs, ...faults])}

Equal releases, at 100 requests/s; where nothing is said both versions fail 1 %. ${backs(equals)}

${tableOf([...equals, ...longs])}

Releases with a fault, at 100 requests/s; the live version fails 1 %, and the new one too beside its fault:

${tableOf(faults)}

By traffic; the live version fails 1 %:

${tableOf(rates)}`
  return { text, plots: {} }
}

function simulated(stream: Stream, { runs, seed, say }: Run): Ran {
  const beganMs = performance.now()
  const ended = simulateMany({ ...SCENE, stream }, runs, seed)
  say(`rollout, ${stream.title}: ${ended.filter(({ end }) => end === 'rolledBack').length} of ${runs} rolled back`)
  return { stream, ended, ms: performance.now() - beganMs }
}

function cells({ stream, ended }: Ran): (string | number)[] {
  const of = (end: Ended['end']) => ended.filter((run) => run.end === end)
  const [done, back, open] = [of('done'), of('rolledBack'), of('undecided')]
  const sorted = (list: readonly Ended[], by: 'seconds' | 'failed' | 'users') =>
    spread(list.map((run) => run[by]).sort((a, b) => a - b))
  return [
    ...[stream.title, ended.length, done.length, back.length, open.length],
    ...[sorted(done, 'seconds'), sorted(back, 'seconds'), sorted(back, 'failed'), sorted(back, 'users')],
  ]
}

/** How many of the equal ones were rolled back, and for what. */
function backs(rows: readonly Ran[]): string {
  const ended = rows.flatMap((row) => row.ended)
  const reasons = ended.flatMap(({ end, reason }) => (end === 'rolledBack' ? [reason ?? ''] : []))
  const counts = [...new Set(reasons)]
    .sort()
    .map((one) => `${one} ${reasons.filter((reason) => reason === one).length}`)
  const why = counts.length === 0 ? '' : ` (${counts.join(', ')})`
  return `Of the first ${rows.length} rows, ${plainly(ended.length)} rollouts, ${reasons.length} were rolled back${why}: ${percent(reasons.length / ended.length)}.`
}

function pace(rows: readonly Ran[]): string {
  const rollouts = rows.reduce((sum, { ended }) => sum + ended.length, 0)
  const ms = rows.reduce((sum, row) => sum + row.ms, 0)
  return `At 100 requests/s these were ${plainly(rollouts)} rollouts, ${plainly(Math.round((rollouts / ms) * 60_000))} a minute on one core.`
}
