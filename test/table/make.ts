/** Makers for tests of the table: plans, status, tables, requests and draws, with everything that a test does not care about filled in. */
import { SLOTS } from '../../src/metrics/layout.ts'
import { hostOf } from '../../src/names/address.ts'
import { applyDelta, emptyTable } from '../../src/table/build.ts'
import { nameHint } from '../../src/table/condition-index.ts'
import { planText } from '../../src/table/conditions/texts.ts'
import { endOfLifeS } from '../../src/table/cookie-record.ts'
import { decide } from '../../src/table/decide.ts'
import type { HashSecret } from '../../src/table/half-sip-hash.ts'
import type { RoutePlan, RulePlan, ServicePlan, StickyPlan } from '../../src/table/plan.ts'
import type { PoolStatus, ServiceStatus, TargetStatus } from '../../src/table/status.ts'
import type { Decision, Draw, OwnCookie, RequestView, Table } from '../../src/table/types.ts'
import { bearerToken, claimsText } from '../../src/table/visitor.ts'
import { packVisitors } from '../../src/table/visitor-list.ts'

export const NOW_MS = 1_800_000_000_000
export const noLoad = (): number => 0

export const sticky: StickyPlan = {
  pool: true,
  target: false,
  cookie: 'turnout',
  maxAgeS: 604_800,
  attributes: '; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax',
}

export function makeRoute(route: Partial<RoutePlan> = {}): RoutePlan {
  return { host: '*', path: '/', method: null, header: [], preview: null, ...route }
}

type Pairs = readonly (readonly [name: string, value: string])[]

/** A rule whose conditions may be given by pairs and lists. */
export interface RuleShort extends Partial<RulePlan> {
  readonly header?: Pairs
  readonly cookie?: Pairs
  readonly visitor?: readonly string[]
  readonly cidr?: readonly string[]
}

export function makeRule(rule: RuleShort & { name: string }): RulePlan {
  const { header = [], cookie = [], visitor = [], cidr = [], when = [], ...rest } = rule
  const short = [
    ...header.map(([name, value]) => ({ kind: 'header', asks: { name, asks: planText(value) } })),
    ...cookie.map(([name, value]) => ({ kind: 'cookie', asks: { name, asks: planText(value) } })),
    ...(visitor.length > 0 ? [{ kind: 'visitor', asks: visitor }] : []),
    ...(cidr.length > 0 ? [{ kind: 'cidr', asks: cidr }] : []),
  ]
  return { to: null, deny: null, pin: false, ...rest, when: [...short, ...when] }
}

/** Pools with `count` targets each; weights of 0 unless given. */
export function makePlan(plan: Partial<ServicePlan> = {}, count = 1): ServicePlan {
  const weights = plan.weights ?? { blue: 1, green: 0 }
  const pools = Object.keys(weights).map((name) => ({
    name,
    version: '1.0',
    targets: Array.from({ length: count }, (_, index) => `http://${name}-${index}.test:3000`),
  }))
  return {
    name: 'shop',
    routes: [makeRoute()],
    pools,
    weights,
    rules: [],
    rescue: null,
    skew: [],
    mirror: null,
    link: null,
    capacity: null,
    maintenance: null,
    visitor: [{ from: 'header', name: 'x-user-id' }, { from: 'own' }],
    sticky,
    balance: 'least-request',
    hashOn: null,
    slowStartMs: 0,
    failover: null,
    probed: true,
    timeouts: { connectMs: 3_000, responseMs: 60_000, idleMs: 60_000 },
    drain: {
      timeoutMs: 30_000,
      tunnels: { overMs: 30_000, perSecond: 100, message: null, close: 1_012 },
      rebalance: false,
    },
    debugHeaders: false,
    ...plan,
  }
}

export interface StatusOptions {
  readonly release?: string
  readonly slot?: number
  readonly trial?: ServiceStatus['trial']
  readonly hold?: ServiceStatus['hold']
  readonly maintenance?: ServiceStatus['maintenance']
  /** By pool name. */
  readonly pools?: Readonly<Record<string, Partial<Omit<PoolStatus, 'targets'>>>>
  /** By target URL. */
  readonly targets?: Readonly<Record<string, Partial<TargetStatus>>>
}

let slotLast = 0
/** Round and round: files follow each other in one process, and what is counted beyond the last slot is lost. */
const nextSlot = (): number => {
  slotLast = (slotLast % (SLOTS - 1)) + 1
  return slotLast
}

export function makeStatus(plan: ServicePlan, options: StatusOptions = {}): ServiceStatus {
  const targetOf = (url: string): TargetStatus => {
    const given = options.targets?.[url]
    const { health = 'healthy', ejectedUntilMs = 0, slots = [nextSlot()] } = given ?? {}
    // Unless a test says otherwise, a name is taken for its own address.
    const addresses = [{ address: hostOf(url), alternate: null, health, ejectedUntilMs, slot: slots[0] }]
    return { admin: 'ready', drainUntilMs: 0, health, ejectedUntilMs, addresses, slots, ...given }
  }
  const poolOf = (pool: ServicePlan['pools'][number]): PoolStatus => ({
    admin: 'ready',
    drainUntilMs: 0,
    targets: Object.fromEntries(pool.targets.map((url) => [url, targetOf(url)])),
    ...options.pools?.[pool.name],
  })
  return {
    release: options.release ?? 'r1',
    pools: Object.fromEntries(plan.pools.map((pool) => [pool.name, poolOf(pool)])),
    previous: null,
    slot: options.slot ?? 0,
    ...(options.trial && { trial: options.trial }),
    ...(options.hold && { hold: options.hold }),
    ...(options.maintenance && { maintenance: options.maintenance }),
  }
}

