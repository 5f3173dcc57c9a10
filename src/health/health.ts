/**
 * The health room put together: active probes of every target, and a sweep over the traffic's own counters each 500 ms, and at
 * once when a worker sees a target fail in a row.
 *
 * It reads the spec and the counters and writes nothing but observations, through one report, so that control stays the one
 * writer and the workers are never asked anything. Both halves only tell of changes.
 */
import type { Control, Observation } from '../change.ts'
import { servicesOfEvent } from '../config/event-types.ts'
import { type Alarm, onAlarm } from '../metrics/alarm.ts'
import type { SharedMemory } from '../metrics/layout.ts'
import { CELL, FIELD, laneOffset, sumField } from '../metrics/layout.ts'
import type { PoolStatus } from '../table/status.ts'
import type { LaneCounts } from './fault.ts'
import { NOTHING_SWEPT, type OutlierTarget, type PoolMemory, sweepPool, type TargetCounts } from './outlier.ts'
import { createProber, type ProberDeps } from './prober.ts'
import { createReport, type Report } from './report.ts'

/** Milliseconds between two sweeps over the counters. */
export const SWEEP_MS = 500
/** A pool that nothing happens to is swept this often, so that what was seen of it ages. */
const QUIET_MS = 10_000
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

/** A pool as it was when it was swept last. */
interface SweptPool {
  readonly status: PoolStatus
  readonly attempts: number
  readonly atMs: number
  readonly memory: PoolMemory
}

/** Starts probing and sweeping. */
export function createHealth(deps: HealthDeps): RunningHealth {
  const { control, clock } = deps
  const observe = (observations: readonly Observation[]) => control.observe(observations)
  const report = createReport(clock, observe, deps.refused ?? (() => {}))
  const prober = createProber(deps, report)
  let pools = new Map<string, SweptPool>()
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
  before: ReadonlyMap<string, SweptPool>,
  nowMs: number,
  report: Report,
): Map<string, SweptPool> {
  const after = new Map<string, SweptPool>()
  for (const [service, { pools }] of Object.entries(control.snapshot().status)) {
    for (const [pool, status] of Object.entries(pools)) {
      const key = `${service}\n${pool}`
      const known = before.get(key)
      const attempts = attemptsAt(memory, status)
      if (known !== undefined && isQuiet(known, status, attempts, nowMs)) {
        after.set(key, known)
        continue
      }
      const targets = outlierTargets(memory, status)
      // One target alone is never ejected, and none at all has nothing to count.
      if (targets.length < 2) continue
      const swept = sweepPool(known?.memory ?? NOTHING_SWEPT, targets, nowMs)
      after.set(key, { status, attempts, atMs: nowMs, memory: swept.memory })
      for (const { url, address, untilMs, detail } of swept.ejections) {
        report.add({ service, pool, target: url, address, ejectedUntilMs: untilMs, detail })
      }
    }
  }
  return after
}

/** Whether another sweep could find nothing new: nothing was counted since the last one, and no doubt gets older. */
function isQuiet({ memory, ...last }: SweptPool, status: PoolStatus, attempts: number, nowMs: number): boolean {
  // A status is replaced and never changed, so the same one has the same addresses in the same slots.
  if (last.status !== status || last.attempts !== attempts || nowMs - last.atMs >= QUIET_MS) return false
  for (const { doubted } of memory.targets.values()) if (doubted !== null) return false
  return true
}

/** All attempts that have ended at a pool: with the same slots, it is the same only where no counter has moved. */
function attemptsAt(memory: SharedMemory, { targets }: PoolStatus): number {
  let attempts = 0
  for (const url in targets) {
    for (const { slot } of targets[url].addresses) {
      attempts += sumField(memory, slot, FIELD.attemptsGood) + sumField(memory, slot, FIELD.attemptsFailed)
    }
  }
  return attempts
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
