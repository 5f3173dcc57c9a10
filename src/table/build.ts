/**
 * From plan and status to the table: compiled services, and the next table from the one before.
 *
 * Invariants: a table never changes after it was returned; services that a delta does not name are the same objects as before;
 * the router is the same object unless a route has changed, since it names services only. So a health change of one service
 * costs one compiled service and one copy of the map of services, however many routes there are. What cannot be is a bug, and throws.
 */
import { reallot } from './allotment.ts'
import { pickStepOf, saltOf } from './bucket.ts'
import { compilePools, pickable } from './compile-pools.ts'
import { maintenanceOf } from './maintenance.ts'
import { EMPTY_ROUTER, updateRouter } from './match.ts'
import type { RoutePlan, ServicePlan } from './plan.ts'
import { rampsOf } from './ramp.ts'
import { compileRules, type RuleSet } from './rules.ts'
import type { ServiceStatus } from './status.ts'
import type { PoolTable, ServiceChange, ServiceTable, Table, TableDelta } from './types.ts'

/** The table before the first delta: nothing is routed. */
export function emptyTable(): Table {
  return { epoch: 0, revision: 0, services: new Map(), routes: EMPTY_ROUTER }
}

/** The table after a delta; `previous` stays as it is. */
export function applyDelta(previous: Table, delta: TableDelta): Table {
  const services = new Map(previous.services)
  const routes = new Map<string, readonly RoutePlan[]>()
  for (const [name, change] of Object.entries(delta.services)) {
    if (change === null) {
      services.delete(name)
      routes.set(name, [])
      continue
    }
    const before = previous.services.get(name) ?? null
    const plan = mergePlan(before === null ? null : before.plan, change.plan)
    assert(plan.name === name, `the plan of ${name} is named ${plan.name}`)
    services.set(name, compileService(plan, change.status, before))
    routes.set(name, plan.routes)
  }
  return { epoch: delta.epoch, revision: delta.revision, services, routes: updateRouter(previous.routes, routes) }
}

/** The plan after a change of it; what the change does not name is the same object as before. */
export function mergePlan(before: ServicePlan | null, change: Partial<ServicePlan>): ServicePlan {
  // A change of a service that was not there is its whole plan.
  return before === null ? (change as ServicePlan) : { ...before, ...change }
}

/**
 * A service as requests read it; of the one before it, what has not changed is kept. Throws (a bug) when plan and status
 * do not belong together.
 */
export function compileService(
  plan: ServicePlan,
  status: ServiceStatus,
  before: ServiceTable | null = null,
): ServiceTable {
  const pools = compilePools(plan, status)
  const weights = pools.map(pickable)
  const weightSum = weights.reduce((sum, weight) => sum + weight, 0)
  const named = (name: string): PoolTable => {
    const pool = pools.find((candidate) => candidate.name === name)
    assert(pool !== undefined, `${plan.name} has no pool ${name}`)
    return pool
  }
  const claims = pools.map((pool) => ({ pool: pool.name, weight: pool.weight, takesNew: pool.admin === 'ready' }))
  const versions = versionsOf(pools, status.fallback ?? [])
  const allotment = reallot(status.allotment, claims, status.release)
  const { salt, ranges } = allotment
  const trial = status.trial ?? null
  return {
    name: plan.name,
    plan,
    release: status.release,
    salt: saltOf(plan.name, salt),
    slot: status.slot,
    trial,
    pools,
    bucketEnds: ranges.map((range) => range.end),
    bucketPools: ranges.map((range) => named(range.pool)),
    weightSum,
    pickStep: pickStepOf(weights),
    rules: rulesOf(plan, before),
    visitor: plan.visitor,
    sticky: plan.sticky,
    balance: plan.balance,
    hashOn: plan.hashOn,
    slowStartMs: plan.slowStartMs,
    ramps:
      plan.slowStartMs === 0 ? null : rampsOf(allotment, { trial, slowStartMs: plan.slowStartMs }, pools, versions),
    failover: plan.failover === null ? versions : plan.failover.map(named),
    probed: plan.probed,
    timeouts: plan.timeouts,
    rescue: plan.rescue,
    skew: plan.skew,
    mirror: plan.mirror === null ? null : { ...plan.mirror, pool: named(plan.mirror.pool) },
    versions,
    link: plan.link,
    capacity: plan.capacity,
    hold: status.hold ?? null,
    maintenance: maintenanceOf(plan.maintenance, status.maintenance),
    debugHeaders: plan.debugHeaders,
  }
}

/** The pools with weight, heaviest first, then the hot standby: a new pool that dies falls back to the old one. */
function versionsOf(pools: readonly PoolTable[], fallback: readonly string[]): PoolTable[] {
  const weighted = pools.filter((pool) => pool.weight > 0).sort((a, b) => b.weight - a.weight)
  return [...weighted, ...fallback.flatMap((name) => pools.filter((pool) => pool.name === name && pool.weight === 0))]
}

/** Rules name pools, so they stay as they are when the pools change; but every pool that they name must be there. */
function rulesOf(plan: ServicePlan, before: ServiceTable | null): RuleSet {
  const pools = new Set(plan.pools.map((pool) => pool.name))
  for (const { to, deny } of plan.rules) {
    for (const pool of [to, deny]) assert(pool === null || pools.has(pool), `${plan.name} has no pool ${pool}`)
  }
  return before !== null && before.plan.rules === plan.rules ? before.rules : compileRules(plan.rules)
}

function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message)
}

/** The whole state, which deltas have led to, for whoever begins with nothing. Adding one costs what it names. */
export class WholeState {
  #at: Pick<TableDelta, 'epoch' | 'revision'> = { epoch: 0, revision: 0 }
  readonly #services = new Map<string, ServiceChange>()

  add({ epoch, revision, services }: TableDelta): void {
    this.#at = { epoch, revision }
    for (const [name, change] of Object.entries(services)) {
      if (change === null) this.#services.delete(name)
      else
        this.#services.set(name, { plan: { ...this.#services.get(name)?.plan, ...change.plan }, status: change.status })
    }
  }

  /** As a delta from nothing. */
  get delta(): TableDelta {
    return { ...this.#at, services: Object.fromEntries(this.#services) }
  }
}
