/**
 * What there is to scrape: the pools and targets of all services with their labels, put together anew only for a service that has changed
 * since the last scrape. Specs and statuses are replaced and never changed, so the same objects mean the same pools; and the same labels are
 * written out once (prom-client keeps their text).
 */
import type { Snapshot } from '../change.ts'
import { own } from '../config/record.ts'
import type { ServiceSpec } from '../config/schema.ts'
import { aimedShare } from '../config/share.ts'
import { targetWeight } from '../config/target-weight.ts'
import type { ServiceStatus } from '../table/status.ts'
import type { KnownTarget, ScrapedPool } from './family.ts'
import { slotsOf } from './load.ts'
import { authorityOf } from './summary.ts'

interface Known {
  readonly spec: ServiceSpec
  readonly status: ServiceStatus
  readonly pools: readonly ScrapedPool[]
}

export class Inventory {
  #services: ReadonlyMap<string, Known> = new Map()

  /** The pools of all services, in the order of the specs. */
  pools({ services, status: statuses }: Snapshot): ScrapedPool[] {
    const known = new Map<string, Known>()
    const all: ScrapedPool[] = []
    for (const name in services) {
      const [spec, status] = [services[name], own(statuses, name)]
      if (status === undefined) continue
      const before = this.#services.get(name)
      const isSame = before !== undefined && before.spec === spec && before.status === status
      const now = isSame ? before : { spec, status, pools: poolsOf(name, spec, status) }
      known.set(name, now)
      for (const pool of now.pools) all.push(pool)
    }
    this.#services = known
    return all
  }
}

function poolsOf(service: string, spec: ServiceSpec, status: ServiceStatus): ScrapedPool[] {
  return Object.entries(spec.pools).flatMap(([pool, poolSpec]) => {
    const its = own(status.pools, pool)
    if (its === undefined) return []
    const labels = { service, pool, version: poolSpec.version }
    const targets = Object.entries(its.targets).map(
      ([url, target]): KnownTarget => ({
        labels: { ...labels, target: authorityOf(url) },
        status: target,
        weight: poolSpec.weights === undefined ? null : targetWeight(poolSpec, url),
      }),
    )
    const aimed = aimedShare(spec.split ?? {}, status.pools, pool)
    return [{ service, pool, labels, spec, status: its, aimed, slots: slotsOf(its), targets }]
  })
}
