/**
 * What of one service is to leave in this worker, and how fast: those that wait for their turn, and the pace of the service.
 *
 * Each worker lets its own go. What the whole process may do in a second is shared out by how many wait in each, as the counters in shared
 * memory say; so nothing is asked of anybody, and a worker that dies takes its part with it.
 *
 *   leaves ─► waits for its turn ──its turn──► told
 *     └─no place is known at which it can end─► late ──drain.timeout is over──► waits for its turn
 */
import { DEPARTURE, sumDepartures } from '../../metrics/departures.ts'
import { FIELD, type SharedMemory, sumField } from '../../metrics/layout.ts'
import type { TunnelsPlan } from '../../table/plan.ts'
import { farewell } from '../websocket/frames.ts'
import type { Departure } from './departure.ts'
import { Pace } from './pace.ts'

/** How often the pace follows what is seen. */
const LOOK_MS = 1_000

export class Letting {
  readonly waiting: Departure[] = []
  /** Those that cannot be ended without harm, oldest first. */
  readonly #late = new Set<Departure>()
  readonly pace: Pace
  plan: TunnelsPlan
  farewell: Buffer
  /** Slots of the targets of the service whose tunnels leave, and of those that will take them. */
  readonly from = new Set<number>()
  readonly #to = new Set<number>()
  /** Somebody whose turn it was would not be taken. */
  isRefused = false
  /** As many as have ever waited at once; the pace is theirs, so that the last go as fast as the first. */
  #most = 0
  #lookMs = 0
  #opened = 0
  #refused = 0
  readonly #memory: SharedMemory

  constructor(plan: TunnelsPlan, memory: SharedMemory, chance: () => number) {
    this.plan = plan
    this.farewell = Buffer.from(farewell(plan.message, plan.close))
    this.#memory = memory
    this.pace = new Pace(chance)
  }

  /** Goes on by another plan. */
  follow(plan: TunnelsPlan): void {
    if (plan === this.plan) return
    this.plan = plan
    this.farewell = Buffer.from(farewell(plan.message, plan.close))
  }

  get isEmpty(): boolean {
    return this.waiting.length === 0 && this.#late.size === 0
  }

  /** Something is to leave; what cannot be ended without harm, only from `lateMs` on. */
  add(departure: Departure, nowMs: number, lateMs: number): void {
    this.from.add(departure.place.slot)
    if (departure.member.isWalked) return this.#wait(departure)
    departure.lateMs = lateMs
    if (lateMs <= nowMs) this.#wait(departure)
    else this.#late.add(departure)
  }

  #wait(departure: Departure): void {
    departure.at = this.waiting.length
    this.waiting.push(departure)
    this.#most = Math.max(this.#most, this.waiting.length)
  }

  /** It stays after all, or has gone. */
  remove(departure: Departure): void {
    const { waiting } = this
    const { at } = departure
    departure.lateMs = -1
    departure.at = -1
    if (at < 0) return void this.#late.delete(departure)
    const last = waiting.pop()!
    if (last === departure) return
    waiting[at] = last
    last.at = at
  }

  /** How many are to go now. `isTaken` is asked once a second, when somebody waits: whether one of them would be taken. */
  due(nowMs: number, isTaken: () => boolean): number {
    for (const first of this.#late) {
      if (first.lateMs > nowMs) break
      this.#late.delete(first)
      this.#wait(first)
    }
    const { waiting, plan } = this
    if (waiting.length === 0) return 0
    if (this.isRefused || nowMs - this.#lookMs >= LOOK_MS) this.#look(nowMs, isTaken)
    const sum = Math.max(waiting.length, sumDepartures(this.#memory, this.from, DEPARTURE.left))
    const share = (plan.perSecond * waiting.length) / sum
    const wanted = plan.overMs === 0 ? Infinity : (this.#most * 1_000) / plan.overMs
    return this.pace.due(nowMs, Math.min(share, wanted), waiting.length)
  }

  /** Somebody goes to these targets: how they fare counts from now on. */
  goesTo(slots: Iterable<number>): void {
    for (const slot of slots) {
      if (this.#to.has(slot)) continue
      this.#to.add(slot)
      this.#opened += this.#openedAt(slot)
      this.#refused += this.#refusedAt(slot)
    }
  }

  #look(nowMs: number, isTaken: () => boolean): void {
    this.#lookMs = nowMs
    this.isRefused = false
    const [opened, refused] = [this.#opened, this.#refused]
    this.#opened = 0
    this.#refused = 0
    for (const slot of this.#to) {
      this.#opened += this.#openedAt(slot)
      this.#refused += this.#refusedAt(slot)
    }
    const seen = { opened: Math.max(0, this.#opened - opened), refused: Math.max(0, this.#refused - refused) }
    this.pace.look({ ...seen, isTaken: isTaken() })
  }

  #openedAt(slot: number): number {
    return sumField(this.#memory, slot, FIELD.tunnelsOpened)
  }

  #refusedAt(slot: number): number {
    return sumField(this.#memory, slot, FIELD.connectErrors) + sumDepartures(this.#memory, [slot], DEPARTURE.refused)
  }
}
