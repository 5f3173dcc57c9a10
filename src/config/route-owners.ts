/**
 * Which service has which route, kept beside the services, so that a change is checked against all others by looking at its own
 * routes only. What it says is what `checkServices` would say of the whole, as far as the changed services are concerned.
 */
import type { Fault } from '../errors.ts'
import { reportService, routeKeys } from './check.ts'
import { Report } from './check-service.ts'
import { child } from './pointer.ts'
import { allRoutes } from './preview.ts'
import type { Services } from './schema.ts'

/** The owners of all routes of the services that were settled. */
export class RouteOwners {
  readonly #owners = new Map<string, string>()
  readonly #keys = new Map<string, readonly string[]>()

  /** Every fault of the named services, alone and among the others; by pointers such as `/shop/split/blue`. */
  faults(services: Services, names: Iterable<string>): Fault[] {
    const report = new Report()
    const changed = new Set(names)
    const claimed = new Map<string, string>()
    const owners = {
      get: (key: string): string | undefined => {
        const owner = claimed.get(key) ?? this.#owners.get(key)
        // Whoever changes with it claims its routes itself.
        return owner !== undefined && (claimed.has(key) || !changed.has(owner)) ? owner : undefined
      },
      set: (key: string, name: string) => void claimed.set(key, name),
    }
    for (const name of changed) {
      if (Object.hasOwn(services, name)) reportService(report, child('', name), name, services[name], owners)
    }
    return report.findings.map(({ pointer, message }) => ({ pointer, message }))
  }

  /** Says that the named services are as they are in `services` now, or gone. */
  settle(services: Services, names: Iterable<string>): void {
    const changed = [...names]
    for (const name of changed) {
      for (const key of this.#keys.get(name) ?? []) this.#owners.delete(key)
      this.#keys.delete(name)
    }
    for (const name of changed) {
      if (!Object.hasOwn(services, name)) continue
      const keys = routeKeys(allRoutes(services[name]))
      this.#keys.set(name, keys)
      for (const key of keys) this.#owners.set(key, name)
    }
  }
}
