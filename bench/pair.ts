/**
 * Two proxies under load at the same moments, on the same core: what a request costs the second, of what it costs the first.
 *
 * One after the other, rounds of the same proxy differ by a third on such machines; side by side, whatever disturbs one disturbs
 * the other, and the ratio moves by a per cent. What is left differs from start to start (where the kernel and V8 have put
 * things), so both are started anew several times, and the median of the starts counts. Requests/s mean nothing here.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cookiesFor } from './check.ts'
import { bestLoad } from './compare.ts'
import { median, warmUpsOf } from './measure.ts'
import { type BenchOptions, say } from './options.ts'
import type { Peer, Running } from './peers/peer.ts'
import { cpuMicros, LOAD_CORE, PROXY_CORE } from './process.ts'
import { type Scenario, withCookies } from './scenario.ts'
import { startTargets } from './targets.ts'

export interface PairPlan {
  /** How often both are started. */
  readonly starts: number
  /** Rounds of each start; what is taken of it is their median. */
  readonly rounds: number
  readonly warmUps: number
  readonly seconds: number
}

/** Four rounds of each start, of which the bench's own `rounds` are made; in its shortest form one of each. */
export const pairPlan = ({ quick, rounds: starts, seconds }: Omit<BenchOptions, 'json'>): PairPlan => ({
  starts: quick ? 1 : starts,
  rounds: quick ? 1 : 4,
  warmUps: warmUpsOf({ quick }),
  seconds: quick ? 1 : seconds,
})

/** Of each scenario the ratio of each start; NaN where the system does not tell CPU times. */
export async function measurePair(
  pair: readonly [first: Peer, second: Peer],
  scenarios: readonly Scenario[],
  plan: PairPlan,
): Promise<ReadonlyMap<Scenario, readonly number[]>> {
  const ratios = new Map<Scenario, number[]>(scenarios.map((scenario) => [scenario, []]))
  const { blue, green, stop } = await startTargets(LOAD_CORE)
  for (let start = 0; start < plan.starts; start++) {
    const folder = mkdtempSync(join(tmpdir(), 'turnout-pair-'))
    const running: Running[] = []
    // Each is started first in every other start.
    for (const which of start % 2 === 0 ? [0, 1] : [1, 0]) {
      const own = mkdtempSync(join(folder, 'peer-'))
      running[which] = await pair[which].start({ blue, green, folder: own, core: PROXY_CORE })
    }
    for (const scenario of scenarios) {
      const ratio = await ratioOf(running, scenario, plan)
      ratios.get(scenario)!.push(ratio)
      say(`${scenario.name} start ${start + 1}/${plan.starts}: ${ratio.toFixed(3)} × ${pair[0].name}`)
    }
    for (const peer of running) await peer.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  await stop()
  return ratios
}

async function ratioOf(running: readonly Running[], scenario: Scenario, plan: PairPlan): Promise<number> {
  const asked = await Promise.all(running.map(async ({ port }) => withCookies(scenario, await cookiesFor(port))))
  const ratios: number[] = []
  for (let round = 1 - plan.warmUps; round <= plan.rounds; round++) {
    const before = running.map(({ pid }) => cpuMicros(pid) ?? Number.NaN)
    const loads = await Promise.all(running.map(({ port }, i) => bestLoad(port, asked[i], plan.seconds)))
    const costs = running.map(({ pid }, i) => ((cpuMicros(pid) ?? Number.NaN) - before[i]) / loads[i].requests)
    const errors = loads.reduce((sum, load) => sum + load.errors, 0)
    if (errors > 0) throw new Error(`${scenario.name}: ${errors} requests failed`)
    if (round > 0) ratios.push(costs[1] / costs[0])
  }
  return median(ratios)
}
