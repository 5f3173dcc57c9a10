/**
 * What this instance has under way at places where nobody new should come: those that are not `ready`, and those that were removed. It says so
 * to the others (instances.ts), so that a place is drained only once it is at all of them.
 *
 * - A drain that keeps visitors ends by the clock of each instance, so a place that lets somebody in here yet is told too, with 0.
 * - What was removed is looked at until it was seen at rest once. Its slots are given to nobody before that (slots.ts).
 * - What the process that this one has replaced has under way nobody sees here: until it has ended that, it may be at any place.
 *
 * A look costs little: only services that have changed are gone through, and only places that are out are summed up.
 */
import type { Control, Snapshot } from '../change.ts'
import type { Clock } from '../clock.ts'
import { own } from '../config/record.ts'
import { targetKey } from '../config/target-key.ts'
import type { SharedMemory } from '../metrics/layout.ts'
import { atSlots } from '../metrics/load.ts'
import type { Instance } from '../store/store.ts'
import { isClosed, keepers } from '../table/eligible.ts'
import type { PoolStatus, ServiceStatus, TargetStatus } from '../table/status.ts'
import { ANY_PLACE, anyOf } from './busy-elsewhere.ts'

/** Of more, those of the services that have most are told as any place of these; every instance hears of all each second. */
const PLACES_MAX = 250

export interface BusyPlacesDeps {
  readonly control: Pick<Control, 'snapshot'>
  readonly memory: SharedMemory
  readonly clock: Pick<Clock, 'steadyMs'>
  /** The process that this one has replaced, while it still finishes what is under way; else null. */
  readonly busyPredecessor: () => number | null
}

interface Place {
  readonly key: string
  readonly pool: PoolStatus
  readonly target: TargetStatus
}

export class BusyPlaces {
  readonly #deps: BusyPlacesDeps
  #status: Snapshot['status'] = {}
  /** Places that are not ready, of services that have some. */
  readonly #out = new Map<string, readonly Place[]>()
  /** Slots of what was removed and was not at rest yet, by place. */
  readonly #gone = new Map<string, readonly number[]>()

  constructor(deps: BusyPlacesDeps) {
    this.#deps = deps
  }

  /** Requests and tunnels by place; those that have none and let nobody in are missing. */
  told(): NonNullable<Instance['busy']> {
    const { control, memory, clock, busyPredecessor } = this.#deps
    const { services, status } = control.snapshot()
    this.#follow(status)
    if (busyPredecessor() !== null) return { [ANY_PLACE]: 1 }
    const nowMs = clock.steadyMs()
    const busy = new Map<string, number>()
    for (const [service, places] of this.#out) {
      const keeps = keepers(services[service].sticky)
      for (const { key, pool, target } of places) {
        const isShut = isClosed(pool, keeps.pool, nowMs) || isClosed(target, keeps.target, nowMs)
        const count = atSlots(memory, target.slots)
        if (count > 0 || !isShut) busy.set(key, count)
      }
    }
    for (const [key, slots] of this.#gone) {
      const count = atSlots(memory, slots)
      if (count === 0) this.#gone.delete(key)
      else busy.set(key, Math.max(count, busy.get(key) ?? 0))
    }
    return gathered(busy)
  }

  /** Notes which places are out by now, and which were removed. */
  #follow(status: Snapshot['status']): void {
    const { memory } = this.#deps
    const before = this.#status
    if (status === before) return
    this.#status = status
    for (const [service, was] of Object.entries(before)) {
      const is = own(status, service)
      if (is === was) continue
      for (const { key, target } of placesGone(service, was, is)) {
        if (atSlots(memory, target.slots) > 0) this.#gone.set(key, target.slots)
      }
      if (is === undefined) this.#out.delete(service)
    }
    for (const [service, is] of Object.entries(status)) {
      if (is === own(before, service)) continue
      const out = placesOf(service, is).filter(({ pool, target }) => pool.admin !== 'ready' || target.admin !== 'ready')
      if (out.length > 0) this.#out.set(service, out)
      else this.#out.delete(service)
    }
  }
}

/** The counts by place; where they are too many by service, those that have most first; and where services are, all as one. */
function gathered(counts: ReadonlyMap<string, number>): Record<string, number> {
  if (counts.size <= PLACES_MAX) return Object.fromEntries(counts)
  const services = Map.groupBy(counts, ([place]) => anyOf(place))
  const sumOf = (each: readonly (readonly [string, number])[]) => each.reduce((sum, [, count]) => sum + count, 0)
  if (services.size > PLACES_MAX) return { [ANY_PLACE]: sumOf([...counts]) }
  let size = counts.size
  const told = [...services]
    .sort(([, a], [, b]) => b.length - a.length)
    .map(([all, each]) => {
      if (size <= PLACES_MAX) return each
      size -= each.length - 1
      return [[all, sumOf(each)] as const]
    })
  return Object.fromEntries(told.flat())
}

const placesOf = (service: string, { pools }: ServiceStatus): Place[] =>
  Object.entries(pools).flatMap(([name, pool]) =>
    Object.entries(pool.targets).map(([url, target]) => ({ key: targetKey(service, name, url), pool, target })),
  )

/** What a service had and has no more. */
function placesGone(service: string, was: ServiceStatus, is: ServiceStatus | undefined): Place[] {
  const left = new Set(is === undefined ? [] : placesOf(service, is).map(({ key }) => key))
  return placesOf(service, was).filter(({ key }) => !left.has(key))
}
