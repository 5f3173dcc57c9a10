/**
 * From plan and status to the table: compiled services, and the next table from the one before.
 *
 * Invariants: a table never changes after it was returned; services that a delta does not name are the same objects as before;
 * the router is the same object unless a route has changed, since it names services only. So a health change of one service
 * costs one compiled service and one copy of the map of services, however many routes there are. What cannot be is a bug, and throws.
 */
import { own } from '../config/record.ts'
import { targetWeight } from '../config/target-weight.ts'
import { hostOf } from '../names/address.ts'
import { reallot } from './allotment.ts'
import { hashString, pickStepOf, saltOf, WEIGHT_SUM_MAX } from './bucket.ts'
import { TAG_MARK } from './eligible.ts'
import { withoutLastDot } from './host.ts'
import { EMPTY_ROUTER, updateRouter } from './match.ts'
import type { PoolPlan, RoutePlan, ServicePlan } from './plan.ts'
import { compileRules, type RuleSet } from './rules.ts'
import type { AddressStatus, PoolStatus, ServiceStatus, TargetStatus } from './status.ts'
import type { AdminState, Health, PoolTable, ServiceTable, Table, TableDelta, TargetTable } from './types.ts'

/** 24 bits: enough to tell the targets of a pool apart, too few to find the address again. */
const TAG_BITS = 24
/** The addresses of one target are few. */
const ADDRESS_TAG_BITS = 16

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
  const { salt, ranges } = reallot(status.allotment, claims, status.release)
  return {
    name: plan.name,
    plan,
    release: status.release,
    salt: saltOf(plan.name, salt),
    slot: status.slot,
    trial: status.trial ?? null,
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
    failover: plan.failover === null ? versions : plan.failover.map(named),
    probed: plan.probed,
    timeouts: plan.timeouts,
    rescue: plan.rescue,
    skew: plan.skew,
    mirror: plan.mirror === null ? null : { ...plan.mirror, pool: named(plan.mirror.pool) },
    versions,
    link: plan.link,
    capacity: plan.capacity,
    debugHeaders: plan.debugHeaders,
  }
}

/** What a pool takes of the picker's numbers: those without a key are all new visitors. */
function pickable(pool: { readonly admin: AdminState; readonly weight: number }): number {
  return pool.admin === 'ready' ? pool.weight : 0
}

/** The pools with weight, heaviest first, then the hot standby: a new pool that dies falls back to the old one. */
function versionsOf(pools: readonly PoolTable[], fallback: readonly string[]): PoolTable[] {
  const weighted = pools.filter((pool) => pool.weight > 0).sort((a, b) => b.weight - a.weight)
  return [...weighted, ...fallback.flatMap((name) => pools.filter((pool) => pool.name === name && pool.weight === 0))]
}

function compilePools(plan: ServicePlan, status: ServiceStatus): PoolTable[] {
  const specs = plan.pools.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  for (const name of Object.keys(plan.weights)) {
    assert(
      specs.some((spec) => spec.name === name),
      `${plan.name} has a weight for an unknown pool ${name}`,
    )
  }
  const weights = specs.map((spec) => weightOf(plan, spec.name))
  const sum = weights.reduce((total, weight) => total + weight, 0)
  assert(sum <= WEIGHT_SUM_MAX, `the weights of ${plan.name} are too large`)
  let weightEnd = 0
  return specs.map((spec, index) => {
    const poolStatus = own(status.pools, spec.name)
    assert(poolStatus !== undefined, `${plan.name} has no status of pool ${spec.name}`)
    const admin = adminState(poolStatus.admin)
    const weight = weights[index]
    weightEnd += pickable({ admin, weight })
    const place = { release: pinName(status.release, poolStatus), weight, weightEnd }
    return compilePool(plan, spec, poolStatus, place, novelty(plan, status, spec.name, weights, index))
  })
}

/** Which targets of a pool have a version that is new, and so are tried, and rescued. */
interface Novelty {
  readonly isTried: (url: string) => boolean
  readonly isRescued: (url: string) => boolean
}

const NO_TARGET = () => false
const EVERY_TARGET = () => true

/** Without a rollout, the heaviest pool has the version that is not new. */
function novelty(
  { rescue }: ServicePlan,
  { trial }: ServiceStatus,
  pool: string,
  weights: readonly number[],
  index: number,
): Novelty {
  if (trial !== undefined) {
    const isTried = trial.pool !== pool ? NO_TARGET : (url: string) => trial.targets?.includes(url) !== false
    return { isTried, isRescued: rescue === null ? NO_TARGET : isTried }
  }
  const isNew = rescue?.always === true && index !== weights.indexOf(Math.max(...weights))
  return { isTried: NO_TARGET, isRescued: isNew ? EVERY_TARGET : NO_TARGET }
}

function weightOf(plan: ServicePlan, pool: string): number {
  const weight = own(plan.weights, pool) ?? 0
  assert(Number.isSafeInteger(weight) && weight >= 0, `the weight of ${plan.name}/${pool} is ${weight}`)
  return weight
}

