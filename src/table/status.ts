/**
 * What is known of a service beside its spec. It has three owners, which are kept apart everywhere; only `build` and people
 * see the three as one, as the status.
 *
 * - *Intent*, what people have set: admin states, ends of drains, the release, what `back` returns to. Part of the document:
 *   stored, compared and restored with the spec. One for all processes on a store.
 * - *Observed*, what this process has seen: health and ejection of each address of a target. Never in the document; each process
 *   has its own, and stores it apart, only so that it starts quickly again. What was never seen is `UNSEEN` and need not be there.
 * - *Places*, where this process finds and counts the targets: the addresses of their names, and slots in shared memory. Never
 *   stored: a name may mean something else by the next start.
 *
 * An intent has exactly the pools and targets of its spec (control/reconcile.ts); `statusOf` follows the intent, so an
 * observed target that is not in it, or not yet, is of no account. Deadlines are steady time here, wall time in the store
 * (deadlines.ts). All of it is plain data.
 */
import type { Address } from '../names/address.ts'
import type { Hold } from './hold.ts'
import type { MaintenanceIntent } from './maintenance.ts'
import type { AdminState, Allotment, Health, Trial } from './types.ts'

/** What people have set of a target. */
export interface TargetIntent {
  admin: AdminState
  /** Time in ms at which a drain of this target ends; 0 when it does not drain. */
  drainUntilMs: number
}

/** What people have set of a pool. */
export interface PoolIntent {
  admin: AdminState
  drainUntilMs: number
  /** Time in ms until which a rollout that has replaced it keeps it; absent when none does. */
  keptUntilMs?: number
  /** By target URL, exactly the targets of the pool spec. */
  targets: Record<string, TargetIntent>
  /** Number of the release of the document at which the pool came to its service; absent when it came with it. */
  born?: number
  /** Mark of the run that gave this number out; absent where an older Turnout did. */
  bornBy?: string
}

/** What a rollout tries, and what was before it. What is optional here is absent where an older Turnout has begun it. */
export interface BegunTrial extends Trial {
  /** Targets of the pool that were ready then. */
  readonly tried?: readonly string[]
  /** Weights of the pools, where the service goes back to if the rollout is lost. */
  readonly before?: Readonly<Record<string, number>>
  /** It has moved weights. */
  readonly hasMoved?: boolean
  /** What `back` would have returned to, and the hot standby: they are so again once it has gone back. */
  readonly earlier?: { readonly previous: ServiceIntent['previous']; readonly fallback: readonly string[] }
}

/** The hot standby once a rollout has gone back: that of before, but for the pool that it has tried. */
export const standbyBehind = ({ pool: tried, earlier }: BegunTrial): readonly string[] =>
  earlier?.fallback.filter((pool) => pool !== tried) ?? []

/** What people have set of a service. */
export interface ServiceIntent {
  /** The live release, named by every pin. Changes on switch and when a pool's version changes. */
  release: string
  /** Exactly the pools of the spec. */
  pools: Record<string, PoolIntent>
  /** The split before the last change of it, for `back`; null when there was none. */
  previous: { weights: Record<string, number>; release: string } | null
  /** Absent until the first change of the service (and in what older versions stored); until then shares lie end to end. */
  allotment?: Allotment
  /** The hot standby: pools that traffic was switched away from last, the last entries of the default failover. */
  fallback?: readonly string[]
  /** While a rollout is judged by traffic. */
  trial?: BegunTrial
  /** The rollout that was done last, as long as nobody has moved the split since (control/ended.ts). */
  done?: {
    readonly rollout: string
    /** That of its last shift. */
    readonly release: string
    /** Where targets of one pool were replaced: the version that it had before. */
    readonly pool?: { readonly name: string; readonly version: string }
  }
  /** The rollout that has gone back last, and when, in steady ms; as long as nobody has moved the split since. */
  undone?: { readonly rollout: string; readonly atMs: number }
  /** The last hold that was not released; it may have ended by itself. */
  hold?: Hold
  /** Absent while it is off. */
  maintenance?: MaintenanceIntent
}

/** Nobody ejects for longer, in ms. */
export const EJECTION_MS_MAX = 300_000

