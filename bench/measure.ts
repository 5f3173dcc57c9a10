/**
 * Rounds and figures: peers take turns, round by round, so that what disturbs the machine disturbs all of them alike.
 *
 * CPU per request is the proxy's CPU time over the round (its whole process tree) divided by the requests answered in it.
 * It does not depend on how busy the load is, so it is the figure to compare; requests/s is given beside it. Medians are
 * reported, with the least and greatest round as the spread.
 */
import { cookiesFor } from './check.ts'
import type { Load } from './load.ts'
import type { BenchOptions } from './options.ts'
import type { Peer, Running } from './peers/peer.ts'
import { cpuMicros } from './process.ts'
import { type Scenario, withCookies } from './scenario.ts'

export interface Round {
  readonly requests: number
  readonly errors: number
  readonly requestsPerSecond: number
  /** CPU µs of the proxy per request; null where the system does not tell. */
  readonly cpuMicros: number | null
  /** Share of one core that the proxy used, 0 to 1 and above. */
  readonly busy: number | null
  readonly p50Ms: number
  readonly p99Ms: number
}

export interface Contender {
  readonly peer: Peer
  readonly running: Running
}

/**
 * Rounds before those that count. V8 goes on compiling for some ten seconds under load, and p99 is several times as high
 * meanwhile; what that is like for clients is measured by itself (bench/cold.ts). They come and go as in a round that counts, since that is
 * compiled, too.
 */
export const warmUpsOf = ({ quick }: Pick<BenchOptions, 'quick'>): number => (quick ? 1 : 5)

export interface Plan {
  readonly rounds: number
  readonly warmUps: number
  readonly seconds: number
  readonly load: Load
  /** Told after every round, for people who wait. */
  readonly report: (line: string) => void
}

/** Name of the peer → its rounds, for one scenario. */
export type ScenarioResult = ReadonlyMap<string, readonly Round[]>

/** Measures every contender in one scenario: a warm-up each, then rounds in turn, each round beginning with another one. */
export async function measure(
  contenders: readonly Contender[],
  scenario: Scenario,
  plan: Plan,
): Promise<ScenarioResult> {
  const results = new Map<string, Round[]>()
  const requests = new Map<string, Scenario>()
  for (const { peer, running } of contenders) {
    results.set(peer.name, [])
    requests.set(peer.name, withCookies(scenario, await cookiesFor(running.port)))
    for (let i = 0; i < plan.warmUps; i++) await plan.load(running.port, requests.get(peer.name)!, plan.seconds)
  }
  for (let round = 0; round < plan.rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const { peer, running } = contenders[(round + turn) % contenders.length]
      const result = await measureRound(running, requests.get(peer.name)!, plan)
      results.get(peer.name)!.push(result)
      const cpu = result.cpuMicros === null ? '' : `${result.cpuMicros.toFixed(1)} µs, `
      plan.report(
        `${scenario.name} ${round + 1}/${plan.rounds} ${peer.name}: ${cpu}` +
          `${Math.round(result.requestsPerSecond)} requests/s, ${result.errors} errors`,
      )
    }
  }
  return results
}

async function measureRound(running: Running, scenario: Scenario, plan: Plan): Promise<Round> {
  const before = cpuMicros(running.pid)
  const load = await plan.load(running.port, scenario, plan.seconds)
  const after = cpuMicros(running.pid)
  const cpu = before === null || after === null ? null : after - before
  return {
    requests: load.requests,
    errors: load.errors,
    requestsPerSecond: load.requests / load.seconds,
    cpuMicros: cpu === null || load.requests === 0 ? null : cpu / load.requests,
    busy: cpu === null ? null : cpu / (load.seconds * 1e6),
    p50Ms: load.p50Ms,
    p99Ms: load.p99Ms,
  }
}

/** CPU µs per request of a proxy in a scenario: the median of its rounds; NaN where the system does not tell. */
export function costOf(rounds: readonly Round[]): number {
  return median(rounds.map((round) => round.cpuMicros ?? Number.NaN))
}

/** The middle value; of an even number of values the mean of the two in the middle. NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** The value below which the given share (0 to 1) of the values lies. NaN for none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted.length === 0 ? Number.NaN : sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
}
