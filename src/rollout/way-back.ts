/**
 * The way back of a rollout to those who had the traffic before: at once, or where these do not carry all of it any more, in steps.
 *
 * Whoever has scaled the old version down meanwhile has too few targets for everybody at once: most requests would wait, and the last be
 * answered 503, also those that the new version answers well. So where it is known what a target carries (`capacity`), the first step goes
 * back at once as far as the healthy targets reach, by what is measured; every second more goes as there is room; and after
 * `EASE_MS_MAX` all the rest, whatever that is. A new version that has got no more than a quarter, what is less than one per cent, what is not measured, and pools of which no target is healthy
 * hold nothing up. The rollout is on its way back from the first step on, and latched; until the end what the new version fails is rescued.
 *
 * Every step goes to the workers before the store, and a store that is away delays none.
 */
import type { Control } from '../change.ts'
import type { Clock } from '../clock.ts'
import { inDigits } from '../config/digits.ts'
import { own } from '../config/record.ts'
import type { ServiceSpec, Weights } from '../config/schema.ts'
import { weightShare } from '../config/share.ts'
import type { ServiceTraffic, TrafficWindow } from '../metrics/window.ts'
import { workOf } from '../metrics/work.ts'
import { carriedBy, carriedInWords, demandOf, type PoolLimits } from '../table/demand.ts'
import { targetsForNew } from '../table/proven.ts'
import type { ServiceStatus } from '../table/status.ts'
import type { GateLog, OpenGate } from './gates/gate-log.ts'
import type { Kept } from './kept.ts'
import { limitsOf } from './limits.ts'
import type { PoolTargets } from './pool-targets.ts'
import { isRolling } from './rolling.ts'
import { sharesAt } from './shares.ts'

const LOOK_MS = 1_000
/** So much goes back at once, whatever is said to be carried: those who had it before have three quarters and more of all now. */
const SMALL_PERCENT = 25
/** The longest that a new version is kept on the way back for want of room. */
export const EASE_MS_MAX = 10_000

export interface WayBackDeps {
  readonly control: Control
  readonly clock: Clock
  readonly traffic: Pick<TrafficWindow, 'service'>
  stillLeads(): boolean | Promise<boolean>
}

export class WayBack {
  readonly #deps: WayBackDeps
  readonly #targets: PoolTargets
  readonly #log: GateLog
  readonly #end: AbortSignal

  /** `end` ends it where it stands. */
  constructor(deps: WayBackDeps, targets: PoolTargets, log: GateLog, end: AbortSignal) {
    this.#deps = deps
    this.#targets = targets
    this.#log = log
    this.#end = end
  }

  /** Goes back as far as there is room, by `shift`, which gives the new version so many per cent; resolves when the rest may follow. */
  async ease(kept: Kept, shift: (weights: Weights, percent: number) => Promise<void>): Promise<void> {
    const { clock } = this.#deps
    const { before, to } = kept.rollout
    // It is back already, and the split is everybody's.
    if (!this.#targets.areTried) return
    if (percentOf(this.#targets.spec?.split ?? {}, to) - percentOf(before, to) <= SMALL_PERCENT) return
    const untilMs = clock.monotonicMs() + EASE_MS_MAX
    let open: OpenGate | null = null
    while (!this.#end.aborted && clock.monotonicMs() < untilMs) {
      const found = this.#excess(kept)
      if (found === null || found.percent <= percentOf(before, to) || !(await this.#deps.stillLeads())) break
      open ??= this.#log.begin('capacity')
      open.say(found.sentence)
      if (found.percent < percentOf(this.#targets.spec?.split ?? {}, to)) {
        // What cannot be stored now, or is overtaken, is so for the last step too, which is tried until it is done.
        await shift(sharesAt(before, to, found.percent), found.percent).catch(() => {})
      }
      await this.#pause()
    }
    open?.end('passed', null)
  }

  /** Makes the last step, which has to be done in the end; where it fails, those that are tried are out until then. */
  async end(kept: Kept, shift: () => Promise<void>): Promise<void> {
    // The service is gone: there is nothing to go back to.
    if (this.#targets.spec === undefined) return
    try {
      await shift()
    } catch (error) {
      // Mostly every worker goes back already, and the store alone is away. Else those that fail are at least out, as others that fail.
      if (this.#targets.areTried) {
        await this.#targets.eject(kept.rollout, this.#deps.clock.steadyMs()).catch(() => {})
      }
      throw error
    }
  }

  #excess({ service, rollout, wish }: Kept): Excess | null {
    const { spec } = this.#targets
    const limits = spec === undefined || isRolling(rollout) ? null : limitsOf(wish.spec, spec)
    const status = own(this.#deps.control.snapshot().status, service)
    const lately = this.#deps.traffic.service(service)
    if (limits === null || status === undefined || lately === null) return null
    return excessOf(rollout.before, rollout.to, lately, status, limits, spec!, this.#deps.clock.steadyMs())
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#deps.clock.after(LOOK_MS, resolve)
      const leave = (): void => {
        cancel()
        resolve()
      }
      this.#end.addEventListener('abort', leave, { once: true })
    })
  }
}

/** What of the traffic its pools of before would not carry. */
export interface Excess {
  readonly percent: number
  readonly sentence: string
}

/** Per cent of the traffic that those who had it before do not carry, in words too; null when they carry all of it, or nobody knows. */
export function excessOf(
  before: Readonly<Record<string, number>>,
  to: string,
  lately: ServiceTraffic,
  status: ServiceStatus,
  limits: PoolLimits,
  { health, pools }: Pick<ServiceSpec, 'health' | 'pools'>,
  nowMs: number,
): Excess | null {
  if (lately.windowMs <= 0) return null
  const all = workOf([...lately.pools.values()].flat())
  const others = Object.entries(before).filter(([pool, weight]) => pool !== to && weight > 0)
  const sum = others.reduce((total, [, weight]) => total + weight, 0)
  let most: Excess | null = null
  for (const [pool, weight] of others) {
    const asked = ((all.requests + all.unserved) * weight) / sum
    const { atOnce } = demandOf(asked, all, workOf(lately.pools.get(pool) ?? []), lately.windowMs)
    const targets = targetsForNew(own(pools, pool), own(status.pools, pool)?.targets ?? {})
    const carried = carriedBy(targets, limits, health !== undefined, nowMs)
    const percent = Math.floor(100 * (1 - carried.carries / atOnce))
    if (carried.fit === 0 || !(percent > (most?.percent ?? 0))) continue
    const needs = `about ${inDigits(Math.round(atOnce))} requests at once`
    most = {
      percent,
      sentence: `${pool} would get ${needs} and ${carriedInWords(carried)}, so ${to} keeps ${percent} % for the moment`,
    }
  }
  return most
}

const percentOf = (weights: Readonly<Record<string, number>>, pool: string): number => weightShare(weights, pool, 100)
