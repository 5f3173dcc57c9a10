/**
 * What a rollout has replaced, while it is kept: told, and retired when its time is over.
 *
 * Whoever wants it gone earlier is refused by control (control/standby-guard.ts). When the time is over the hook `Retire` is called once, with
 * the same key after a restart; a pool that has traffic again by then, or that has gone or holds something else, is nobody's to retire.
 * The time is steady while the process runs, and wall time in the store.
 */
import type { Control } from '../change.ts'
import type { Clock } from '../clock.ts'
import { own } from '../config/record.ts'
import type { SharedMemory } from '../metrics/layout.ts'
import { aboutOf } from './gates/about.ts'
import { GateLog } from './gates/gate-log.ts'
import type { Gates } from './gates/gates.ts'
import type { Kept } from './kept.ts'
import { isRolling } from './rolling.ts'
import { livePoolsOf } from './rollout.ts'
import type { RunningDeps } from './running.ts'

export interface Standby {
  readonly pools: readonly string[]
  /** Wall time in ms. */
  readonly untilMs: number
  readonly isOver: boolean
}

/** Longest timer; what is further away is looked at again then. */
const TIMER_MS_MAX = 86_400_000

/** The standby of a rollout that is done now. */
export function standbyOf({ rollout, wish: { standbyMs = 0 } }: Kept, nowMs: number): Standby | undefined {
  if (rollout.state !== 'done' || standbyMs === 0 || isRolling(rollout)) return undefined
  return { pools: livePoolsOf(rollout), untilMs: nowMs + standbyMs, isOver: false }
}

export interface StandbysDeps {
  readonly control: Control
  readonly clock: Clock
  readonly memory: SharedMemory
  readonly gates: Gates
  readonly publish: RunningDeps['publish']
  readonly log: RunningDeps['log']
  /** Keeps what has become of a rollout that is over. */
  save(kept: Kept): Promise<void>
}

export class Standbys {
  readonly #deps: StandbysDeps
  readonly #cancels = new Map<string, () => void>()
  readonly #end = new AbortController()

  constructor(deps: StandbysDeps) {
    this.#deps = deps
  }

  /** Retires what a rollout keeps when its time is over. */
  watch(kept: Kept): void {
    const { standby, rollout } = kept
    if (standby === undefined || standby.isOver || this.#cancels.has(rollout.id)) return
    const { clock } = this.#deps
    const untilMs = clock.steadyMs() + standby.untilMs - clock.nowMs()
    const arm = (): void => {
      const leftMs = untilMs - clock.steadyMs()
      const next = leftMs <= 0 ? () => void this.#retire(kept, standby) : arm
      this.#cancels.set(rollout.id, clock.after(Math.max(0, Math.min(leftMs, TIMER_MS_MAX)), next))
    }
    arm()
  }

  close(): void {
    this.#end.abort(new Error('the process ends'))
    for (const cancel of this.#cancels.values()) cancel()
  }

  async #retire(kept: Kept, standby: Standby): Promise<void> {
    const { control, clock, gates, log, publish } = this.#deps
    const { service, rollout } = kept
    const status = own(control.snapshot().status, service)
    const split = own(control.snapshot().services, service)?.split ?? {}
    // Kept by a later rollout, or holding something else, it has another time, or none.
    const mine = standby.pools.filter((pool) => {
      const untilMs = status?.pools[pool]?.keptUntilMs
      return untilMs !== undefined && untilMs <= clock.steadyMs() && !own(split, pool)
    })
    const gateLog = new GateLog(kept.gates ?? [], () => clock.nowMs())
    let what = 'has ended: what was kept has traffic again, or is not there any more'
    if (mine.length > 0) {
      what = await gates.retire(aboutOf(kept, this.#deps, gateLog, this.#end.signal), mine, this.#end.signal).then(
        () => `has ended: ${mine.join(' and ')} is free to be retired`,
        (error: Error) => `has ended, but ${mine.join(' and ')} was not retired: ${error.message}`,
      )
    }
    // A process that ends leaves it to the next one.
    if (this.#end.signal.aborted) return
    await this.#deps
      .save({ ...kept, gates: gateLog.entries, standby: { ...standby, isOver: true } })
      .catch((error: unknown) => log.error({ err: error, rollout: rollout.id }, 'the end of a standby cannot be kept'))
    this.#cancels.delete(rollout.id)
    const message = `the standby of rollout ${rollout.id} of ${service} ${what}`
    publish({ type: 'rollout', service, message, data: { id: rollout.id, standby: mine } })
  }
}
