/**
 * What has become of the tunnels of each pool that were let go (dataplane/departures/departures.ts): how many there were, were closed, have come to another
 * place, and are left; for status, and told as events when it begins, when it stops since nobody would take them, and when it is over.
 *
 * Workers count in shared memory and say nothing; here it is looked at twice a second. A pool that was removed is watched on, since its slots are
 * not given to others while anything is open there. What a pool let go last stays to be read until it lets go again. What a process lets go that this
 * one has replaced counts here (old-departures.ts); and what this one does, once it is replaced itself, there. Those whom it has let go and who were seen to
 * come here are told there as counts of this process, so they are known on if it is killed.
 */
import type { Control, Snapshot } from '../change.ts'
import type { Clock } from '../clock.ts'
import { own } from '../config/record.ts'
import { DEPARTURE, departureOffset, PACE_STATES, type PaceState } from '../metrics/departures.ts'
import type { SharedMemory } from '../metrics/layout.ts'
import { slotsOf } from '../metrics/load.ts'
import type { NewEvent } from './events.ts'
import {
  addCounts,
  type Counts,
  type HandedDepartures,
  type HandedPool,
  NO_COUNTS,
  type OldDepartures,
  poolKey,
  takeReturns,
} from './old-departures.ts'

const NONE: Counted = Object.freeze({ own: NO_COUNTS, all: NO_COUNTS })

const LOOK_MS = 500
/** How long it is waited at the end for those that have not come back yet. */
const RETURN_MS = 5_000

/** What a pool lets go, or has let go last. */
export interface LetGo {
  readonly before: number
  readonly closed: number
  /** Those of the closed that were cut. */
  readonly cut: number
  /** Those of the closed whose visitors have come to another place. */
  readonly moved: number
  readonly left: number
  readonly pace: PaceState
}

/** What is let go of a pool. */
interface Counted {
  /** By this process, with those who have come to it. */
  readonly own: Counts
  /** And by those before it. */
  readonly all: Counts
}

interface Watched {
  readonly service: string
  readonly pool: string
  /** The counts before it began. */
  readonly from: Counted
  letGo: LetGo
  /** What of it is this process's own. */
  own: LetGo
  /** That it begins was told, here or by a process before this one. */
  isBegun: boolean
  /** Since when none was left; below 0 while some are. */
  overMs: number
  isTold: boolean
}

/** Watches until it is closed. */
export class DepartureWatch {
  readonly #control: Pick<Control, 'snapshot'>
  readonly #memory: SharedMemory
  readonly #clock: Clock
  readonly #publish: (event: NewEvent) => void
  readonly #old: OldDepartures
  /** Whose the slots are, or were last. */
  readonly #owners = new Map<number, string>()
  readonly #watched = new Map<string, Watched>()
  #seen: ReadonlyMap<string, Counted> = new Map()
  /** What the next process is told of: the counts that it begins from. */
  readonly #handed = new Map<string, Counted>()
  /** The statuses whose slots are known. */
  #followed: Snapshot['status'] = {}
  /** Ends the watch. */
  readonly close: () => void

  constructor(
    control: Pick<Control, 'snapshot'>,
    memory: SharedMemory,
    clock: Clock,
    publish: (event: NewEvent) => void,
    old: OldDepartures,
  ) {
    this.#control = control
    this.#memory = memory
    this.#clock = clock
    this.#publish = publish
    this.#old = old
    this.close = clock.every(LOOK_MS, () => this.look())
  }

  /** What a pool lets go, or has let go last; null when nothing. */
  of(service: string, pool: string): LetGo | null {
    return this.#watched.get(poolKey(service, pool))?.letGo ?? null
  }

