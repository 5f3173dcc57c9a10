/**
 * The sweep over the counters: which targets fail the traffic itself (outlier.ts), pool by pool.
 *
 * Swept are the services with news (metrics/news.ts), those with a row of failures in doubt, which is judged by time too, and in turns those
 * in which nothing happens any more, so that what was seen of them ages. A service that nothing was ever counted of has nothing to age.
 * So a sweep costs what has happened since the last one.
 */
import type { Observation } from '../change.ts'
import { FIELD, laneOffset, type SharedMemory } from '../metrics/layout.ts'
import { News } from '../metrics/news.ts'
import type { PoolStatus, ServiceStatus } from '../table/status.ts'
import type { LaneCounts } from './fault.ts'
import { NOTHING_SWEPT, type OutlierTarget, type PoolMemory, sweepPool, type TargetCounts } from './outlier.ts'

/** Milliseconds between two sweeps over the counters. */
export const SWEEP_MS = 500
/** A service that nothing happens to is swept this often. */
const QUIET_MS = 10_000

/** What is remembered of a service, by pool. */
type Swept = ReadonlyMap<string, PoolMemory>

export class Sweeper {
  readonly #memory: SharedMemory
  readonly #news: News
  readonly #eject: (observation: Observation) => void
  readonly #swept = new Map<string, Swept>()
  /** When those were swept last of which something was counted, the longest ago first. */
  readonly #ageing = new Map<string, number>()
  /** Those with a row of failures in doubt. */
  readonly #doubted = new Set<string>()

  /** `eject` is called with what each sweep finds. */
  constructor(memory: SharedMemory, eject: (observation: Observation) => void) {
    this.#memory = memory
    this.#news = new News(memory, [FIELD.attemptsGood, FIELD.attemptsFailed])
    this.#eject = eject
  }

  /** One sweep; steady time in ms. */
  sweep(statuses: Readonly<Record<string, ServiceStatus>>, nowMs: number): void {
    const names = this.#news.look(statuses)
    for (const name of this.#doubted) names.add(name)
    let turns = Math.ceil((this.#ageing.size * SWEEP_MS) / QUIET_MS)
    for (const [name, atMs] of this.#ageing) {
      if (nowMs - atMs < QUIET_MS || turns-- === 0) break
      names.add(name)
    }
    for (const name of names) {
      const before = this.#swept.get(name)
      for (const all of [this.#swept, this.#ageing, this.#doubted]) all.delete(name)
      if (Object.hasOwn(statuses, name)) this.#sweepService(name, statuses[name], before, nowMs)
    }
  }

  #sweepService(service: string, { pools }: ServiceStatus, before: Swept | undefined, nowMs: number): void {
    const after = new Map<string, PoolMemory>()
    for (const [pool, status] of Object.entries(pools)) {
      const targets = outlierTargets(this.#memory, status)
      // One target alone is never ejected, and none at all has nothing to count.
      if (targets.length < 2) continue
      const { memory, ejections } = sweepPool(before?.get(pool) ?? NOTHING_SWEPT, targets, nowMs)
      after.set(pool, memory)
      if (memory.good + memory.failed > 0) this.#ageing.set(service, nowMs)
      if (isDoubted(memory)) this.#doubted.add(service)
      for (const { url, address, untilMs, detail } of ejections) {
        this.#eject({ service, pool, target: url, address, ejectedUntilMs: untilMs, detail })
      }
    }
    if (after.size > 0) this.#swept.set(service, after)
  }
}

function isDoubted({ targets }: PoolMemory): boolean {
  for (const { doubted } of targets.values()) if (doubted !== null) return true
  return false
}

function outlierTargets(memory: SharedMemory, { admin, targets }: PoolStatus): OutlierTarget[] {
  return Object.entries(targets).flatMap(([url, target]) =>
    target.addresses.map(({ address, slot, health, ejectedUntilMs }) => ({
      url,
      address,
      slot,
      counts: countsOf(memory, slot),
      eligible: admin === 'ready' && target.admin === 'ready' && health !== 'unhealthy',
      ejectedUntilMs,
    })),
  )
}

function countsOf({ workers, targets }: SharedMemory, slot: number): TargetCounts {
  const lanes: LaneCounts[] = []
  let good = 0
  let failed = 0
  for (let worker = 0; worker < workers; worker++) {
    const at = laneOffset(worker, slot)
    const inLane = targets[at + FIELD.attemptsFailed]
    good += targets[at + FIELD.attemptsGood]
    failed += inLane
    lanes.push({
      failed: inLane,
      failuresInRow: targets[at + FIELD.failuresInRow],
      connectErrorsInRow: targets[at + FIELD.connectErrorsInRow],
    })
  }
  return { good, failed, lanes }
}
