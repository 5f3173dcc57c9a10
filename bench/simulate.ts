/**
 * `npm run simulate`: what the verdict does to good and to bad releases, by thousands of seeded runs of the code that the product runs.
 *
 * Written to bench/SIMULATION.md: how soon a version that is worse is caught, how often an equal one is taken for worse, how whole
 * rollouts end, and what the published rules of others do on the same streams. The same seed gives the same figures anywhere.
 */
import { writeFileSync } from 'node:fs'
import { quantile } from './measure.ts'
import { positive, readOptions, say } from './options.ts'
import { decimal, occasion } from './report.ts'
import { beside } from './simulation/beside.ts'
import { type Assignment, type PowerPlan, power } from './simulation/power.ts'
import { type Ended, type Scene, simulateMany } from './simulation/rollouts.ts'

const USAGE = `usage: npm run simulate -- [options]
  --runs N            runs of each row; A/A rows have ten times as many (default 1000)
  --seed N            of all chance (default 1)`

const { values, quick, json } = readOptions(USAGE, null, { runs: { type: 'string' }, seed: { type: 'string' } })
const runs = quick ? 20 : positive('--runs', values['runs'] ?? 1_000)
const seed = positive('--seed', values['seed'] ?? 1)

/** Of α 0.001 the share of failures. */
const ALPHA = 0.0007
const WEIGHT = 0.1

const row = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`
const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]) =>
  [row(head), row(head.map((_, at) => (at === 0 ? '---' : '---:'))), ...rows.map(row)].join('\n')
const percent = (share: number) => `${Number((share * 100).toFixed(2))} %`
const spread = (sorted: readonly number[]) =>
  sorted.length === 0 ? '–' : `${quantile(sorted, 0.5)} / ${quantile(sorted, 0.95)}`

function caught(): string {
  const rates = [1, 0.5, 0.2, 0.1, 0.05]
  const rows = (['picker', 'hash'] as Assignment[]).flatMap((assignment) => {
    const results = rates.map((rate) =>
      power({ ...plain(assignment), control: () => 0.01, canary: () => rate, answersMax: 20_000, runs }),
    )
    return [
      [`${assignment}: answers, median / p95`, ...results.map(({ answers }) => spread(answers))],
      [`${assignment}: of these bad`, ...results.map(({ bad }) => spread(bad))],
    ]
  })
  return `## How soon a version that is worse is caught

The canary fails as the column says, the live version 1 %; weight ${percent(WEIGHT)}, α 0.001 over all metrics, a look after every ten requests;
${runs} runs each. Picker: one of each ten requests is the canary's; hash: each with a chance of a tenth.

${table(['answers of the canary', ...rates.map(percent)], rows)}`
}

const plain = (assignment: Assignment): Omit<PowerPlan, 'control' | 'canary' | 'answersMax' | 'runs'> => ({
  seed,
  weight: WEIGHT,
  alpha: ALPHA,
  assignment,
})

/** Common failure rates over a run. */
const BASES: Readonly<Record<string, (moment: number) => number>> = {
  '0': () => 0,
  '0.1 %': () => 0.001,
  '1 %': () => 0.01,
  '5 %': () => 0.05,
  '20 %': () => 0.2,
  '50 %': () => 0.5,
  'day cycle 0.15–2 %': (moment) => 0.0015 + 0.01 * (1 + Math.sin(moment * 20)) * 0.925,
  'bursts to 60 %': (moment) => ((moment * 50) % 1 < 0.1 ? 0.6 : 0.005),
  'outage 50 %': (moment) => (moment > 0.5 && moment < 0.6 ? 0.5 : 0.01),
  'ramp 1 → 20 %': (moment) => 0.01 + 0.19 * moment,
}

function falseAlarms(): string {
  const rows = Object.entries(BASES).map(([name, base]) => {
    const plan = { ...plain('picker'), control: base, canary: base, answersMax: 5_000, runs: runs * 10 }
    const found = [power(plan), power({ ...plan, assignment: 'hash' })].map(({ answers }) => answers.length)
    say(`equal, ${name}: ${found.join(', ')} of ${runs * 10}`)
    return [name, ...found]
  })
  return `## How often an equal version is taken for worse

Both versions fail alike, at a rate as each row says; ${runs * 10} runs of 5,000 answers of the canary, looked at all the time. Expected are at most
${decimal(runs * 10 * ALPHA, 0)} of each: α is ${ALPHA} for failures.

${table(['common failure rate', 'picker', 'hash'], rows)}`
}

const STEPS = { strategy: '5-10-25-50', step: { forMs: 60_000 } }
const SCENES: readonly (readonly [title: string, scene: Scene])[] = [
  ...([0, 0.001, 0.01, 0.05, 0.2] as const).map((rate) => equal(`equal, ${percent(rate)}, 100/s`, 100, () => rate)),
  equal('equal, 1 %, 1 a minute', 1 / 60, () => 0.01),
  equal('equal, 1 %, an outage of 50 % for a minute', 100, (second) => (second > 90 && second < 150 ? 0.5 : 0.01)),
  ...([0.2, 0.05, 0.03, 0.02] as const).map((rate) => worse(`${percent(rate)} and 1 %, 100/s`, rate)),
]

function equal(title: string, rate: number, share: (second: number) => number): readonly [string, Scene] {
  return [title, { strategy: STEPS, rate, control: share, canary: share, secondsMax: 7_200, bakeMs: 60_000 }]
}

function worse(title: string, share: number): readonly [string, Scene] {
  return [
    title,
    { strategy: STEPS, rate: 100, control: () => 0.01, canary: () => share, secondsMax: 7_200, bakeMs: 60_000 },
  ]
}

function whole(): string {
  const rows = SCENES.map(([title, scene]) => {
    const ended = simulateMany(scene, runs, seed)
    say(`${title}: ${ended.filter(({ end }) => end === 'rolledBack').length} of ${runs} rolled back`)
    const of = (end: Ended['end']) => ended.filter((run) => run.end === end)
    const sorted = (list: readonly Ended[], by: 'seconds' | 'harmed') =>
      list.map((run) => run[by]).sort((a, b) => a - b)
    return [
      title,
      of('done').length,
      of('rolledBack').length,
      of('undecided').length,
      spread(sorted(of('done'), 'seconds')),
      spread(sorted(of('rolledBack'), 'seconds')),
      spread(sorted(of('rolledBack'), 'harmed')),
    ]
  })
  return `## Whole rollouts

Five steps (5, 10, 25, 50 and 95 % of the traffic, at least a minute each) and a bake, with failures and slow answers judged; ${runs} runs of at
most two hours. Median / p95.

${table(['', 'done', 'rolled back', 'undecided', 's until done', 's until rolled back', 'failed until then'], rows)}`
}

const report = `# Simulation

Written by \`npm run simulate\`, never by hand. ${occasion(new Date())}; seed ${seed}.

${caught()}

${falseAlarms()}

${whole()}

${beside(runs, seed, { table, percent, spread })}
`
if (quick || json) console.log(report)
else writeFileSync(new URL('./SIMULATION.md', import.meta.url), report)
