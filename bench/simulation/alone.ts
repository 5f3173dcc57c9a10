/** Sections of the report on the origin test alone: how soon it sees a version that is worse, and how seldom it is wrong of an equal one. */
import { decimal } from '../report.ts'
import { percent, spread, table } from './format.ts'
import { type Assignment, type PowerPlan, power } from './power.ts'
import type { Section } from './section.ts'
import { ALPHA, WEIGHT } from './settings.ts'

const plain = (
  assignment: Assignment,
  seed: number,
): Omit<PowerPlan, 'control' | 'canary' | 'answersMax' | 'runs'> => ({
  seed,
  weight: WEIGHT,
  alpha: ALPHA,
  assignment,
})

/** How soon a version that is worse is caught. */
export const caught: Section = ({ runs, seed }) => {
  const rates = [1, 0.5, 0.2, 0.1, 0.05]
  const rows = (['picker', 'hash'] as Assignment[]).flatMap((assignment) => {
    const results = rates.map((rate) =>
      power({ ...plain(assignment, seed), control: () => 0.01, canary: () => rate, answersMax: 20_000, runs }),
    )
    return [
      [`${assignment}: answers, median / p95`, ...results.map(({ answers }) => spread(answers))],
      [`${assignment}: of these bad`, ...results.map(({ bad }) => spread(bad))],
    ]
  })
  const text = `## How soon a version that is worse is caught

The canary fails as the column says, the live version 1 %; weight ${percent(WEIGHT)}, α 0.001 over all metrics, a look after every ten requests;
${runs} runs each. Picker: one of each ten requests is the canary's; hash: each with a chance of a tenth.

${table(['answers of the canary', ...rates.map(percent)], rows)}`
  return { text, plots: {} }
}

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

/** How often an equal version is taken for worse. */
export const falseAlarms: Section = ({ runs, seed, say }) => {
  const rows = Object.entries(BASES).map(([name, base]) => {
    const plan = { ...plain('picker', seed), control: base, canary: base, answersMax: 5_000, runs: runs * 10 }
    const found = [power(plan), power({ ...plan, assignment: 'hash' })].map(({ answers }) => answers.length)
    say(`equal, ${name}: ${found.join(', ')} of ${runs * 10}`)
    return [name, ...found]
  })
  const text = `## How often an equal version is taken for worse

Both versions fail alike, at a rate as each row says; ${runs * 10} runs of 5,000 answers of the canary, looked at all the time. Expected are at most
${decimal(runs * 10 * ALPHA, 0)} of each: α is ${percent(ALPHA)} for failures.

${table(['common failure rate', 'picker', 'hash'], rows)}`
  return { text, plots: {} }
}
