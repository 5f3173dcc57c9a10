/**
 * Tunnels that a process lets go which this one has replaced (upgrade/), as it tells of them: so what is told of a pool stays whole over an upgrade.
 *
 * Where upgrades follow each other, there may be several; each passes on what those before it tell, and what is told of each is kept apart. So when one
 * of them is killed only what was left in it is left no more, and those before it tell the rest themselves (upgrade/earlier.ts).
 *
 * Its visitors come back to this process. So it says whom it has let go, by the keys of dataplane/departures/returns.ts, and the workers here note who comes;
 * the two are matched here. Either may be known first, as the news takes a moment: who has come is remembered for `CAME_MS`, who was let go for
 * `KNOWN_MS`. Whoever comes back counts as moved wherever he comes to, the same target too, since he has come to another process.
 *
 * All of it is bounded by `RETURNS`; the oldest are forgotten, which makes the share that is told a little too small, and nothing depends on it.
 */
import type { Clock } from '../clock.ts'
import { RETURN } from '../metrics/departures.ts'
import { RETURN_CELLS, RETURNS, type SharedMemory } from '../metrics/layout.ts'

const KNOWN_MS = 60_000
const CAME_MS = 20_000
/**
 * Who came may seem to have come so long before he was let go: times are told in whole seconds, and that by news that takes a moment, on a
 * busy machine a second and more.
 */
const EARLY_MS = 5_000

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

export const NO_COUNTS: Counts = Object.freeze({ closed: 0, cut: 0, moved: 0, left: 0, went: 0, state: 0 })

/** Adds what another process, or another part of one, counts of the same pool. */
export function addCounts(sum: Counts, more: Counts): void {
  for (const field of ['closed', 'cut', 'moved', 'left', 'went'] as const) sum[field] += more[field]
  sum.state = Math.max(sum.state, more.state)
}

/** Grows with each that is to leave, and with each that has gone in any way. */
const progress = ({ closed, went, left }: Counts): number => 2 * (closed + went) + left

/** What was left has gone with its process. */
const ended = (counts: Counts): Counts => ({ ...counts, went: counts.went + counts.left, left: 0, state: 0 })

/** What one process lets go of a pool. */
export interface HandedPool {
  readonly service: string
  readonly pool: string
  readonly counts: Counts
  /** The process id, where it is one before the process that tells it. */
  readonly pid?: number
}

/** What a process tells the one that has replaced it. */
export interface HandedDepartures {
  /** Of pools that let some go: all counts since that began, or since it was told first. */
  readonly pools: readonly HandedPool[]
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
  readonly #isOver: (pid: number) => boolean
  /** Of each process that has told itself, or was told of, by pool. */
  readonly #counts = new Map<number, Map<string, Counts>>()
  /** Processes that another one has told of first, which has told its own readers of them, too. */
  readonly #passedOn = new Set<number>()
  /** Pools of which some were let go by a process that nobody else has told of. */
  readonly #news = new Set<string>()
  /** Of those whom it has let go, how many have come, by pool. */
  readonly #moved = new Map<string, number>()
  #gone: Gone[] = []
  #came: { readonly key: number; readonly atMs: number; count: number }[] = []

  /** `isOver` tells of a process whether it is: whatever was left there has gone with it. */
  constructor(
    { arrivals }: Pick<SharedMemory, 'arrivals'>,
    clock: Pick<Clock, 'monotonicMs' | 'steadyMs'>,
    isOver: (pid: number) => boolean,
  ) {
    this.#arrivals = arrivals
    this.#clock = clock
    this.#isOver = isOver
  }

  /** Takes what the process with this id tells. */
  take({ pools, gone }: HandedDepartures, teller: number): void {
    const nowMs = this.#clock.monotonicMs()
    for (const { service, pool, counts, pid } of pools) {
      const key = poolKey(service, pool)
      if (pid !== undefined) this.#passedOn.add(pid)
      else if (!this.#passedOn.has(teller) && progress(counts) > 0) this.#news.add(key)
      this.#note(pid ?? teller, key, counts)
    }
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

  #note(pid: number, pool: string, counts: Counts): void {
    const ofProcess = this.#counts.get(pid) ?? new Map<string, Counts>()
    this.#counts.set(pid, ofProcess)
    const known = ofProcess.get(pool)
    // One that it has told of itself no more knows of older counts.
    if (known === undefined || progress(counts) >= progress(known)) ofProcess.set(pool, counts)
  }

  /** What was told of a pool, by process: those who were seen to come here are not among them. */
  *parts(pool: string): Generator<[pid: number, counts: Counts]> {
    for (const [pid, ofProcess] of this.#counts) {
      const counts = ofProcess.get(pool)
      if (counts !== undefined) yield [pid, this.#isOver(pid) ? ended(counts) : counts]
    }
  }

  /** What they let go of each pool of which they have told. */
  *counts(): Generator<[pool: string, counts: Counts]> {
    const pools = new Set([...this.#counts.values()].flatMap((ofProcess) => [...ofProcess.keys()]))
    for (const pool of pools) yield [pool, this.#sum(pool)]
  }

  /** Those of a pool; null for none. */
  of(service: string, pool: string): Counts | null {
    if (this.#counts.size === 0) return null
    const key = poolKey(service, pool)
    return [...this.#counts.values()].some((ofProcess) => ofProcess.has(key)) ? this.#sum(key) : null
  }

  /** Whether nobody has told yet that some of a pool are let go, as far as is known here. */
  isNews(pool: string): boolean {
    return this.#news.has(pool)
  }

  /** How many of those whom they let go of a pool have come here. */
  cameFrom(pool: string): number {
    return this.#moved.get(pool) ?? 0
  }

  #sum(pool: string): Counts {
    const sum = { ...NO_COUNTS, moved: this.cameFrom(pool) }
    for (const [, counts] of this.parts(pool)) addCounts(sum, counts)
    return sum
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