  /** What is let go here and is not over, and since the last call whom: for the process that serves now. Nobody comes back here any more. */
  handOver(): HandedDepartures {
    this.look()
    for (const [key, { isTold, from }] of this.#watched) {
      if (!isTold && !this.#handed.has(key)) this.#handed.set(key, from)
    }
    const keys = [...this.#handed.keys()]
    const own = [...this.#handed].map(([key, from]) => this.#own(key, from))
    const before = keys.flatMap((key) => {
      const [service, pool] = key.split('\n')
      return [...this.#old.parts(key)].map(([pid, counts]): HandedPool => ({ service, pool, counts, pid }))
    })
    const nowMs = this.#clock.steadyMs()
    const gone = [...takeReturns(this.#memory.returns)].map(({ key, count, slot, atMs }) => {
      return { key, count, agoMs: nowMs - atMs, pool: this.#owners.get(slot) ?? '' }
    })
    const whom = [...gone, ...this.#old.takeGone()].flatMap(({ key, count, agoMs, pool }) => {
      const at = keys.indexOf(pool)
      return at < 0 ? [] : [[key, count, Math.max(0, Math.floor(agoMs / 1_000)), at] as const]
    })
    return { pools: [...own, ...before], gone: whom }
  }

  /** What this process itself lets go of a pool, since these counts. */
  #own(key: string, from: Counted): HandedPool {
    const { service, pool, own } = this.#watched.get(key)!
    const counts = this.#seen.get(key)?.own ?? NO_COUNTS
    const { before: _before, pace: _pace, ...grown } = told(from.own, counts, 0)
    const went = Math.max(0, own.before - own.closed - own.left)
    return { service, pool, counts: { ...grown, went, state: counts.state } }
  }

  #follow(): void {
    const snapshot = this.#control.snapshot()
    const followed = this.#followed
    if (snapshot.status === followed) return
    this.#followed = snapshot.status
    for (const service in snapshot.status) {
      const its = snapshot.status[service]
      if (its === own(followed, service)) continue
      for (const [pool, status] of Object.entries(its.pools)) {
        for (const slot of slotsOf(status)) this.#owners.set(slot, poolKey(service, pool))
      }
    }
  }

  /** Looks at once: something was told of a process before this one. */
  look(): void {
    this.#follow()
    this.#old.look()
    const counted = countAll(this.#memory, this.#owners, this.#old)
    for (const [key, counts] of counted) {
      const known = this.#watched.get(key)
      const from = this.#seen.get(key) ?? NONE
      const isOver = known === undefined || known.isTold
      if (isOver && (counts.all.left > 0 || counts.all.closed > from.all.closed)) this.#begin(key, from, counts)
      else if (known !== undefined) this.#goOn(known, counts)
      const it = this.#watched.get(key)
      if (it?.isBegun === false) this.#tellBegin(key, it)
    }
    this.#seen = counted
  }

  #begin(key: string, from: Counted, counts: Counted): void {
    const [service, pool] = key.split('\n')
    const letGo = told(from.all, counts.all, 0)
    const own = told(from.own, counts.own, 0)
    this.#watched.set(key, { service, pool, from, letGo, own, isBegun: false, overMs: -1, isTold: false })
  }

  /** Told once of those that are let go, over all upgrades that follow each other meanwhile. */
  #tellBegin(key: string, it: Watched): void {
    const { service, pool, letGo, own } = it
    if (own.before === 0 && !this.#old.isNews(key)) return
    it.isBegun = true
    const what = `${letGo.before} tunnels of pool ${pool} of ${service} are being closed`
    this.#tell(it, `${what}: their visitors come to another place`)
  }

  #goOn(it: Watched, counts: Counted): void {
    const { service, pool } = it
    const { pace: before } = it.letGo
    it.letGo = told(it.from.all, counts.all, it.letGo.before)
    it.own = told(it.from.own, counts.own, it.own.before)
    const { pace, left, closed, moved, cut } = it.letGo
    if (it.isTold) return
    if (pace !== before && (pace === 'stopped' || (before === 'stopped' && left > 0))) {
      const what = pace === 'stopped' ? `has stopped with ${left} left: nobody would take them now` : 'goes on'
      this.#tell(it, `Closing the tunnels of pool ${pool} of ${service} ${what}`)
    }
    const nowMs = this.#clock.monotonicMs()
    it.overMs = left > 0 ? -1 : it.overMs < 0 ? nowMs : it.overMs
    if (left > 0 || (moved < closed && nowMs - it.overMs < RETURN_MS)) return
    it.isTold = true
    const those = `${closed} were closed${cut === 0 ? '' : `, ${cut} of them cut`}, and ${moved} have come to another place`
    this.#tell(it, `Of the tunnels of pool ${pool} of ${service} ${those}`)
  }

  #tell({ service, pool, letGo }: Watched, message: string): void {
    this.#publish({ type: 'drain', service, message, data: { pool, tunnels: letGo } })
  }
}

function told(from: Counts, counts: Counts, before: number): LetGo {
  const grown = (field: 'closed' | 'cut' | 'moved') => Math.max(0, counts[field] - from[field])
  const [closed, left] = [grown('closed'), counts.left]
  const pace = left === 0 ? 'steady' : PACE_STATES[counts.state]
  const went = Math.max(0, counts.went - from.went)
  return {
    before: Math.max(before, closed + left + went),
    closed,
    cut: grown('cut'),
    moved: grown('moved'),
    left,
    pace,
  }
}

function countAll(
  { departures, workers }: SharedMemory,
  owners: ReadonlyMap<number, string>,
  old: OldDepartures,
): Map<string, Counted> {
  const own = new Map<string, Counts>()
  for (const [slot, key] of owners) {
    let counts = own.get(key)
    for (let worker = 0; worker < workers; worker++) {
      const at = departureOffset(worker, slot)
      // One that has closed none may still have those who come back.
      if (departures[at + DEPARTURE.left] + departures[at + DEPARTURE.closed] + departures[at + DEPARTURE.moved] === 0)
        continue
      counts ??= { ...NO_COUNTS }
      own.set(key, counts)
      counts.closed += departures[at + DEPARTURE.closed]
      counts.cut += departures[at + DEPARTURE.cut]
      counts.moved += departures[at + DEPARTURE.moved]
      counts.left += departures[at + DEPARTURE.left]
      counts.state = Math.max(counts.state, departures[at + DEPARTURE.state])
    }
  }
  const counted = new Map([...own].map(([key, counts]) => [key, { own: counts, all: counts }]))
  for (const [key, theirs] of old.counts()) {
    const ours = own.get(key) ?? NO_COUNTS
    const all = { ...ours }
    addCounts(all, theirs)
    counted.set(key, { own: { ...ours, moved: ours.moved + old.cameFrom(key) }, all })
  }
  return counted
}
