/**
 * The health room put together: active probes of every target, and a sweep over the traffic's own counters each 500 ms, and at
 * once when a worker sees a target fail in a row.
 *
 * It reads the spec and the counters and writes nothing but observations, through one report, so that control stays the one
 * writer and the workers are never asked anything. Both halves only tell of changes.
 */
import type { Control, Observation, Snapshot } from '../change.ts'
import { servicesOfEvent } from '../config/event-types.ts'
import { type Alarm, onAlarm } from '../metrics/alarm.ts'
import type { SharedMemory } from '../metrics/layout.ts'
import { CELL, FIELD, laneOffset } from '../metrics/layout.ts'
import type { ServiceStatus } from '../table/status.ts'
import type { LaneCounts } from './fault.ts'
import { NOTHING_SWEPT, type OutlierTarget, type PoolMemory, sweepPool, type TargetCounts } from './outlier.ts'
import { createProber, type ProberDeps } from './prober.ts'
import { createReport, type Report } from './report.ts'

/** Milliseconds between two sweeps over the counters. */
export const SWEEP_MS = 500
/** Targets that fail again and again make it sweep at once. */
const ALARM: Alarm = { cell: CELL.alarm, pauseMsMin: 10, pausePerLook: 10 }

export interface HealthDeps extends ProberDeps {
  readonly memory: SharedMemory
  /** Hears of observations that control did not take; default: nobody. */
  readonly refused?: (error: unknown) => void
}

export interface RunningHealth {
  /** Resolves once every address that is probed has been, and what that says is in the tables. */
  probed(): Promise<void>
  /** Ends all; resolves when no probe and no report is under way. */
  stop(): Promise<void>
}

/** Starts probing and sweeping. */
export function createHealth(deps: HealthDeps): RunningHealth {
  const { control, clock } = deps
  const observe = (observations: readonly Observation[]) => control.observe(observations)
  const report = createReport(clock, observe, deps.refused ?? (() => {}))
  const prober = createProber(deps, report)
  let pools = new Map<string, PoolMemory>()
  let cancelSync: (() => void) | null = null
  /** Services that have changed since the last look; null for any. */
  let changed: Set<string> | null = new Set()

  // Many changes in one tick need one look at the spec.
  const unsubscribe = control.subscribe((event) => {
    if (event.type !== 'change') return
    const names = servicesOfEvent(event)
    changed = names === null ? null : (changed?.union(new Set(names)) ?? null)
    cancelSync ??= clock.after(0, () => {
      cancelSync = null
      prober.sync(changed)
      changed = new Set()
    })
  })
  const sweep = () => {
    pools = sweepAll(control, deps.memory, pools, clock.steadyMs(), report)
  }
  const endSweep = clock.every(SWEEP_MS, sweep)
  const endAlarm = onAlarm(deps.memory, clock, ALARM, sweep)
  prober.sync()

  return {
    async probed() {
      await prober.probed()
      await report.settled()
    },
    async stop() {
      unsubscribe()
      cancelSync?.()
      endSweep()
      endAlarm()
      await prober.stop()
      await report.settled()
    },
  }
}

/** Sweeps the pools of all services; returns what to remember, which holds only pools that exist. */
function sweepAll(
  control: Control,
  memory: SharedMemory,
  before: ReadonlyMap<string, PoolMemory>,
  nowMs: number,
  report: Report,
): Map<string, PoolMemory> {
  const after = new Map<string, PoolMemory>()
  const snapshot: Snapshot = control.snapshot()
  for (const [service, status] of Object.entries(snapshot.status)) {
    for (const pool of Object.keys(status.pools)) {
      const targets = outlierTargets(memory, status, pool)
      // One target alone is never ejected, and none at all has nothing to count.
      if (targets.length < 2) continue
      const key = `${service}\n${pool}`
      const swept = sweepPool(before.get(key) ?? NOTHING_SWEPT, targets, nowMs)
      after.set(key, swept.memory)
      for (const { url, address, untilMs, detail } of swept.ejections) {
        report.add({ service, pool, target: url, address, ejectedUntilMs: untilMs, detail })
      }
    }
  }
  return after
}

function outlierTargets(memory: SharedMemory, status: ServiceStatus, pool: string): OutlierTarget[] {
  const { admin, targets } = status.pools[pool]
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