/** What this process has seen of an address of a target. */
export interface AddressObserved {
  readonly health: Health
  /** What probes had asked that found it healthy (config/question.ts); absent where none has. */
  readonly question?: string
  /** Time in ms until which passive ejection lasts; 0 when not ejected. */
  readonly ejectedUntilMs: number
  /** Since when it has been offered traffic, where there is a slow start (control/warming.ts); absent before, and where there is none. */
  readonly warmFromMs?: number
}

/** What this process has seen of a target, by address. */
export type TargetObserved = Readonly<Record<string, AddressObserved>>

/** What this process has seen of a service, by pool and target URL. */
export type ServiceObserved = Readonly<Record<string, Readonly<Record<string, TargetObserved>>>>

/** An address of a target, and where it is counted. */
export interface AddressPlace extends Address {
  /** Index of its counters (metrics/layout.ts), never given to another target while requests count on it. */
  readonly slot: number
}

/** Where this process finds and counts a target. */
export interface TargetPlace {
  /** None while its name has none. */
  readonly addresses: readonly AddressPlace[]
  /** All slots of the target; also those of addresses that have gone, so that its sums never fall. */
  readonly slots: readonly number[]
}

/** Where this process finds and counts a service: its own slot, and its targets by pool and URL. */
export interface ServicePlaces {
  /** Index of the low-discrepancy counter in shared memory. */
  readonly slot: number
  readonly targets: Readonly<Record<string, Readonly<Record<string, TargetPlace>>>>
}

/** An address of a target as tables and people see it. */
export interface AddressStatus extends AddressPlace, AddressObserved {}

/** A target as tables and people see it. */
export interface TargetStatus extends TargetIntent {
  /** That of its best address; `unhealthy` without any. */
  health: Health
  /** When the first address is back; 0 when one of them is not ejected. */
  ejectedUntilMs: number
  addresses: readonly AddressStatus[]
  slots: readonly number[]
}

/** A pool as tables and people see it. */
export interface PoolStatus extends Omit<PoolIntent, 'targets'> {
  targets: Record<string, TargetStatus>
}

/** A service as tables and people see it. */
export interface ServiceStatus extends Omit<ServiceIntent, 'pools'> {
  pools: Record<string, PoolStatus>
  /** Index of the low-discrepancy counter of this service in shared memory. */
  slot: number
}

/** An address of which nothing was seen yet. */
export const UNSEEN: AddressObserved = Object.freeze({ health: 'unknown', ejectedUntilMs: 0 })

const NOTHING: TargetObserved = Object.freeze({})

/** What was seen of a target. Names come from people, so only own fields count. */
export function observedOf(observed: ServiceObserved | undefined, pool: string, url: string): TargetObserved {
  if (observed === undefined || !Object.hasOwn(observed, pool)) return NOTHING
  return Object.hasOwn(observed[pool], url) ? observed[pool][url] : NOTHING
}

/**
 * What is seen of a target as a whole: the health of its best address, `unhealthy` when it has none; and when the first of them is
 * back, 0 when one is not ejected.
 */
export function seenOf<T extends Address>(
  places: readonly T[],
  seen: TargetObserved,
): AddressObserved & { readonly addresses: readonly (T & AddressObserved)[] } {
  const addresses = places.map((place) => ({ ...place, ...(seen[place.address] ?? UNSEEN) }))
  const has = (health: Health) => addresses.some((address) => address.health === health)
  const ejectedUntilMs = addresses.length === 0 ? 0 : Math.min(...addresses.map((address) => address.ejectedUntilMs))
  return { health: has('healthy') ? 'healthy' : has('unknown') ? 'unknown' : 'unhealthy', ejectedUntilMs, addresses }
}

/** The status of a service; throws (a bug) when a target has no place. */
export function statusOf(
  { pools: intents, ...service }: ServiceIntent,
  observed: ServiceObserved | undefined,
  places: ServicePlaces,
): ServiceStatus {
  const pools = Object.entries(intents).map(([name, { targets: its, ...pool }]): [string, PoolStatus] => {
    const targets = Object.entries(its).map(([url, target]): [string, TargetStatus] => {
      const place = places.targets[name]?.[url]
      if (place === undefined) throw new Error(`the target ${url} of pool ${name} has no place`)
      const seen = seenOf(place.addresses, observedOf(observed, name, url))
      return [url, { ...target, ...seen, slots: place.slots }]
    })
    return [name, { ...pool, targets: Object.fromEntries(targets) }]
  })
  return { ...service, pools: Object.fromEntries(pools), slot: places.slot }
}
