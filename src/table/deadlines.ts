/**
 * Deadlines (ends of drains, holds and ejections, and when slow starts and maintenance began) on another clock. Inside the process they are steady time; outside, in the store and
 * for people, they are wall time. The two differ once somebody has set the clock (clock.ts). A deadline of 0, which is none,
 * stays 0.
 */
import type { Hold } from './hold.ts'
import type { MaintenanceIntent } from './maintenance.ts'
import type { ServiceIntent, ServiceObserved, ServiceStatus } from './status.ts'

type Entries<T> = Readonly<Record<string, T>>

/** The statuses with every deadline moved by so many ms. */
export function statusesMovedBy(statuses: Entries<ServiceStatus>, ms: number): Entries<ServiceStatus> {
  if (ms === 0) return statuses
  return mapped(statuses, (status) => ({
    ...status,
    ...holdMoved(status.hold, ms),
    ...maintenanceMoved(status.maintenance, ms),
    pools: mapped(status.pools, (pool) => ({
      ...pool,
      drainUntilMs: moved(pool.drainUntilMs, ms),
      ...keptMoved(pool.keptUntilMs, ms),
      targets: mapped(pool.targets, (target) => ({
        ...target,
        drainUntilMs: moved(target.drainUntilMs, ms),
        ejectedUntilMs: moved(target.ejectedUntilMs, ms),
        addresses: target.addresses.map((address) => ({
          ...address,
          ejectedUntilMs: moved(address.ejectedUntilMs, ms),
          ...warmMoved(address.warmFromMs, ms),
        })),
      })),
    })),
  }))
}

/** The intent with every deadline moved by so many ms. */
export function intentMovedBy(intent: ServiceIntent, ms: number): ServiceIntent {
  if (ms === 0) return intent
  const pools = mapped(intent.pools, (pool) => ({
    ...pool,
    drainUntilMs: moved(pool.drainUntilMs, ms),
    ...keptMoved(pool.keptUntilMs, ms),
    targets: mapped(pool.targets, (target) => ({ ...target, drainUntilMs: moved(target.drainUntilMs, ms) })),
  }))
  return {
    ...intent,
    ...holdMoved(intent.hold, ms),
    ...maintenanceMoved(intent.maintenance, ms),
    ...undoneMoved(intent.undone, ms),
    pools,
  }
}

const undoneMoved = (undone: ServiceIntent['undone'], ms: number): Pick<ServiceIntent, 'undone'> =>
  undone === undefined ? {} : { undone: { ...undone, atMs: undone.atMs + ms } }

/** What was seen, with every deadline moved by so many ms. */
export function observedMovedBy(observed: ServiceObserved, ms: number): ServiceObserved {
  if (ms === 0) return observed
  return mapped(observed, (targets) =>
    mapped(targets, (addresses) =>
      mapped(addresses, (address) => ({
        ...address,
        ejectedUntilMs: moved(address.ejectedUntilMs, ms),
        ...warmMoved(address.warmFromMs, ms),
      })),
    ),
  )
}

const moved = (untilMs: number, ms: number): number => (untilMs === 0 ? 0 : untilMs + ms)

const keptMoved = (untilMs: number | undefined, ms: number): { keptUntilMs?: number } =>
  untilMs === undefined ? {} : { keptUntilMs: untilMs + ms }

const holdMoved = (hold: Hold | undefined, ms: number): { hold?: Hold } =>
  hold === undefined ? {} : { hold: { ...hold, sinceMs: hold.sinceMs + ms, untilMs: hold.untilMs + ms } }

const maintenanceMoved = (is: MaintenanceIntent | undefined, ms: number): { maintenance?: MaintenanceIntent } =>
  is === undefined ? {} : { maintenance: { sinceMs: is.sinceMs + ms } }

const warmMoved = (fromMs: number | undefined, ms: number): { warmFromMs?: number } =>
  fromMs === undefined ? {} : { warmFromMs: fromMs + ms }

const mapped = <T>(entries: Entries<T>, each: (entry: T) => T): Record<string, T> =>
  Object.fromEntries(Object.entries(entries).map(([name, entry]) => [name, each(entry)]))
