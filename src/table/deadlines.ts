/**
 * The deadlines of a status (ends of drains and ejections) on another clock. Inside the process they are steady time; outside, in
 * the store and for people, they are wall time. The two differ once somebody has set the clock (clock.ts).
 */
import type { ServiceStatus } from './types.ts'

type Entries<T> = Readonly<Record<string, T>>

/** The statuses with every deadline moved by so many ms; 0, which is none, stays 0. */
export function movedBy(statuses: Entries<ServiceStatus>, ms: number): Entries<ServiceStatus> {
  if (ms === 0) return statuses
  const moved = (untilMs: number): number => (untilMs === 0 ? 0 : untilMs + ms)
  return mapped(statuses, (status) => ({
    ...status,
    pools: mapped(status.pools, (pool) => ({
      ...pool,
      drainUntilMs: moved(pool.drainUntilMs),
      targets: mapped(pool.targets, (target) => ({
        ...target,
        drainUntilMs: moved(target.drainUntilMs),
        ejectedUntilMs: moved(target.ejectedUntilMs),
      })),
    })),
  }))
}

const mapped = <T>(entries: Entries<T>, each: (entry: T) => T): Entries<T> =>
  Object.fromEntries(Object.entries(entries).map(([name, entry]) => [name, each(entry)]))
