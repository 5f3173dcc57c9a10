/**
 * `node bench/rollout.ts`: how soon a release that fails is back, live: 1,000 requests a second, 10 % of them to the new version, the live
 * one failing 1 %. For shares of failures from 100 to 5 %, spread evenly and assigned by hash, what the verdict had seen when it decided,
 * what clients were given, and how long after the answer that decided the last request came to the new version.
 *
 * The bars are those of VERDICT.md 9, for medians. Nothing fails here because of a figure: the table says what was missed.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { median, quantile } from './measure.ts'
import { readOptions } from './options.ts'
import { startTurnout } from './peers/turnout.ts'
import { LOAD_CORE, PROXY_CORE, pinned, startChild } from './process.ts'
import { decimal, occasion, writeSection } from './report.ts'
import type { RolloutJob, RolloutRun, RolloutTargets } from './rollout-load.ts'

const RATES = [1, 0.5, 0.2, 0.1, 0.05]
/** Canary requests until the decision, medians. */
const BARS = { picker: [4, 8, 26, 70, 230], hashed: [5, 10, 30, 75, 250] }
const LAG_BAR_MS = 20
const JOB = { perSecond: 1_000, control: 0.01, weight: 10, rates: RATES }

const options = readOptions('usage: node bench/rollout.ts [options]', { rounds: 20, seconds: 1 })

async function measure(hashed: boolean): Promise<readonly RolloutRun[]> {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'))
  const script = new URL('./rollout-load.ts', import.meta.url).pathname
  const job: RolloutJob = { ...JOB, hashed, runs: options.rounds }
  const core = pinned ? LOAD_CORE : null
  const load = startChild([process.execPath, script, JSON.stringify(job)], { core, messages: true })
  const next = <T>() =>
    new Promise<T>((resolve, reject) => {
      load.process.once('message', (message) => resolve(message as T))
      load.process.once('exit', () => reject(new Error(`the load has ended: ${load.errors()}`)))
    })
  try {
    const { blue, green } = await next<RolloutTargets>()
    const config = { blue, green, folder, core: pinned ? PROXY_CORE : null }
    const proxy = await startTurnout(config, { weights: { blue: 1, green: 0 } })
    try {
      const { port, adminPort } = proxy
      load.process.send({ port, adminPort })
      return await next<RolloutRun[]>()
    } finally {
      await proxy.stop()
    }
  } finally {
    await load.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

function row(runs: readonly RolloutRun[], rate: number, bar: number): string {
  const of = (key: 'answers' | 'failed' | 'seen' | 'lagMs') =>
    runs.filter((run) => run.rate === rate).map((run) => run[key])
  const spread = (values: readonly number[], digits = 0) =>
    `${decimal(median(values), digits)} / ${decimal(Math.max(...values), digits)}`
  const lag = of('lagMs').filter((value) => !Number.isNaN(value))
  const cells = [
    `${decimal(rate * 100, 0)} %`,
    decimal(bar, 0),
    `**${decimal(median(of('answers')), 0)}** / ${decimal(quantile(of('answers'), 0.95), 0)}`,
    spread(of('failed')),
    spread(of('seen')),
    spread(lag, 1),
  ]
  return `| ${cells.join(' | ')} |`
}

function table(runs: readonly RolloutRun[], bars: readonly number[]): string {
  return [
    '| fails | bar | answers until decided, median / p95 | of these failed, median / max | failures that clients saw | ms from the deciding answer to the last request |',
    '| ---: | ---: | ---: | ---: | ---: | ---: |',
    ...RATES.map((rate, at) => row(runs, rate, bars[at])),
  ].join('\n')
}

const picker = await measure(false)
const hashed = await measure(true)
const all = [...picker, ...hashed]
const late = all.filter(({ lagMs }) => lagMs > LAG_BAR_MS).length
const metrics = [...new Set(all.map(({ metric }) => metric))]
  .map((metric) => `${metric} ${all.filter((run) => run.metric === metric).length}`)
  .join(', ')
const text = `## A release that fails, live

${occasion(new Date())}

${decimal(JOB.perSecond, 0)} requests a second, ${JOB.weight} % to the new version, the live one fails ${JOB.control * 100} %, α 0.001; ${options.rounds} rollouts a row. The load and the targets
share one core and one clock, Turnout with one worker has the other. Decided by: ${metrics}. Of ${all.length} rollouts ${late} had a request at the
new version more than ${LAG_BAR_MS} ms after the answer that decided.

Assigned by the picker:

${table(picker, BARS.picker)}

Every request of another visitor, assigned by hash:

${table(hashed, BARS.hashed)}
`
if (!options.quick) writeSection('rollout', text)
console.log(options.json ? JSON.stringify(all) : text)
