/**
 * From spec to plan: the same things with every unit resolved, as workers and probers read them. Plain data that can be
 * posted to a thread: no functions, no classes, no undefined that means something.
 *
 * Specs come in canonical form (`canonicalService`), so nothing here can fail but by a bug.
 */
import { planWhen } from '../table/conditions/kinds.ts'
import { octetsOfText } from '../table/octets.ts'
import { canonicalPath } from '../table/path.ts'
import type {
  CapacityPlan,
  DrainPlan,
  HashSource,
  MaintenancePlan,
  MirrorPlan,
  RescuePlan,
  RoutePlan,
  RulePlan,
  ServicePlan,
  StickyPlan,
  VisitorSource,
} from '../table/plan.ts'
import type { SkewPath } from '../table/skew.ts'
import { canonicalRoute } from './canonical.ts'
import { durationMs } from './duration.ts'
import { type AnyRoute, allRoutes } from './preview.ts'
import type { RuleSpec, ServiceSpec, StickySpec } from './schema.ts'
import type { LimitsSpec, TimeoutsSpec } from './schema-process.ts'
import { type StatusRanges, statusRanges } from './statuses.ts'

/** How the targets of a service are probed. */
export interface HealthPlan {
  /** Path and query of the probe. */
  readonly path: string
  readonly intervalMs: number
  readonly timeoutMs: number
  /** Passes in a row until healthy. */
  readonly healthyAfter: number
  /** Failures in a row until unhealthy. */
  readonly unhealthyAfter: number
  /** Statuses that pass, as ranges with both ends included. */
  readonly statuses: StatusRanges
  /** Host header of the probe; null for the authority of the target. */
  readonly host: string | null
  /** Dotted field of the JSON body and the value that it must equal. */
  readonly json: readonly (readonly [field: string, value: unknown])[]
  /** Dotted field of the JSON body that must equal the version of the pool; null when none is asked for. */
  readonly expectVersion: string | null
}

/** Limits of the data plane; 0 is no limit where the schema says so. */
export type LimitsPlan = Readonly<LimitsSpec>

/** Time-outs between the proxy and its clients, and of idle connections to targets. */
export interface TimeoutsPlan {
  readonly headMs: number
  readonly bodyMs: number
  readonly keepAliveMs: number
  readonly sendMs: number
  readonly upstreamKeepAliveMs: number
  readonly shutdownMs: number
}

type Pairs = readonly (readonly [string, string])[]

/** Values as the octets that come over the wire: see table/octets.ts. */
const headerPairs = (fields: Record<string, string> = {}): Pairs =>
  Object.entries(fields).map(([name, value]) => [name.toLowerCase(), octetsOfText(value)] as const)

/**
 * Plans each item of a list once: lists of specs are never changed, only replaced, and most changes replace neither thousands
 * of routes nor of rules. So what stayed is told by its identity.
 */
function eachOnce<Spec, Plan>(planOf: (spec: Spec) => Plan): (specs: readonly Spec[]) => readonly Plan[] {
  const known = new WeakMap<readonly Spec[], readonly Plan[]>()
  return (specs) => {
    const plans = known.get(specs) ?? specs.map(planOf)
    known.set(specs, plans)
    return plans
  }
}

const routePlans = eachOnce(planRoute)
const rulePlans = eachOnce(planRule)

/** The plan of one service in canonical form. */
export function planService(name: string, spec: ServiceSpec): ServicePlan {
  const { connect, response, idle } = spec.timeouts
  return {
    name,
    routes: routePlans(allRoutes(spec)),
    pools: Object.entries(spec.pools).map(([pool, { version, targets, weights }]) => ({
      name: pool,
      version,
      targets,
      ...(weights === undefined ? {} : { weights }),
    })),
    weights: spec.split ?? {},
    rules: rulePlans(spec.rules),
    visitor: spec.visitor.map(planVisitor),
    sticky: spec.sticky === false ? null : planSticky(spec.sticky),
    balance: typeof spec.balance === 'string' ? spec.balance : 'hash',
    hashOn: typeof spec.balance === 'string' ? null : planHash(spec.balance.hash),
    slowStartMs: durationMs(spec.slowStart ?? '0s'),
    failover: spec.failover ?? null,
    probed: spec.health !== undefined,
    timeouts: { connectMs: durationMs(connect), responseMs: durationMs(response), idleMs: durationMs(idle) },
    rescue: planRescue(spec.rescue),
    skew: (spec.skew ?? []).map(planSkew),
    mirror: planMirror(spec.mirror),
    link: spec.link ?? null,
    capacity: planCapacity(spec.capacity),
    maintenance: planMaintenance(spec.maintenance),
    drain: planDrain(spec.drain),
    debugHeaders: spec.debugHeaders,
  }
}

