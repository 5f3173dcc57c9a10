/**
 * Where an attack takes place in a test: a proxy of its own as a process with one worker, a target for the victims, the
 * attacker and its target; and what must hold afterwards, whatever the attack was.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { expect, onTestFinished } from 'vitest'
import { metric } from '../helpers/admin.ts'
import { bulk } from '../helpers/bulk.ts'
import { startProcess, temporaryFolder } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startNamed } from '../helpers/upstream.ts'
import { Attacker } from './attacker.ts'
import { ATTACKS, type AttackName, configOf } from './attacks.ts'
import { besiege, FLOOR_MS, isGood, RATIO_MAX, SHORT } from './siege.ts'
import type { Tally } from './swarm.ts'
import { Victims } from './victims.ts'

/** Memory that the proxy may take for an attack, above what it has when only the victims are there. */
const GROWTH_BYTES_MAX = 160 * 1024 * 1024

/** The sum of the samples of a metric whose labels contain a text. */
export type Count = (name: string, labels?: string) => Promise<number>

/** Called once while the first attack goes on, to wait for what it must come to. */
export type During = (count: Count) => Promise<void>

export interface Aftermath {
  /** What became of the attackers' connections. */
  readonly tally: Tally
  readonly count: Count
  /** Attacks that there were. */
  readonly rounds: number
}

/**
 * Attacks a proxy and checks what must hold under any attack: no request of others fails, their p99 stays within the bound,
 * memory stays bounded, and nothing is left when the attackers have gone. Resolves with what came of it.
 */
export async function attack(name: AttackName, during?: During): Promise<Aftermath> {
  const [attacker, target] = await Promise.all([Attacker.start(name), startNamed('calm')])
  onTestFinished(() => attacker.end())
  const config = { ...configOf(name, target.port, attacker.targetPort), log: { access: false } }
  const proxy = await startProcess(config, temporaryFolder())
  pin(proxy.child.pid!)
  const count: Count = (metricName, labels = '') => metric(proxy, metricName, labels)
  const victims = new Victims(proxy.port, ATTACKS[name].fillsUp !== true)
  onTestFinished(() => victims.close())
  const before = residentBytes(proxy.child.pid!)
  let most = before
  const look = async (round: number) => {
    if (round === 0) await during?.(count)
    most = Math.max(most, residentBytes(proxy.child.pid!))
  }
  const { rounds, tally } = await besiege(proxy.port, victims, attacker, {
    calm: { requests: bulk(200, 600) },
    attack: { requests: bulk(200, 600), atLeastMs: bulk(400, 600) },
    roundsMax: SHORT.roundsMax,
    // One good round proves what is asked; the second one looks for what only a second attack meets.
    roundsMin: bulk(1, SHORT.roundsMin),
    look,
  })
  const failed = rounds.reduce((sum, round) => sum + round.calm.failed + round.attack.failed, 0)
  expect(failed, 'requests of others that failed').toBe(0)
  expect(most - before, 'memory taken').toBeLessThan(GROWTH_BYTES_MAX)
  const figures = rounds.map((round) => [round.calm.p99Ms, round.attack.p99Ms])
  expect(
    rounds.some(isGood),
    `p99 in ms, calm and under attack, by round: ${JSON.stringify(figures)}; at most ${RATIO_MAX} × or ${FLOOR_MS} ms`,
  ).toBe(true)
  victims.close()
  const left = ['turnout_client_connections', 'turnout_in_flight', 'turnout_tunnels']
  for (const gauge of left) await until(`${gauge} is 0`, async () => (await metric(proxy, gauge)) === 0)
  return { tally, count, rounds: rounds.length }
}

/** Keeps a process on one core, where there is a second one for all others. */
function pin(pid: number): void {
  if (process.platform === 'linux' && availableParallelism() > 1) spawnSync('taskset', ['-acp', '0', String(pid)])
}

/** Resident memory of a process; 0 where the system does not tell. */
function residentBytes(pid: number): number {
  if (process.platform !== 'linux') return 0
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
}
