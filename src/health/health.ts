/**
 * The health room put together: active probes of every target, and a sweep over the traffic's own counters each 500 ms, and at
 * once when a worker sees a target fail in a row.
 *
 * It reads the spec and the counters and writes nothing but observations, through one report, so that control stays the one
 * writer and the workers are never asked anything. Both halves only tell of changes.
 */
import type { Observation } from '../change.ts'
import { servicesOfEvent } from '../config/event-types.ts'
import { own } from '../config/record.ts'
import { type Alarm, onAlarm } from '../metrics/alarm.ts'
import type { SharedMemory } from '../metrics/layout.ts'
import { CELL } from '../metrics/layout.ts'
import { createProber, type ProberDeps } from './prober.ts'
import { createReport } from './report.ts'
import { SWEEP_MS, Sweeper } from './sweeper.ts'

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
  const sweeper = new Sweeper(deps.memory, (observation) => report.add(observation))
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
  let followed = control.snapshot().status
  /** Names have other addresses without an event; whatever has changed is a new object. */
  const follow = () => {
    const { status } = control.snapshot()
    if (status === followed) return
    const moved = Object.keys(status).filter((name) => status[name] !== own(followed, name))
    followed = status
    if (moved.length > 0) prober.sync(new Set(moved))
  }
  const sweep = () => {
    follow()
    sweeper.sweep(control.snapshot().status, clock.steadyMs())
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
