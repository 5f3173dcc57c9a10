/**
 * This checkout beside an earlier one, nginx and HAProxy, in the same run: `node bench/before.ts --base DIR`, where DIR is a
 * checkout of the revision before, with its packages installed (a link to `node_modules` of this one will do).
 *
 * What a change costs is the ratio of the two; p99 is set beside the better of nginx and HAProxy. The access log is measured on,
 * in both, as a scenario of its own.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { bestLoad, type Compared, type Comparison, compare, methodOf } from './compare.ts'
import { costOf, type ScenarioResult } from './measure.ts'
import { readOptions, say } from './options.ts'
import { haproxy } from './peers/haproxy.ts'
import { nginx } from './peers/nginx.ts'
import { turnoutPeer } from './peers/turnout.ts'
import { PROXY_CORE } from './process.ts'
import { decimal, renderReport, writeSection } from './report.ts'
import { SCENARIOS } from './scenario.ts'

const USAGE = `usage: node bench/before.ts --base DIR [options]
  --base DIR          checkout of the revision before; without it, nothing is measured`

const { values, ...options } = readOptions(USAGE, { rounds: 5, seconds: 2 }, { base: { type: 'string' } })
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

const plain: Comparison = {
  peers: [turnoutPeer(BEFORE, { checkout }), turnoutPeer(NOW, {}), nginx, haproxy],
  scenarios: options.quick ? SCENARIOS.slice(0, 1) : SCENARIOS,
  options,
  load: bestLoad,
  core: PROXY_CORE,
}
const logging: Comparison = {
  ...plain,
  peers: [
    turnoutPeer(BEFORE, { checkout, accessLog: true }, { stdout: log }),
    turnoutPeer(NOW, { accessLog: true }, { stdout: log }),
  ],
  scenarios: [{ ...SCENARIOS[0], name: 'log', title: 'small GET, access log on' }],
}

/** What a scenario costs now, of what it cost before; and its p99, of the better peer's. */
function verdict(title: string, result: ScenarioResult): string {
  const cost = costOf(result.get(NOW)!) / costOf(result.get(BEFORE)!)
  const p99 = (name: string) => {
    const rounds = result.get(name)?.map(({ p99Ms }) => p99Ms) ?? []
    return rounds.length === 0 ? Infinity : rounds.toSorted((a, b) => a - b)[Math.floor(rounds.length / 2)]
  }
  const best = Math.min(p99(nginx.name), p99(haproxy.name))
  const tail = Number.isFinite(best) ? `; p99 ${decimal(p99(NOW) / best, 2)} × the better of nginx and HAProxy` : ''
  return `- ${title}: ${decimal(cost, 3)} × the CPU of before${tail}`
}

const compared = await compare(plain)
const logged = await compare(logging)
rmSync(log, { force: true })
const results = [...compared.results, ...logged.results]
const all: Compared = { ...compared, results, left: [...compared.left, ...logged.left] }
const text = renderReport({
  title: 'Beside the revision before',
  date: new Date(),
  versions: compared.peers.map((peer) => [peer.name, peer.version() ?? '?'] as const),
  results: all.results,
  left: all.left,
  method: methodOf(plain),
  remarks: results.map(([scenario, result]) => verdict(scenario.title, result)).join('\n'),
  yardsticks: [BEFORE],
})
if (!options.quick) writeSection('before', text)
console.log(text)
process.exitCode = compared.failed || logged.failed ? 1 : 0