function compilePool(
  plan: ServicePlan,
  spec: PoolPlan,
  status: PoolStatus,
  place: Pick<PoolTable, 'release' | 'weight' | 'weightEnd'>,
  novelty: Novelty,
): PoolTable {
  const admin = adminState(status.admin)
  const targets: TargetTable[] = []
  const pool = {
    name: spec.name,
    version: spec.version,
    release: place.release,
    weight: place.weight,
    admin,
    drainUntilMs: status.drainUntilMs,
    targets,
    allFit: false,
    isEven: false,
    weightEnd: place.weightEnd,
  }
  const tags = new Set<string>()
  for (const url of spec.targets) {
    const targetStatus = own(status.targets, url)
    assert(targetStatus !== undefined, `${plan.name}/${spec.name} has no status of target ${url}`)
    const tag = tagOf(url, TAG_BITS, tags)
    const news = { isTried: novelty.isTried(url), isRescued: novelty.isRescued(url) }
    const weight = targetWeight(spec, url)
    targets.push(...compileTarget(url, targetStatus, { probed: plan.probed, tag, weight, ...news }, pool))
  }
  const fit: Health = plan.probed ? 'healthy' : 'unknown'
  const takesAll = (target: TargetTable) =>
    target.admin === 'ready' && target.health === fit && target.ejectedUntilMs === 0 && target.weight > 0
  pool.allFit = admin === 'ready' && targets.length > 0 && targets.every(takesAll)
  pool.isEven = targets.every(({ weight }) => weight === targets[0].weight)
  return pool
}

/** What pins to a pool name as their release. */
const pinName = (release: string, { born }: PoolStatus): string => (born === undefined ? release : `${release}.${born}`)

/** One entry for each address of a target. */
function compileTarget(
  url: string,
  status: TargetStatus,
  {
    probed,
    tag,
    weight,
    isTried,
    isRescued,
  }: Pick<TargetTable, 'tag' | 'weight' | 'isTried' | 'isRescued'> & { readonly probed: boolean },
  pool: PoolTable,
): TargetTable[] {
  const parsed = new URL(url)
  const tls = parsed.protocol === 'https:'
  assert(tls || parsed.protocol === 'http:', `the target ${url} is neither http nor https`)
  const port = parsed.port === '' ? (tls ? 443 : 80) : Number(parsed.port)
  const host = hostOf(url)
  const { admin, drainUntilMs, addresses } = status
  const tags = new Set<string>()
  // A target that moves to another address keeps the keys that are its own by hash.
  const seedOf = ({ address }: AddressStatus) => hashString(addresses.length === 1 ? url : `${url} ${address}`)
  return addresses.map((address) => ({
    url,
    authority: `${withoutLastDot(parsed.hostname)}:${port}`,
    tls,
    host,
    address: address.address,
    alternate: address.alternate,
    port,
    tag:
      address.address === host ? tag : `${tag}${TAG_MARK}${tagOf(`${url} ${address.address}`, ADDRESS_TAG_BITS, tags)}`,
    targetTag: tag,
    seed: seedOf(address),
    slot: address.slot,
    weight,
    admin: adminState(admin),
    drainUntilMs,
    // Without probes it is unknown, whatever earlier probes have left behind.
    health: probed ? health(address.health) : 'unknown',
    ejectedUntilMs: address.ejectedUntilMs,
    pool,
    isTried,
    isRescued,
  }))
}

/** A short name of so many bits, unique among those that are taken. */
function tagOf(text: string, length: number, taken: Set<string>): string {
  let bits = hashString(text) >>> (32 - length)
  while (taken.has(bits.toString(36))) bits = (bits + 1) % 2 ** length
  const tag = bits.toString(36)
  taken.add(tag)
  return tag
}

/** Rules name pools, so they stay as they are when the pools change; but every pool that they name must be there. */
function rulesOf(plan: ServicePlan, before: ServiceTable | null): RuleSet {
  const pools = new Set(plan.pools.map((pool) => pool.name))
  for (const { to, deny } of plan.rules) {
    for (const pool of [to, deny]) assert(pool === null || pools.has(pool), `${plan.name} has no pool ${pool}`)
  }
  return before !== null && before.plan.rules === plan.rules ? before.rules : compileRules(plan.rules)
}

/** Literals of this isolate, so that requests compare pointers. */
function adminState(state: AdminState): AdminState {
  for (const known of ['ready', 'drain', 'standby', 'maint'] as const) if (known === state) return known
  throw new Error(`unknown admin state ${state}`)
}

function health(state: Health): Health {
  for (const known of ['unknown', 'healthy', 'unhealthy'] as const) if (known === state) return known
  throw new Error(`unknown health ${state}`)
}

function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message)
}

/** The whole state after a delta, as a delta from nothing. */
export function mergeDelta(full: TableDelta, delta: TableDelta): TableDelta {
  const services: Record<string, TableDelta['services'][string]> = Object.assign(Object.create(null), full.services)
  for (const [name, service] of Object.entries(delta.services)) {
    if (service === null) delete services[name]
    else services[name] = { plan: { ...services[name]?.plan, ...service.plan }, status: service.status }
  }
  return { epoch: delta.epoch, revision: delta.revision, services: { ...services } }
}
