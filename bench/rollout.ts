/**
 * `node bench/rollout.ts`: how soon a release that fails is back, live: 1,000 requests a second, 10 % of them to the new version, the live
 * one failing 1 %. For shares of failures from 100 to 5 %, spread evenly and assigned by hash, what the verdict had seen when it decided,
 * what clients were given, and how long after the answer that decided the last request came to the new version.
 *
 * The bars are those of VERDICT.md 9, for medians. Nothing fails here because of a figure: the table says what was missed.
 *
 * With `--instances N` the same of so many instances on one Redis (its program must be installed), each with the same part of the requests, spread
 * evenly: the verdict pools what they count. Beside the bars stands what the simulation of three gives.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { median, quantile } from './measure.ts'
import { positive, readOptions } from './options.ts'
import { startTurnout } from './peers/turnout.ts'
import { LOAD_CORE, PROXY_CORE, pinned, startChild } from './process.ts'
import { startRedis } from './redis-servers.ts'
import { decimal, occasion, writeSection } from './report.ts'
import type { RolloutJob, RolloutProxies, RolloutRun, RolloutTargets } from './rollout-load.ts'

const RATES = [1, 0.5, 0.2, 0.1, 0.05]
/** Canary requests until the decision, medians. */
const BARS = { picker: [4, 8, 26, 70, 230], hashed: [5, 10, 30, 75, 250] }
const LAG_BAR_MS = 20
const JOB = { perSecond: 1_000, control: 0.01, weight: 10, rates: RATES }

/** What bench/simulation gives for three instances: some answers are under way between them when it is decided. */
const SIMULATED = [6, 11, 29, 70, 233]

const { values, ...options } = readOptions(
  'usage: node bench/rollout.ts [options]\n  --instances N       instances on one Redis (default 1, without Redis)',
  { rounds: 20, seconds: 1 },
  { instances: { type: 'string' } },
)
const instances = positive('--instances', values['instances'] ?? 1)

interface Running {
  stop(): Promise<void>
}

/** Starts the instances; all that was started is added to what runs. */
async function startAll({ blue, green }: RolloutTargets, folder: string, running: Running[]): Promise<RolloutProxies> {
  const proxies: { readonly port: number; readonly adminPort: number }[] = []
  let store: string | null = null
  if (instances > 1) {
    const redis = await startRedis(folder)
    running.push(redis)
    store = `redis://127.0.0.1:${redis.port}`
  }
  for (let n = 0; n < instances; n++) {
    const own = join(folder, `instance-${n}`)
    mkdirSync(own)
    const config = { blue, green, folder: own, core: pinned ? PROXY_CORE : null }
    const proxy = await startTurnout(config, { weights: { blue: 1, green: 0 }, ...(store && { process: { store } }) })
    running.push(proxy)
    proxies.push(proxy)
  }
  return { ports: proxies.map(({ port }) => port), adminPorts: proxies.map(({ adminPort }) => adminPort) }
}

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
    const targets = await next<RolloutTargets>()
    const running: Running[] = []
    try {
      load.process.send(await startAll(targets, folder, running))
      return await next<RolloutRun[]>()
    } finally {
      for (const one of running.reverse()) await one.stop()
    }
  } finally {
    await load.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

function row(runs: readonly RolloutRun[], rate: number, bar: string): string {
  const of = (key: 'answers' | 'failed' | 'seen' | 'lagMs') =>
    runs.filter((run) => run.rate === rate).map((run) => run[key])
  const spread = (values: readonly number[], digits = 0) =>
    `${decimal(median(values), digits)} / ${decimal(Math.max(...values), digits)}`
  const lag = of('lagMs').filter((value) => !Number.isNaN(value))
  const cells = [
    `${decimal(rate * 100, 0)} %`,
    bar,
    `**${decimal(median(of('answers')), 0)}** / ${decimal(quantile(of('answers'), 0.95), 0)}`,
    spread(of('failed')),
    spread(of('seen')),
    spread(lag, 1),
  ]
  return `| ${cells.join(' | ')} |`
}

function table(runs: readonly RolloutRun[], bars: readonly (number | string)[], head = 'bar'): string {
  return [
    `| fails | ${head} | answers until decided, median / p95 | of these failed, median / max | failures that clients saw | ms from the deciding answer to the last request |`,
    '| ---: | ---: | ---: | ---: | ---: | ---: |',
    ...RATES.map((rate, at) => row(runs, rate, String(bars[at]))),
  ].join('\n')
}

const picker = await measure(false)
const hashed = instances > 1 ? [] : await measure(true)
const all = [...picker, ...hashed]
const late = all.filter(({ lagMs }) => lagMs > LAG_BAR_MS).length
const metrics = [...new Set(all.map(({ metric }) => metric))]
  .map((metric) => `${metric} ${all.filter((run) => run.metric === metric).length}`)
  .join(', ')
const place =
  instances === 1
    ? 'Turnout with one worker has the other'
    : `${instances} instances of one worker on one Redis have the other`
const parts =
  instances === 1
    ? `Assigned by the picker:

${table(picker, BARS.picker)}

Every request of another visitor, assigned by hash:

${table(hashed, BARS.hashed)}`
    : `Each instance has the same part of the requests, assigned by its picker. Beside the figures: what one instance that has all of
them needs (VERDICT.md), and three in the simulation.

${table(
  picker,
  BARS.picker.map((bar, at) => `${bar} · ${SIMULATED[at]}`),
  'one · three simulated',
)}`
const text = `## A release that fails, live${instances === 1 ? '' : `, over ${instances} instances`}

${occasion(new Date())}

${decimal(JOB.perSecond, 0)} requests a second, ${JOB.weight} % to the new version, the live one fails ${JOB.control * 100} %, α 0.001; ${options.rounds} rollouts a row. The load and the targets
share one core and one clock, ${place}. Decided by: ${metrics}. Of ${all.length} rollouts ${late} had a request at the
new version more than ${LAG_BAR_MS} ms after the answer that decided.

${parts}
`
if (!options.quick) writeSection(instances === 1 ? 'rollout' : 'rollout-fleet', text)
console.log(options.json ? JSON.stringify(all) : text)
