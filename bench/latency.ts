/**
 * `node bench/latency.ts`: what a proxy adds to a request at half load, for Turnout, nginx and HAProxy at the same rate.
 *
 * The rate is half of the requests/s that Turnout answers at most, on one core. Rounds go directly to the targets and through
 * each proxy in turn; what is added is the difference to the direct round beside it. The load is bench/latency-load.ts; it is on
 * one core with the targets, and how busy that core was is in the table: where it is near its limit, the figures are its own.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bestLoad } from './compare.ts'
import type { LatencyRound } from './latency-load.ts'
import { median } from './measure.ts'
import { readOptions, say } from './options.ts'
import { haproxy } from './peers/haproxy.ts'
import { nginx } from './peers/nginx.ts'
import { CONNECTIONS, type Peer } from './peers/peer.ts'
import { turnout } from './peers/turnout.ts'
import { cpuMicros, LOAD_CORE, PROXY_CORE, pinned, runChild } from './process.ts'
import { decimal, occasion, spread, writeSection } from './report.ts'
import { SCENARIOS } from './scenario.ts'
import { startTargets, type Targets } from './targets.ts'

const DIRECT = 'direct'
const FIGURES = ['meanMs', 'p50Ms', 'p99Ms'] as const

interface Measured extends LatencyRound {
  /** Share of the load's core that load and targets used. */
  readonly coreBusy: number
}

interface Outcome {
  readonly perSecond: number
  /** Rounds by name, `direct` first; those of the same index stood beside one another. */
  readonly rounds: ReadonlyMap<string, readonly Measured[]>
  readonly versions: readonly string[]
}

async function measureRound(targets: Targets, port: number, perSecond: number, seconds: number): Promise<Measured> {
  const script = fileURLToPath(new URL('./latency-load.ts', import.meta.url))
  const before = cpuMicros(targets.pid)
  const command = [process.execPath, script, ...[port, perSecond, seconds].map(String)]
  const round: LatencyRound = JSON.parse(await runChild(command, { core: LOAD_CORE }))
  const after = cpuMicros(targets.pid)
  const ofTargets = before === null || after === null ? Number.NaN : (after - before) / (seconds * 1e6)
  return { ...round, coreBusy: round.busy + ofTargets }
}

async function measureLatency(peers: readonly Peer[], rounds: number, seconds: number): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'))
  const targets = await startTargets(LOAD_CORE)
  const { blue, green } = targets
  const ports: [name: string, port: number][] = [[DIRECT, blue]]
  const stops: (() => Promise<void>)[] = []
  let fastest = 0
  for (const peer of peers) {
    const own = join(folder, String(stops.length))
    await mkdir(own)
    const running = await peer.start({ blue, green, folder: own, core: PROXY_CORE })
    stops.push(running.stop)
    ports.push([peer.name, running.port])
    const { requests, seconds: took } = await bestLoad(running.port, SCENARIOS[0], seconds)
    if (peer === turnout) fastest = requests / took
  }
  const perSecond = Math.floor(fastest / 2)
  const results = new Map<string, Measured[]>(ports.map(([name]) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < ports.length; turn++) {
      const [name, port] = ports[(round + turn) % ports.length]
      const result = await measureRound(targets, port, perSecond, seconds)
      results.get(name)!.push(result)
      const [mean, , p99] = FIGURES.map((figure) => result[figure].toFixed(3))
      say(`${round + 1}/${rounds} ${name}: mean ${mean} ms, p99 ${p99} ms, ${result.failed} failed`)
    }
  }
  for (const stop of [...stops, targets.stop]) await stop()
  rmSync(folder, { recursive: true, force: true })
  return { perSecond, rounds: results, versions: peers.map((peer) => `${peer.name} ${peer.version()}`) }
}

function render({ perSecond, rounds, versions }: Outcome): string {
  const direct = rounds.get(DIRECT)!
  const rows = [...rounds].map(([name, own]) => {
    const plain = FIGURES.map((figure) => decimal(median(own.map((round) => round[figure])), 3))
    const added = FIGURES.map((figure) => own.map((round, i) => round[figure] - direct[i][figure]))
    const cells = name === DIRECT ? ['', '', ''] : added.map((values) => spread(values, 3))
    const busy = `${decimal(100 * median(own.map((round) => round.coreBusy)), 0)} %`
    return [name, ...plain, ...cells, busy, own.reduce((sum, round) => sum + round.failed, 0)]
  })
  return [
    '## Added latency',
    '',
    occasion(new Date()),
    '',
    versions.join(' · '),
    '',
    `At ${decimal(perSecond, 0)} requests/s, half of what Turnout answers at most with one worker:`,
    '',
    '| | mean ms | p50 ms | p99 ms | added mean | added p50 | added p99 | busy | failed |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
    ...rows.map((cells) => `| ${cells.join(' | ')} |`),
    '',
    `**How it was measured.** \`node bench/latency.ts\`: ${CONNECTIONS} keep-alive connections, requests at fixed moments and timed`,
    `from them; ${direct.length} rounds in turn, medians. \`added\` is the difference to the direct round beside it, least and greatest in`,
    'brackets. `busy` is how much of their core the load and the targets used.',
    pinned ? `Proxies on core ${PROXY_CORE}, load and targets on core ${LOAD_CORE}.` : 'Nothing was pinned to a core.',
  ].join('\n')
}

const options = readOptions('usage: node bench/latency.ts [options]', { rounds: 7, seconds: 3 })
const peers = [turnout, nginx, haproxy].filter((peer) => peer.version() !== null)
const outcome = await measureLatency(peers, options.rounds, options.seconds)
if (options.json) console.log(JSON.stringify({ ...outcome, rounds: [...outcome.rounds] }))
else {
  const text = render(outcome)
  if (!options.quick) writeSection('latency', text)
  console.log(text)
}
process.exitCode = outcome.rounds.get(turnout.name)!.every(({ failed }) => failed === 0) ? 0 : 1
