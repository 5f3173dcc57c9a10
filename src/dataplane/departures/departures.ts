/**
 * Tunnels and streams of this worker, and when each is to leave: once its visitor would come to another place now.
 *
 *   open ──its place takes nobody new, and its visitor would not come back to it──► to leave ──its turn──► told ──► gone
 *     ▲                                                                               │
 *     └───────────────its place takes people again, or the visitor keeps it───────────┘
 *
 * A place takes nobody new when its pool drains, stands by or is gone, or has no weight; or its target is so. Then each that is open there is
 * looked at (destination.ts), some hundreds at a time; and again when its turn has come, since the table may be another by then. Whoever is kept there
 * by a cookie, a pin or a rule stays; after the deadline of a drain nobody is. How fast they go: letting.ts.
 *
 * Nothing is done for them until the table changes but a comparison at every sweep. Kept of each: the head of its request up to
 * `HEAD_LENGTH_MAX`, and who it is as a number.
 */
import { DEPARTURE, departureOffset, PACE_STATES } from '../../metrics/departures.ts'
import type { SharedMemory } from '../../metrics/layout.ts'
import type { Decision, ServiceTable, Table } from '../../table/types.ts'
import { flat } from '../http1/syntax.ts'
import type { Departure, Member, Opened, OpenPlace } from './departure.ts'
import { type DestinationSetting, destinationOf } from './destination.ts'
import { Letting } from './letting.ts'
import { openPlace, takesPeople } from './open-place.ts'
import { sharesOf, surplusOf } from './rebalance.ts'
import { keyOf, Returns } from './returns.ts'

/** A longer head is not kept. */
const HEAD_LENGTH_MAX = 2_048
/** Those that are looked at in one go: about a millisecond. */
const LOOKS_PER_SWEEP = 300
/** What of the time for a shutdown its tunnels are closed over. */
const SHUTDOWN_PART = 0.7

/** What it needs of its worker. */
export interface DepartureSetting extends DestinationSetting {
  readonly index: number
}

export class Departures {
  readonly #plane: DepartureSetting
  readonly #memory: SharedMemory
  readonly #returns: Returns
  readonly #places = new Map<number, OpenPlace>()
  readonly #lettings = new Map<string, Letting>()
  #toLookAt: Departure[] = []
  /** Those that were told and cannot go yet, until they are cut. */
  #late: Departure[] = []
  #table: Table | null = null
  #lookMs = Infinity
  /** Over how long all leave, when the worker drains; 0 when it does not. */
  #shutdownMs = 0

  constructor(plane: DepartureSetting, memory: SharedMemory) {
    this.#plane = plane
    this.#memory = memory
    this.#returns = new Returns(memory)
  }

  /** Something is open from now on, by this decision; null where its service lets nothing go. */
  open(member: Member, decision: Decision, { address, headText, path }: Opened): Departure | null {
    const target = decision.target!
    const service = decision.service!
    const { drain } = service.plan
    if (drain.tunnels === null) return null
    const place = this.#places.get(target.slot) ?? this.#begin(target.slot, service, target.pool.name, target.url)
    const visitor = decision.visitorHash === -1 ? null : decision.visitor
    const key = keyOf(service.name, visitor, address, path)
    const from = this.#returns.take(key, this.#plane.time.steadyMs())
    if (from >= 0 && from !== target.slot) this.#count(from, DEPARTURE.moved)
    const departure: Departure = {
      member,
      place,
      key,
      headText: headText.length > HEAD_LENGTH_MAX ? '' : flat(headText),
      downstream: member.downstream,
      isAtHome: decision.aimed === target.pool,
      isKeyless: visitor === null && (decision.reason === 'picker' || decision.reason === 'bucket'),
      at: -1,
      lateMs: -1,
      isLeaving: false,
      isTold: false,
      isToBeLookedAt: false,
      isSurplus: false,
    }
    place.members.add(departure)
    // The decision may be of an earlier table than the last that was looked at.
    if (this.#shutdownMs > 0) this.#leaves(departure)
    else if (service !== place.seen) place.lookMs = this.#lookMs = 0
    return departure
  }

  #begin(slot: number, service: ServiceTable, pool: string, url: string): OpenPlace {
    const place = openPlace(slot, service, pool, url)
    this.#places.set(slot, place)
    // It may take nobody new, and have been given this all the same.
    place.lookMs = this.#lookMs = 0
    return place
  }

