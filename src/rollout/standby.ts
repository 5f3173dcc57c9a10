/**
 * What a rollout has replaced, while it is kept: told, and retired when its time is over.
 *
 * Whoever wants it gone earlier is refused by control (control/standby-guard.ts). When the time is over the hook `Retire` is called, with
 * the same key after a restart; a pool that has traffic again by then, or that has gone or holds something else, is nobody's to retire. One that
 * a rollout tries, or would go back to, waits until that is over. A hook that fails is called again some times, ever later; then people are told. Time is steady while the process runs, and wall time in the store.
 */
import type { Control } from '../change.ts'
import { type Clock, SHIFT_MS_MIN } from '../clock.ts'
import { inWords } from '../config/duration.ts'
import { own } from '../config/record.ts'
import type { SharedMemory } from '../metrics/layout.ts'
import { aboutOf } from './gates/about.ts'
import { GateLog } from './gates/gate-log.ts'
import type { Gates } from './gates/gates.ts'
import type { Kept } from './kept.ts'
import { notifyAll } from './news.ts'
import { retry } from './retry.ts'
import type { RunningDeps } from './running.ts'

export interface Standby {
  readonly pools: readonly string[]
  /** Wall time in ms. */
  readonly untilMs: number
  readonly isOver: boolean
  /** What its hook has come to, where it has failed. */
  readonly retire?: Retire
}

/** A hook `Retire` that has failed. */
export interface Retire {
  readonly tries: number
  readonly reason: string
  /** Wall time of the next try; null when there is none any more. */
  readonly againAtMs: number | null
}

const GONE = 'what was kept has traffic again, is kept by a later rollout, or is not there any more'
/** Time before each further try. */
const AGAIN_MS = [60_000, 300_000, 900_000, 3_600_000, 14_400_000]
const TRIES_MAX = AGAIN_MS.length + 1

export interface StandbysDeps {
  readonly control: Control
  readonly clock: Clock
  readonly memory: SharedMemory
  readonly gates: Pick<Gates, 'retire' | 'notify'>
  readonly publish: RunningDeps['publish']
  readonly log: RunningDeps['log']
  /** Whether what is watched here is still ours (Fleet.stillLeads). */
  stillLeads(): boolean | Promise<boolean>
  /** Keeps what has become of a rollout that is over. */
  save(kept: Kept): Promise<void>
}

interface Watched {
  readonly kept: Kept
  cancel(): void
  /** Its time is over, but a rollout still needs what is kept. */
  isNeeded: boolean
}

export class Standbys {
  readonly #deps: StandbysDeps
  /** By the id of the rollout. */
  readonly #watched = new Map<string, Watched>()
  readonly #end = new AbortController()
  readonly #endListening: () => void

