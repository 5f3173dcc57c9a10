/**
 * Tunnels that a process lets go which this one has replaced (upgrade/), as it tells of them: so what is told of a pool stays whole over an upgrade.
 *
 * Its visitors come back to this process. So it says whom it has let go, by the keys of dataplane/returns.ts, and the workers here note who comes;
 * the two are matched here. Either may be known first, as the news takes a moment: who has come is remembered for `CAME_MS`, who was let go for
 * `KNOWN_MS`. Whoever comes back counts as moved wherever he comes to, the same target too, since he has come to another process.
 *
 * All of it is bounded by `RETURNS`; the oldest are forgotten, which makes the share that is told a little too small, and nothing depends on it.
 */
import type { Clock } from '../clock.ts'
import { RETURN } from '../metrics/departures.ts'
import { RETURN_CELLS, RETURNS, type SharedMemory } from '../metrics/layout.ts'

const KNOWN_MS = 60_000
const CAME_MS = 5_000
/** Times are told in whole seconds. */
const EARLY_MS = 1_000

/** Counts of what a pool lets go. */
export interface Counts {
  closed: number
  cut: number
  moved: number
  left: number
  /** Those that have ended by themselves. */
  went: number
  /** Number of the slowest pace. */
  state: number
}

/** What a process tells the one that has replaced it. */
export interface HandedDepartures {
  /** Of pools that let some go: all counts since that began, or since it was told first. */
  readonly pools: readonly { readonly service: string; readonly pool: string; readonly counts: Counts }[]
  /** Who was let go since the last time: key, how many, how many seconds ago, and which of these pools. */
  readonly gone: readonly (readonly [key: number, count: number, agoS: number, pool: number])[]
}

interface Gone {
  readonly key: number
  readonly atMs: number
  readonly pool: string
  count: number
}

/** The name of a pool of a service in maps. */
export const poolKey = (service: string, pool: string): string => `${service}\n${pool}`

/** Takes all entries out of such a table, while workers write to it. */
export function* takeReturns(cells: Int32Array): Generator<{ key: number; slot: number; count: number; atMs: number }> {
  for (let at = 0; at < cells.length; at += RETURN_CELLS) {
    if (cells[at + RETURN.count] <= 0) continue
    const [key, slot, atS] = [cells[at + RETURN.hash], cells[at + RETURN.slot], cells[at + RETURN.atS]]
    const count = Atomics.exchange(cells, at + RETURN.count, 0)
    if (count > 0) yield { key, slot, count, atMs: atS * 1_000 }
  }
}

export class OldDepartures {
  readonly #arrivals: Int32Array
  readonly #clock: Pick<Clock, 'monotonicMs' | 'steadyMs'>
  readonly #counts = new Map<string, Counts>()
  /** Of those whom it has let go, how many have come, by pool. */
  readonly #moved = new Map<string, number>()
  #gone: Gone[] = []
  #came: { readonly key: number; readonly atMs: number; count: number }[] = []

  constructor({ arrivals }: Pick<SharedMemory, 'arrivals'>, clock: Pick<Clock, 'monotonicMs' | 'steadyMs'>) {
    this.#arrivals = arrivals
    this.#clock = clock
  }

  /** Takes what it tells. */
  take({ pools, gone }: HandedDepartures): void {
    const nowMs = this.#clock.monotonicMs()
    for (const { service, pool, counts } of pools) this.#counts.set(poolKey(service, pool), counts)
    for (const [key, count, agoS, at] of gone) {
      const { service, pool } = pools[at]
      this.#gone.push({ key, count, atMs: nowMs - agoS * 1_000, pool: poolKey(service, pool) })
    }
    this.#match()
  }

  /** Looks who has come since. */
  look(): void {
    const [nowMs, steadyMs] = [this.#clock.monotonicMs(), this.#clock.steadyMs()]
    for (const { key, count, atMs } of takeReturns(this.#arrivals)) {
      this.#came.push({ key, count, atMs: nowMs - (steadyMs - atMs) })
    }
    this.#match()
  }

  /** It is over: whatever is left there has gone with it. */
  end(): void {
    for (const [pool, counts] of this.#counts) this.#counts.set(pool, { ...counts, left: 0, state: 0 })
  }

  /** What it lets go of each pool of which it has told. */
  *counts(): Generator<[pool: string, counts: Counts]> {
    for (const [pool, counts] of this.#counts) yield [pool, this.#withMoved(pool, counts)]
  }

  /** Those of a pool; null for none. */
  of(service: string, pool: string): Counts | null {
    if (this.#counts.size === 0) return null
    const key = poolKey(service, pool)
    const counts = this.#counts.get(key)
    return counts === undefined ? null : this.#withMoved(key, counts)
  }

  #withMoved(pool: string, counts: Counts): Counts {
    return { ...counts, moved: counts.moved + (this.#moved.get(pool) ?? 0) }
  }

  /** Those whom nobody has seen come, for the process after this one, and no longer for this one. */
  takeGone(): readonly {
    readonly key: number
    readonly count: number
    readonly agoMs: number
    readonly pool: string
  }[] {
    const nowMs = this.#clock.monotonicMs()
    const gone = this.#gone.map(({ key, count, atMs, pool }) => ({ key, count, pool, agoMs: nowMs - atMs }))
    this.#gone = []
    return gone
  }

  #match(): void {
    const nowMs = this.#clock.monotonicMs()
    if (this.#gone.length > 0 && this.#came.length > 0) {
      const gone = Map.groupBy(this.#gone, ({ key }) => key)
      for (const came of this.#came) {
        for (const one of gone.get(came.key) ?? []) if (one.atMs <= came.atMs + EARLY_MS) this.#meet(one, came)
      }
    }
    this.#gone = this.#gone.filter(({ count, atMs }) => count > 0 && nowMs - atMs < KNOWN_MS).slice(-RETURNS)
    this.#came = this.#came.filter(({ count, atMs }) => count > 0 && nowMs - atMs < CAME_MS).slice(-RETURNS)
  }

  #meet(gone: Gone, came: { count: number }): void {
    const count = Math.min(gone.count, came.count)
    gone.count -= count
    came.count -= count
    this.#moved.set(gone.pool, (this.#moved.get(gone.pool) ?? 0) + count)
  }
}