/** The table of one service. */
export function makeTable(plan: ServicePlan, options: StatusOptions = {}): Table {
  const services = { [plan.name]: { plan, status: makeStatus(plan, options) } }
  return applyDelta(emptyTable(), { epoch: 1, revision: 1, services })
}

export interface ViewOptions {
  readonly method?: string
  readonly host?: string
  readonly path?: string
  readonly address?: string
  /** Values by lower-case name; an array for a header that comes more than once. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly cookies?: Readonly<Record<string, string>>
  readonly own?: OwnCookie | null
  readonly wallMs?: number
  readonly country?: string | null
  /** Files of visitors, and who is in them. */
  readonly listed?: Readonly<Record<string, readonly string[]>>
}

export function makeView(options: ViewOptions = {}): RequestView {
  const { headers = {}, cookies = {} } = options
  const cookie = Object.entries(cookies).map(([name, value]) => `${name}=${value}`)
  const all = cookie.length === 0 ? headers : { ...headers, cookie: cookie.join('; ') }
  const fields = Object.entries(all).flatMap(([name, values]) => [values].flat().map((value) => [name, value] as const))
  const [path, query = ''] = (options.path ?? '/').split('?')
  const valuesOf = (name: string) => fields.filter((field) => field[0] === name).map(([, value]) => value)
  return {
    headerPasses: (name, test) =>
      valuesOf(name).some((value) => test.holds(value)) ||
      (valuesOf(name).length > 1 && test.holds(valuesOf(name).join(', '))),
    cookiePasses: (name, test) => Object.hasOwn(cookies, name) && test.holds(cookies[name]),
    claims: () => (valuesOf('authorization').length > 1 ? null : claimsText(bearerToken(valuesOf('authorization')[0]))),
    country: () => options.country ?? null,
    isListed: (file, visitor) => options.listed?.[file]?.includes(visitor) === true,
    method: options.method ?? 'GET',
    host: options.host ?? 'shop.example.com',
    path,
    query,
    address: options.address ?? '192.0.2.1',
    header: (name) => (valuesOf(name).length === 0 ? undefined : valuesOf(name).join(', ')),
    cookie: (name) => (Object.hasOwn(cookies, name) ? cookies[name] : undefined),
    fieldCount: fields.length,
    fieldHint: (at) => nameHint(fields[at][0], 0, fields[at][0].length),
    fieldName: (at) => fields[at][0],
    fieldValue: (at) => fields[at][1],
    joinedAt: (at) =>
      fields.slice(0, at).filter(([name]) => name === fields[at][0]).length === 1
        ? valuesOf(fields[at][0]).join(', ')
        : null,
    ownCookie: () => options.own ?? null,
    wallMs: () => options.wallMs ?? NOW_MS,
  }
}

export const browser = { accept: 'text/html,*/*;q=0.8', 'user-agent': 'Mozilla/5.0' }

/** One that is set now. */
export function makeOwn(own: Partial<OwnCookie> = {}): OwnCookie {
  const endS = endOfLifeS(sticky, NOW_MS)
  return { visitor: 'v1', service: 'shop', pool: 'blue', release: 'r1', target: '', pinned: false, endS, ...own }
}

/** Draws that repeat from run to run: counters by slot, and a small generator of fractions (mulberry32). */
export function makeDraw(seed = 1): Draw {
  const counters = new Map<string, number>()
  const count = (key: string) => {
    const n = counters.get(key) ?? 0
    counters.set(key, n + 1)
    return n
  }
  let state = seed | 0
  let ids = 0
  return {
    next: (slot) => count(`next ${slot}`),
    turn: (slot) => count(`turn ${slot}`),
    random() {
      state = (state + 0x6d2b79f5) | 0
      let t = Math.imul(state ^ (state >>> 15), 1 | state)
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
    },
    visitorId: () => `id-${seed}-${ids++}`,
  }
}

/** One decision with plain draws. */
export function decideOne(table: Table, options: ViewOptions = {}, draw: Draw = makeDraw(), nowMs = NOW_MS): Decision {
  return decide(makeView(options), table, noLoad, draw, nowMs)
}

/** The name of the pool that a visitor key is sent to. */
export function poolOfVisitor(table: Table, visitor: string): string | undefined {
  return decideOne(table, { headers: { 'x-user-id': visitor } }).pool?.name
}

/** A list of visitors out of the text of a file. */
export function packed(text: string | Uint8Array, secret: HashSecret = [17, 4]): SharedArrayBuffer {
  const steps = packVisitors(typeof text === 'string' ? new TextEncoder().encode(text) : text, secret)
  for (let step = steps.next(); ; step = steps.next()) if (step.done === true) return step.value
}
