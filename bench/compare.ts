/**
 * One comparison: start the targets and every proxy, prove each one correct, measure those that are, in turn, end them all.
 *
 * A proxy that answers wrongly is named with what was wrong and is not measured; when it is one of ours, or when its requests
 * fail under load, the comparison has failed. It never fails because of a time.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkPeer } from './check.ts'
import { autocannon, type Load, wrk, wrkInstalled } from './load.ts'
import { type Contender, measure, type ScenarioResult, warmUpsOf } from './measure.ts'
import { type BenchOptions, say } from './options.ts'
import { CONNECTIONS, type Peer } from './peers/peer.ts'
import { LOAD_CORE, pinned } from './process.ts'
import type { Scenario } from './scenario.ts'
import { startTargets, type Targets } from './targets.ts'

export interface Comparison {
  readonly peers: readonly Peer[]
  readonly scenarios: readonly Scenario[]
  readonly options: BenchOptions
  readonly load: Load
  /** Core of the proxies; null: any. */
  readonly core: number | null
}

export interface Compared {
  /** Those that were measured. */
  readonly peers: readonly Peer[]
  readonly results: readonly (readonly [Scenario, ScenarioResult])[]
  /** Who was left out, and why. */
  readonly left: readonly string[]
  readonly failed: boolean
}

/** wrk where it is installed, since it costs a fraction of what autocannon does. */
export const bestLoad: Load = wrkInstalled() ? wrk : autocannon

/** Runs a comparison to its end. */
export async function compare(comparison: Comparison): Promise<Compared> {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'))
  const targets = await startTargets(LOAD_CORE)
  const { contenders, left, failed } = await prepare(comparison, targets, folder)
  const { rounds, seconds } = comparison.options
  const plan = { rounds, seconds, warmUps: warmUpsOf(comparison.options), load: comparison.load, report: say }
  const results: (readonly [Scenario, ScenarioResult])[] = []
  for (const scenario of comparison.scenarios) results.push([scenario, await measure(contenders, scenario, plan)])
  for (const { running } of contenders) await running.stop()
  await targets.stop()
  rmSync(folder, { recursive: true, force: true })

  const peers = contenders.map(({ peer }) => peer)
  const hasErrors = (peer: Peer) =>
    results.some(([, result]) => result.get(peer.name)!.some((round) => round.errors > 0))
  const wrong = peers.filter((peer) => peer.ours && hasErrors(peer))
  for (const peer of wrong) say(`${peer.name}: requests failed under load`)
  return { peers, results, left, failed: failed || wrong.length > 0 }
}

interface Field {
  readonly contenders: readonly Contender[]
  readonly left: readonly string[]
  /** True when one of our own proxies did not start or is not correct. */
  readonly failed: boolean
}

async function prepare(comparison: Comparison, { blue, green }: Targets, folder: string): Promise<Field> {
  const contenders: Contender[] = []
  const left: string[] = []
  let failed = false
  for (const peer of comparison.peers) {
    if (peer.version() === null) {
      left.push(`${peer.name}: not installed here`)
      continue
    }
    const own = join(folder, String(contenders.length + left.length))
    mkdirSync(own)
    try {
      const running = await peer.start({ blue, green, folder: own, core: comparison.core })
      const faults = await checkPeer(running.port, [blue, green], peer.cannot)
      if (faults.length === 0) contenders.push({ peer, running })
      else await running.stop()
      left.push(...faults.map((fault) => `${peer.name}: not measured, since this does not hold: ${fault}`))
      failed ||= faults.length > 0 && peer.ours
    } catch (error) {
      left.push(`${peer.name}: ${error instanceof Error ? error.message.trim() : String(error)}`)
      failed ||= peer.ours
    }
    say(`${peer.name}: ${contenders.at(-1)?.peer === peer ? 'correct' : 'left out'}`)
  }
  for (const line of left) say(line)
  return { contenders, left, failed }
}

/** How a comparison is measured, in sentences for the report. */
export function methodOf({ options, load, core }: Comparison): string {
  const proxies = core === null ? 'Proxies on any core' : `Proxies on core ${core}`
  const program = load === wrk ? 'wrk' : 'autocannon'
  return [
    pinned ? `${proxies}, load and targets on core ${LOAD_CORE}.` : 'Nothing was pinned to a core here.',
    `${CONNECTIONS} keep-alive connections by ${program}; ${options.rounds} rounds of ${options.seconds} s each after ${warmUpsOf(options) * options.seconds} s of warm-up; the`,
    'proxies take turns, each round beginning with another one. Each had passed the checks in bench/check.ts before it was measured. The',
    'targets are one small raw-socket process (bench/upstream.ts).',
  ].join('\n')
}
