/**
 * This checkout beside an earlier one, nginx and HAProxy, in the same run: `node bench/before.ts --base DIR`, where DIR is a
 * checkout of the revision before, with its packages installed (a link to `node_modules` of this one will do).
 *
 * What a change costs is the ratio of the two, measured in pairs (pair.ts); p99 is set beside the best of nginx and HAProxy, those of the
 * system and those built from source. The access log is measured on, in both, as a scenario of its own.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { bestLoad, type Comparison, compare, methodOf } from './compare.ts'
import { median, type ScenarioResult } from './measure.ts'
import { positive, readOptions, say } from './options.ts'
import { measurePair, pairPlan } from './pair.ts'
import { haproxy, haproxyFromSource } from './peers/haproxy.ts'
import { nginx, nginxFromSource } from './peers/nginx.ts'
import { turnoutPeer } from './peers/turnout.ts'
import { PROXY_CORE } from './process.ts'
import { decimal, renderReport, writeSection } from './report.ts'
import { SCENARIOS, type Scenario } from './scenario.ts'

const USAGE = `usage: node bench/before.ts --base DIR [options]
  --base DIR          checkout of the revision before; without it, nothing is measured
  --starts N          how often the pairs are started (default: as often as there are rounds)`

const { values, ...options } = readOptions(
  USAGE,
  { rounds: 5, seconds: 2 },
  { base: { type: 'string' }, starts: { type: 'string' } },
)
const base = values['base']?.toString()
if (base === undefined || !existsSync(join(base, 'src/main.ts'))) {
  say('before: no --base DIR with a checkout of the revision before, so nothing is measured')
  process.exit(base === undefined ? 0 : 2)
}
const checkout = resolve(base)
const revision = (folder: string) =>
  execFileSync('git', ['-C', folder, 'rev-parse', '--short', 'HEAD']).toString().trim()
const BEFORE = `before (${revision(checkout)})`
const NOW = 'Turnout'
const log = join(process.env['TMPDIR'] ?? '/tmp', `turnout-before-${process.pid}.log`)

const others = [nginx, nginxFromSource, haproxy, haproxyFromSource]
const plain: Comparison = {
  peers: [turnoutPeer(BEFORE, { checkout }), turnoutPeer(NOW, {}), ...others],
  scenarios: options.quick ? SCENARIOS.slice(0, 1) : SCENARIOS,
  options,
  load: bestLoad,
  core: PROXY_CORE,
}
const starts = positive('--starts', values['starts'] ?? options.rounds)
const plan = pairPlan({ ...options, rounds: starts })
const logScenario = { ...SCENARIOS[0], name: 'log', title: 'small GET, access log on' }

function costLine({ title }: Scenario, ratios: readonly number[]): string {
  const all = ratios.map((ratio) => decimal(ratio, 3)).join(', ')
  return `- ${title}: ${decimal(median(ratios), 3)} × the CPU of before (by start: ${all})`
}

/** Its p99, of the best peer's: the median of the rounds of each. */
function tailLine(title: string, result: ScenarioResult): string {
  const p99 = (name: string) => median((result.get(name) ?? []).map(({ p99Ms }) => p99Ms))
  const best = others.map(({ name }) => p99(name)).filter(Number.isFinite)
  if (best.length === 0) return `- ${title}: neither nginx nor HAProxy is installed here`
  return `- ${title}: p99 ${decimal(p99(NOW) / Math.min(...best), 2)} × the best of nginx and HAProxy`
}

const ratios = await measurePair([turnoutPeer(BEFORE, { checkout }), turnoutPeer(NOW, {})], plain.scenarios, plan)
const logged = await measurePair(
  [
    turnoutPeer(BEFORE, { checkout, accessLog: true }, { stdout: `${log}.before` }),
    turnoutPeer(NOW, { accessLog: true }, { stdout: log }),
  ],
  [logScenario],
  plan,
)
const compared = await compare(plain)
rmSync(log, { force: true })
rmSync(`${log}.before`, { force: true })
const remarks = [
  ...[...ratios, ...logged].map(([scenario, values]) => costLine(scenario, values)),
  ...compared.results.map(([{ title }, result]) => tailLine(title, result)),
]
const text = renderReport({
  title: 'Beside the revision before',
  date: new Date(),
  versions: compared.peers.map((peer) => [peer.name, peer.version() ?? '?'] as const),
  results: compared.results,
  left: compared.left,
  method: methodOf(plain),
  remarks: `Both at once on the one core (bench/pair.ts):\n\n${remarks.join('\n')}`,
  yardsticks: [BEFORE],
})
if (!options.quick) writeSection('before', text)
console.log(text)
process.exitCode = compared.failed ? 1 : 0
