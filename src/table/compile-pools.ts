/**
 * The pools of a service and their targets, from plan and status: the part of build.ts that knows what each of them is.
 */
import { hostAndPort } from '../config/address.ts'
import { own } from '../config/record.ts'
import { isSrvUrl, SRV_PREFIX } from '../config/srv-url.ts'
import { targetWeight } from '../config/target-weight.ts'
import { hostOf } from '../names/address.ts'
import { hashString, WEIGHT_SUM_MAX } from './bucket.ts'
import { keepers, TAG_MARK } from './eligible.ts'
import { withoutLastDot } from './host.ts'
import type { PoolPlan, ServicePlan } from './plan.ts'
import type { AddressStatus, PoolStatus, ServiceStatus, TargetStatus } from './status.ts'
import type { AdminState, Health, PoolTable, TargetTable } from './types.ts'
import { rampUntilMs, warmUntilMs } from './warmth.ts'

/** 24 bits: enough to tell the targets of a pool apart, too few to find the address again. */
const TAG_BITS = 24
/** The addresses of one target are few. */
const ADDRESS_TAG_BITS = 16

/** What a pool takes of the picker's numbers: those without a key are all new visitors. */
export function pickable(pool: { readonly admin: AdminState; readonly weight: number }): number {
  return pool.admin === 'ready' ? pool.weight : 0
}

/** The pools of a service, sorted by name. Throws (a bug) when plan and status do not belong together. */
export function compilePools(plan: ServicePlan, status: ServiceStatus): PoolTable[] {
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
  const keeps = keepers(plan.sticky)
  const targets: TargetTable[] = []
  const pool = {
    name: spec.name,
    version: spec.version,
    release: place.release,
    weight: place.weight,
    admin,
    drainUntilMs: keeps.pool ? status.drainUntilMs : 0,
    targets,
    allFit: false,
    isEven: false,
    weighedUntilMs: 0,
    rampUntilMs: 0,
    weightEnd: place.weightEnd,
  }
  const tags = new Set<string>()
  for (const url of spec.targets) {
    const targetStatus = own(status.targets, url)
    assert(targetStatus !== undefined, `${plan.name}/${spec.name} has no status of target ${url}`)
    const tag = tagOf(url, TAG_BITS, tags)
    const news = { isTried: novelty.isTried(url), isRescued: novelty.isRescued(url) }
    const weight = targetWeight(spec, url)
    const target = keeps.target ? targetStatus : { ...targetStatus, drainUntilMs: 0 }
    targets.push(...compileTarget(url, target, { plan, tag, weight, ...news }, pool))
  }
  const fit: Health = plan.probed ? 'healthy' : 'unknown'
  const takesAll = (target: TargetTable) =>
    target.admin === 'ready' && target.health === fit && target.ejectedUntilMs === 0 && target.weight > 0
  pool.allFit = admin === 'ready' && targets.length > 0 && targets.every(takesAll)
  pool.isEven = targets.every(({ weight }) => weight === targets[0].weight)
  // Those that began together are equal all the while.
  const began = targets.map((target) => target.warmUntilMs)
  if (began.some((untilMs) => untilMs !== began[0])) pool.weighedUntilMs = Math.max(...began)
  pool.rampUntilMs = rampUntilMs(targets, plan.probed)
  return pool
}

/** What pins to a pool name as their release. */
export function pinName(release: string, { born, bornBy }: Pick<PoolStatus, 'born' | 'bornBy'>): string {
  if (born === undefined) return release
  return bornBy === undefined ? `${release}.${born}` : `${release}.${born}-${bornBy}`
}

/** One entry for each address of a target. */
function compileTarget(
  url: string,
  status: TargetStatus,
  {
    plan,
    tag,
    weight,
    isTried,
    isRescued,
  }: Pick<TargetTable, 'tag' | 'weight' | 'isTried' | 'isRescued'> & { readonly plan: ServicePlan },
  pool: PoolTable,
): TargetTable[] {
  const parsed = new URL(isSrvUrl(url) ? url.slice(SRV_PREFIX.length) : url)
  const tls = parsed.protocol === 'https:'
  assert(tls || parsed.protocol === 'http:', `the target ${url} is neither http nor https`)
  const port = parsed.port === '' ? (tls ? 443 : 80) : Number(parsed.port)
  const host = hostOf(url)
  const { admin, drainUntilMs, addresses } = status
  const tags = new Set<string>()
  // A target that moves to another address keeps the keys that are its own by hash.
  const seedOf = ({ address }: AddressStatus) => hashString(addresses.length === 1 ? url : `${url} ${address}`)
  // By their ratio, so that a target of SRV records has its weight at each of its places, as one with addresses has, but shared otherwise.
  const parts = addresses.reduce((sum, { srv }) => sum + (srv?.weight ?? 1), 0)
  const partOf = ({ srv }: AddressStatus) => ((srv?.weight ?? 1) * addresses.length) / parts
  return addresses.map((address) => ({
    url,
    authority: address.srv
      ? hostAndPort(address.srv.host, address.srv.port)
      : `${withoutLastDot(parsed.hostname)}:${port}`,
    tls,
    host: address.srv?.host ?? host,
    address: address.srv?.ip ?? address.address,
    alternate: address.alternate,
    port: address.srv?.port ?? port,
    tag:
      address.address === host ? tag : `${tag}${TAG_MARK}${tagOf(`${url} ${address.address}`, ADDRESS_TAG_BITS, tags)}`,
    targetTag: tag,
    seed: seedOf(address),
    slot: address.slot,
    weight: weight * partOf(address),
    warmUntilMs: warmUntilMs(address, plan.slowStartMs),
    admin: adminState(admin),
    drainUntilMs,
    // Without probes it is unknown, whatever earlier probes have left behind.
    health: plan.probed ? health(address.health) : 'unknown',
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