/** How a service drains, with what it leaves open filled in. */
export function planDrain({ timeout, tunnels = {}, rebalance = false }: ServiceSpec['drain']): DrainPlan {
  const timeoutMs = durationMs(timeout)
  if (tunnels === false) return { timeoutMs, tunnels: null, rebalance }
  const { over = '30s', perSecond = 100, message = null, close = 1_012 } = tunnels
  return { timeoutMs, tunnels: { overMs: durationMs(over), perSecond, message, close }, rebalance }
}

/** Said by whoever stands before a process that starts, ends or is gone. */
const RESCUED_STATUSES = [502, 503]
const RESCUED_BODY_BYTES = 65_536

function planRescue(spec: ServiceSpec['rescue']): RescuePlan | null {
  if (spec === false) return null
  const { status: statuses = RESCUED_STATUSES, bodyBytesMax = RESCUED_BODY_BYTES } =
    typeof spec === 'object' ? spec : {}
  return { always: spec !== undefined, statuses, bodyBytesMax }
}

function planCapacity(spec: ServiceSpec['capacity']): CapacityPlan | null {
  if (spec === undefined) return null
  const { requestsPerTarget = 0, requestsPerPool = 0, queue } = spec
  return { requestsPerTarget, requestsPerPool, queueMax: queue.requests, queueMs: durationMs(queue.for) }
}

function planMaintenance(spec: ServiceSpec['maintenance']): MaintenancePlan | null {
  if (spec === undefined) return null
  const { status, retryAfter, contentType, body, file = null, allow } = spec
  return {
    status,
    retryAfterS: Math.ceil(durationMs(retryAfter) / 1_000),
    contentType,
    body: body === undefined ? null : octetsOfText(body),
    file,
    allow: allow === undefined ? [] : planWhen(allow, 'allow'),
  }
}

function planMirror(spec: ServiceSpec['mirror']): MirrorPlan | null {
  if (spec === undefined) return null
  const { pool, share, compare: compares, writes } = spec
  return { pool, share, compares, writes }
}

function planSkew(text: string): SkewPath {
  const isPrefix = text.endsWith('*')
  return { path: canonicalPath(isPrefix ? text.slice(0, -1) : text), isPrefix }
}

function planRoute(spec: AnyRoute): RoutePlan {
  const { host, path, method, header } = canonicalRoute(spec)
  return { host, path, method: method ?? null, header: headerPairs(header), preview: spec.preview ?? null }
}

function planRule({ name, when, to, deny, pin }: RuleSpec): RulePlan {
  return {
    name,
    when: planWhen(when, name),
    to: to ?? null,
    deny: deny ?? null,
    pin: pin ?? false,
  }
}

function planVisitor(source: string): VisitorSource {
  const colon = source.indexOf(':')
  const name = source.slice(colon + 1)
  switch (colon < 0 ? source : source.slice(0, colon)) {
    case 'header':
      return { from: 'header', name: name.toLowerCase() }
    case 'jwt':
      return { from: 'jwt', claim: name }
    case 'query':
      return { from: 'query', name: octetsOfText(name) }
    case 'address':
      return { from: 'address' }
    default:
      return colon < 0 ? { from: 'own' } : { from: 'cookie', name }
  }
}

function planHash(text: string): HashSource {
  if (text === 'path') return { from: 'path' }
  const [from, name] = text.split(':')
  return from === 'header' ? { from, name: name.toLowerCase() } : { from: 'cookie', name }
}

const SAME_SITE = { lax: 'Lax', strict: 'Strict', none: 'None' } as const

function planSticky({ pool, target, cookie, maxAge, sameSite, secure }: StickySpec): StickyPlan {
  const maxAgeS = Math.floor(durationMs(maxAge) / 1_000)
  const tail = secure ? '; Secure' : ''
  const attributes = `; Path=/; Max-Age=${maxAgeS}; HttpOnly; SameSite=${SAME_SITE[sameSite]}${tail}`
  return { pool, target, cookie, maxAgeS, attributes }
}

/** How the targets of this service are probed, or null when they are not. */
export function planHealth({ health }: Pick<ServiceSpec, 'health'>): HealthPlan | null {
  if (health === undefined) return null
  const { path, interval, timeout, healthyAfter, unhealthyAfter, status, host, json, expectVersion } = health
  return {
    path,
    intervalMs: durationMs(interval),
    timeoutMs: durationMs(timeout),
    healthyAfter,
    unhealthyAfter,
    statuses: statusRanges(status),
    host: host ?? null,
    json: Object.entries(json ?? {}),
    expectVersion: expectVersion ?? null,
  }
}

/** Limits for the data plane. */
export const planLimits = (limits: LimitsSpec): LimitsPlan => ({ ...limits })

/** Time-outs for the data plane, in milliseconds. */
export function planTimeouts(timeouts: TimeoutsSpec): TimeoutsPlan {
  return {
    headMs: durationMs(timeouts.head),
    bodyMs: durationMs(timeouts.body),
    keepAliveMs: durationMs(timeouts.keepAlive),
    sendMs: durationMs(timeouts.send),
    upstreamKeepAliveMs: durationMs(timeouts.upstreamKeepAlive),
    shutdownMs: durationMs(timeouts.shutdown),
  }
}