  /** It has ended, by itself or because it was told to. */
  closed(departure: Departure): void {
    const { place } = departure
    this.#stays(departure)
    place.members.delete(departure)
    if (place.members.size === 0) this.#places.delete(place.slot)
    if (this.#places.size > 0) return
    // No sweep follows that would see to what is left.
    this.#endLettings()
    this.#toLookAt = []
    this.#late = []
  }

  #endLettings(): void {
    for (const { from } of this.#lettings.values()) for (const slot of from) this.#set(slot, DEPARTURE.state, 0)
    this.#lettings.clear()
  }

  /** Everything leaves within so long, also what waits already at a slower pace: the worker drains. */
  leaveAll(limitMs: number): void {
    this.#shutdownMs = Math.max(1, limitMs * SHUTDOWN_PART)
    const all = [...this.#places.values()].flatMap(({ members }) => [...members])
    for (const departure of all) this.#stays(departure)
    this.#endLettings()
    for (const departure of all) this.#leaves(departure)
  }

  /** Looks at what has changed, and lets those go whose turn it is; called at every sweep. */
  sweep(): void {
    if (this.#places.size === 0) return
    const { tables, time } = this.#plane
    const nowMs = time.steadyMs()
    if (this.#shutdownMs === 0) {
      const table = tables.current()
      if (table !== this.#table || nowMs >= this.#lookMs) this.#look(table, nowMs)
      this.#lookAtSome()
    }
    for (const [name, letting] of this.#lettings) this.#letGo(name, letting, nowMs)
    if (this.#late.length > 0) this.#cutLate(nowMs)
  }

  #look(table: Table, nowMs: number): void {
    this.#table = table
    this.#lookMs = Infinity
    for (const place of this.#places.values()) {
      const service = table.services.get(place.service) ?? null
      if (service !== place.seen || nowMs >= place.lookMs) this.#lookAt(place, service, nowMs)
      this.#lookMs = Math.min(this.#lookMs, place.lookMs)
    }
  }

  #lookAt(place: OpenPlace, service: ServiceTable | null, nowMs: number): void {
    place.seen = service
    place.lookMs = Infinity
    if (service !== null) place.drain = service.plan.drain
    place.isOpen = place.drain.tunnels === null || takesPeople(place, service, nowMs)
    const surplus = place.isOpen ? this.#surplusOf(place, service) : 0
    for (const departure of place.members) {
      if (departure.isTold) continue
      if (surplus !== null) departure.isSurplus = this.#plane.tables.draw.random() < surplus
      // Those that follow weights go on doing so, whatever else changes.
      const isSettled = place.isOpen && surplus === null && !(place.drain.rebalance && departure.isLeaving)
      if (isSettled) this.#stays(departure)
      else if (!departure.isToBeLookedAt) {
        departure.isToBeLookedAt = true
        this.#toLookAt.push(departure)
      }
    }
  }

  /** The part of those that chance has sent here which is to go, since the weights are others now; null where nobody follows them. */
  #surplusOf(place: OpenPlace, service: ServiceTable | null): number | null {
    const before = place.shares
    place.shares = service === null ? '' : sharesOf(service)
    if (service === null || !place.drain.rebalance || before === '' || before === place.shares) return null
    return surplusOf(service, place.pool, this.#places.values())
  }

  #lookAtSome(): void {
    for (const departure of this.#toLookAt.splice(0, LOOKS_PER_SWEEP)) {
      departure.isToBeLookedAt = false
      const { place } = departure
      if (departure.isTold || !place.members.has(departure)) continue
      if (destinationOf(this.#plane, departure) === 'stays') this.#stays(departure)
      else this.#leaves(departure)
    }
  }

  #leaves(departure: Departure): void {
    const { place } = departure
    const { tunnels } = place.drain
    if (departure.isLeaving || departure.isTold || tunnels === null) return
    const nowMs = this.#plane.time.steadyMs()
    const isShutdown = this.#shutdownMs > 0
    const plan = isShutdown ? { ...tunnels, overMs: this.#shutdownMs, perSecond: Infinity } : tunnels
    const letting = this.#lettings.get(place.service) ?? new Letting(plan, this.#memory, this.#plane.tables.draw.random)
    this.#lettings.set(place.service, letting)
    if (!isShutdown) letting.follow(plan)
    departure.isLeaving = true
    this.#count(place.slot, DEPARTURE.left)
    letting.add(departure, nowMs, this.#lateMs(place, nowMs))
  }

  /** From when on what cannot end well is cut, if it is to leave from now on. */
  #lateMs({ drain }: OpenPlace, nowMs: number): number {
    return nowMs + (this.#shutdownMs > 0 ? this.#shutdownMs : drain.timeoutMs)
  }

  /** It stays after all, or it is told now, or has gone. */
  #stays(departure: Departure): void {
    if (!departure.isLeaving) return
    departure.isLeaving = false
    this.#lettings.get(departure.place.service)?.remove(departure)
    this.#count(departure.place.slot, DEPARTURE.left, -1)
  }

  #letGo(name: string, letting: Letting, nowMs: number): void {
    const { random } = this.#plane.tables.draw
    const draw = () => letting.waiting[Math.floor(random() * letting.waiting.length)]
    const isTaken = () => this.#shutdownMs > 0 || destinationOf(this.#plane, draw()) !== 'nobody'
    for (let due = letting.due(nowMs, isTaken); due > 0 && letting.waiting.length > 0; due--) {
      const departure = draw()
      if (!this.#goes(departure, letting, nowMs)) continue
      this.#tell(departure, letting, nowMs)
    }
    const state = letting.isEmpty ? 0 : PACE_STATES.indexOf(letting.pace.state)
    for (const slot of letting.from) this.#set(slot, DEPARTURE.state, state)
    if (letting.isEmpty) this.#lettings.delete(name)
  }

  /** Whether one whose turn it is would be taken elsewhere by now, or never, or nobody asks; and it can end well, or has had its time. */
  #goes(departure: Departure, letting: Letting, nowMs: number): boolean {
    if (!departure.member.isWalked && departure.lateMs < 0) {
      letting.remove(departure)
      letting.add(departure, nowMs, this.#lateMs(departure.place, nowMs))
      return false
    }
    if (this.#shutdownMs > 0) return true
    const destination = destinationOf(this.#plane, departure)
    if (destination === 'stays') this.#stays(departure)
    if (destination === 'nobody') letting.isRefused = true
    if (typeof destination === 'string') return destination === 'ends'
    letting.goesTo(destination.pool.targets.map(({ slot }) => slot))
    return true
  }

  #tell(departure: Departure, letting: Letting, nowMs: number): void {
    const { member, place, key } = departure
    this.#stays(departure)
    departure.isTold = true
    this.#count(place.slot, DEPARTURE.closed)
    if (!member.isWalked) this.#count(place.slot, DEPARTURE.cut)
    this.#returns.note(key, place.slot, nowMs)
    member.leave(letting.farewell)
    if (member.cut === undefined || !place.members.has(departure)) return
    departure.lateMs = nowMs + place.drain.timeoutMs
    this.#late.push(departure)
  }

  #cutLate(nowMs: number): void {
    this.#late = this.#late.filter((departure) => departure.place.members.has(departure))
    for (const departure of this.#late) {
      if (nowMs < departure.lateMs) continue
      departure.lateMs = Infinity
      this.#count(departure.place.slot, DEPARTURE.cut)
      departure.member.cut!()
    }
  }

  #count(slot: number, field: number, by = 1): void {
    this.#memory.departures[departureOffset(this.#plane.index, slot) + field] += by
  }

  /** Counts an event of tunnels at a target: `refused`, one that was told and then cut, or a stream that has begun or ended. */
  count(slot: number, field: 'refused' | 'cut' | 'streams', by = 1): void {
    this.#count(slot, DEPARTURE[field], by)
  }

  #set(slot: number, field: number, value: number): void {
    this.#memory.departures[departureOffset(this.#plane.index, slot) + field] = value
  }
}