  constructor(deps: StandbysDeps) {
    this.#deps = deps
    this.#endListening = deps.control.subscribe(({ type }) => {
      if (type !== 'change') return
      this.#endOfGone()
      this.#goOnWithFree()
    })
  }

  /** Retires what a rollout keeps when its time is over. */
  watch(kept: Kept): void {
    const { standby, rollout } = kept
    if (standby === undefined || standby.isOver || this.#watched.has(rollout.id)) return
    const { clock } = this.#deps
    const untilMs = this.#untilMs(kept, standby)
    const arm = (): void => {
      const leftMs = untilMs - clock.steadyMs()
      const next = leftMs <= 0 ? () => void this.#retire(kept, standby) : arm
      const cancel = clock.after(Math.max(0, leftMs), next)
      this.#watched.set(rollout.id, { kept, cancel, isNeeded: false })
    }
    arm()
  }

  /**
   * By steady time. Until control keeps its pools no more they are not free, and that is stored anew when the clock is set, what is kept here is
   * not. A pool that another rollout keeps too may have its time.
   */
  #untilMs({ service, rollout }: Kept, { untilMs, retire, pools }: Standby): number {
    const { clock, control } = this.#deps
    const toldMs = clock.steadyMs() + (retire?.againAtMs ?? untilMs) - clock.nowMs()
    const status = own(control.snapshot().status, service)?.pools ?? {}
    const others = [...this.#watched.values()].filter(({ kept }) => kept.rollout.id !== rollout.id)
    const ofOthers = others.flatMap(({ kept }) => (kept.service === service ? (kept.standby?.pools ?? []) : []))
    const keptMs = pools.flatMap((pool) => {
      const ms = own(status, pool)?.keptUntilMs
      return ms === undefined || (ofOthers.includes(pool) && ms >= toldMs + SHIFT_MS_MIN) ? [] : [ms]
    })
    return keptMs.length > 0 && retire === undefined ? Math.max(...keptMs) : Math.max(toldMs, ...keptMs)
  }

  close(): void {
    this.#end.abort(new Error('the process ends'))
    this.#endListening()
    for (const { cancel } of this.#watched.values()) cancel()
  }

  /** What is kept no more, since somebody has removed it, or put something else in its place, is told at once. */
  #endOfGone(): void {
    const { services, status } = this.#deps.control.snapshot()
    for (const [id, { kept, cancel }] of this.#watched) {
      const { service, standby } = kept
      const pools = own(status, service)?.pools ?? {}
      if (standby === undefined || standby.pools.some((pool) => own(pools, pool)?.keptUntilMs !== undefined)) continue
      cancel()
      this.#watched.delete(id)
      const { untilMs } = standby
      const why = Object.hasOwn(services, service)
        ? 'what was kept was removed, or holds something else'
        : 'the service was removed, and with it what was kept'
      void this.#over(kept, { pools: standby.pools, untilMs, isOver: true }, [], `has ended early: ${why}`)
    }
  }

  /** What was needed beyond its time is retired once the rollout that needed it is over. */
  #goOnWithFree(): void {
    for (const watched of this.#watched.values()) {
      const { kept, isNeeded } = watched
      if (!isNeeded || this.#isNeeded(kept)) continue
      // Its own time is over: what its pools have now may be that of the rollout which has needed them.
      watched.isNeeded = false
      void this.#retire(kept, kept.standby!)
    }
  }

  /** Whether a rollout that runs tries a pool of it, or would go back to one. */
  #isNeeded({ service, standby }: Kept): boolean {
    const trial = own(this.#deps.control.snapshot().status, service)?.trial
    if (trial === undefined) return false
    const { pool: tried, before = {} } = trial
    return standby?.pools.some((pool) => pool === tried || own(before, pool)) === true
  }

  async #retire(kept: Kept, standby: Standby): Promise<void> {
    const { clock, gates, stillLeads } = this.#deps
    // Whoever leads by now retires it.
    if (!(await stillLeads())) return
    const { service, rollout } = kept
    const watched = this.#watched.get(rollout.id)
    if (watched === undefined) return
    watched.isNeeded = this.#isNeeded(kept)
    if (watched.isNeeded) return
    const mine = this.#mine(service, standby)
    const gateLog = new GateLog(kept.gates ?? [], () => clock.nowMs())
    let what = `has ended: ${GONE}`
    let retire: Retire | undefined
    if (mine.length > 0) {
      const pools = mine.join(' and ')
      what = `has ended: ${pools} is free to be retired`
      const about = aboutOf(kept, this.#deps, gateLog, this.#end.signal)
      await gates.retire(about, mine, this.#end.signal).catch((error: Error) => {
        retire = failedAgain(standby.retire, error.message, clock.nowMs())
        what = `has ended, but ${pools} was not retired: ${error.message}; ${nextInWords(retire)}`
      })
    }
    // A process that ends leaves it to the next one, and what has gone meanwhile is over.
    if (this.#end.signal.aborted || !this.#watched.has(rollout.id)) return
    const { retire: _last, ...rest } = standby
    const isOver = retire === undefined || retire.againAtMs === null
    this.#watched.delete(rollout.id)
    const next = { ...rest, isOver, ...(retire && { retire }) }
    await this.#over({ ...kept, gates: gateLog.entries }, next, mine, what)
  }

  /** Keeps and tells what has become of a standby whose time is over. */
  async #over(before: Kept, standby: Standby, mine: readonly string[], what: string): Promise<void> {
    const { service, rollout } = before
    const kept: Kept = { ...before, standby }
    if (!(await this.#save(kept))) return
    const message = `the standby of rollout ${rollout.id} of ${service} ${what}`
    this.#deps.publish({
      type: 'rollout',
      service,
      message,
      data: { id: rollout.id, standby: mine, ...(standby.retire && { trouble: true }) },
    })
    if (!standby.isOver) this.watch(kept)
    else if (standby.retire !== undefined) notifyAll(`${service}: ${message}`, 'not retired', kept, this.#deps)
  }

  /** Those that are still its own: one that a later rollout keeps, or that holds something else, has another time, or none. */
  #mine(service: string, { pools }: Standby): string[] {
    const { control, clock } = this.#deps
    const status = own(control.snapshot().status, service)
    const split = own(control.snapshot().services, service)?.split ?? {}
    return pools.filter((pool) => {
      const untilMs = status?.pools[pool]?.keptUntilMs
      return untilMs !== undefined && untilMs <= clock.steadyMs() && !own(split, pool)
    })
  }

  /** Keeps what has become of it, once the store is there; false when the process ends first. */
  #save(kept: Kept): Promise<boolean> {
    const { clock, log, save } = this.#deps
    let isTold = false
    const failed = (error: unknown): void => {
      if (!isTold) log.error({ err: error, rollout: kept.rollout.id }, 'the end of a standby cannot be kept')
      isTold = true
    }
    return retry(
      clock,
      () => save(kept),
      failed,
      () => !this.#end.signal.aborted,
    )
  }
}

function failedAgain(last: Retire | undefined, reason: string, nowMs: number): Retire {
  const tries = (last?.tries ?? 0) + 1
  return { tries, reason, againAtMs: tries < TRIES_MAX ? nowMs + AGAIN_MS[tries - 1] : null }
}

const nextInWords = ({ tries, againAtMs }: Retire): string =>
  againAtMs === null ? `tried ${tries} times, and given up` : `tried again in ${inWords(AGAIN_MS[tries - 1])}`
