/**
 * What the schema cannot say about one service: names that must exist, shares that must add up, addresses that must parse.
 *
 * It runs on values that may have schema faults elsewhere, so that people see every fault at once: each check first asks
 * the report whether what it reads is sound, and skips what is not. So no check guards against wrong types by itself.
 */

import { asciiHost } from '../table/host.ts'
import { isToken, parseRouteHost, parseTarget } from './address.ts'
import { checkCapacity } from './check-capacity.ts'
import { checkMethod, checkPairs, checkVisitor } from './check-condition.ts'
import { checkMaintenance } from './check-maintenance.ts'
import { checkPreview } from './check-preview.ts'
import { checkRollout } from './check-rollout.ts'
import { checkPool, checkRules } from './check-rules.ts'
import { checkTargetWeights } from './check-target-weights.ts'
import { durationMs } from './duration.ts'
import { child, type Finding, parentOf } from './pointer.ts'
import type { HealthSpec, RouteSpec, ServiceSpec, Weights } from './schema.ts'

/** The longest delay that a timer can hold (2^31 - 1 ms). */
const TIMER_MS_MAX = 2_147_483_647
const PROBE_INTERVAL_MS_MIN = 100

/** Collects findings, and knows which parts the schema has already refused. */
export class Report {
  readonly findings: Finding[] = []
  /** What can never have an effect is a fault: of what somebody sends, not of what is served already. */
  readonly refusesVain: boolean
  readonly #refused: ReadonlySet<string>
  /** Everything around something refused. */
  readonly #around = new Set<string>()
  /** The keys that misspelt ones were probably meant to be. */
  readonly #meant = new Set<string>()

  constructor(refused: readonly Finding[] = [], refusesVain = false) {
    this.refusesVain = refusesVain
    this.#refused = new Set(refused.map(({ pointer }) => pointer))
    for (const { pointer, meant } of refused) {
      if (meant !== undefined) this.#meant.add(child(parentOf(pointer), meant))
      for (let at = pointer; at !== ''; ) {
        at = parentOf(at)
        this.#around.add(at)
      }
    }
  }

  /** Whether the schema has refused nothing, so that everything has its type. */
  get isSound(): boolean {
    return this.#refused.size === 0
  }

  add(pointer: string, message: string, more: Pick<Finding, 'about' | 'meant'> = {}): void {
    this.findings.push({ pointer, message, ...more })
  }

  /** Whether a value is there with its type; parts of it may still be refused. */
  present(pointer: string): boolean {
    if (this.isSound) return true
    for (let at = pointer; !this.#refused.has(at); at = parentOf(at)) {
      if (at === '') return true
    }
    return false
  }

  /** Whether a value and all its parts passed the schema. */
  sound(pointer: string): boolean {
    return this.present(pointer) && !this.#around.has(pointer)
  }

  /** Whether an unknown key of this map was probably meant to be one of `keys`. */
  misspelt(map: string, keys: readonly string[]): boolean {
    return keys.some((key) => this.#meant.has(child(map, key)))
  }
}

/**
 * Parts of specs that were found without fault, and what they were checked against. Specs are never changed, only replaced,
 * and a change replaces one service, mostly without its routes and rules, where there may be thousands of each.
 */
const faultless = new WeakMap<object, readonly unknown[]>()

/** Checks a part unless it was found without fault against the same before. */
function checkOnce(report: Report, part: object, against: readonly unknown[], check: () => void): void {
  const before = report.isSound ? faultless.get(part) : undefined
  if (before?.every((other, index) => other === against[index])) return
  const count = report.findings.length
  check()
  if (report.isSound && report.findings.length === count) faultless.set(part, against)
}

/** Adds every fault of one service, at `at`. */
export function checkService(report: Report, at: string, spec: ServiceSpec): void {
  checkOnce(report, spec, [], () => checkParts(report, at, spec))
}

function checkParts(report: Report, at: string, spec: ServiceSpec): void {
  const poolsAt = child(at, 'pools')
  const pools = report.present(poolsAt) ? Object.keys(spec.pools) : null
  const routesAt = child(at, 'routes')
  if (report.present(routesAt)) {
    checkOnce(report, spec.routes, [], () => {
      spec.routes.forEach((route, index) => {
        checkRoute(report, child(routesAt, index), route)
      })
    })
  }
  if (pools !== null) {
    checkTargets(report, poolsAt, spec)
    checkSplit(report, at, spec, pools)
    checkFailover(report, child(at, 'failover'), spec.failover, pools)
    checkPreview(report, child(at, 'preview'), spec)
    if (spec.link !== undefined && spec.sticky === false && report.sound(child(at, 'sticky'))) {
      report.add(child(at, 'link'), 'a link pins people by our cookie, which sticky: false does not give them')
    }
    const mirrorAt = child(at, 'mirror')
    if (spec.mirror !== undefined && report.present(mirrorAt)) {
      checkPool(report, child(mirrorAt, 'pool'), spec.mirror.pool, pools)
    }
  }
  const rulesAt = child(at, 'rules')
  const sources = report.sound(child(at, 'visitor')) ? spec.visitor : []
  if (report.present(rulesAt)) {
    checkOnce(report, spec.rules, [spec.pools, spec.visitor], () => {
      checkRules(report, rulesAt, spec.rules, pools, sources)
    })
  }
  if (spec.maintenance !== undefined) checkMaintenance(report, child(at, 'maintenance'), spec.maintenance, sources)
  checkVisitor(report, child(at, 'visitor'), spec.visitor)
  if (spec.health !== undefined) checkHealth(report, child(at, 'health'), spec.health)
  if (report.sound(child(at, 'sticky')) && spec.sticky !== false) {
    const { sameSite, secure, maxAge } = spec.sticky
    if (sameSite === 'none' && !secure) {
      report.add(
        child(child(at, 'sticky'), 'sameSite'),
        'sameSite none needs secure: true, or browsers drop the cookie',
      )
    }
    checkDuration(report, child(child(at, 'sticky'), 'maxAge'), maxAge, 1_000, Number.MAX_SAFE_INTEGER)
  }
  if (spec.slowStart !== undefined) checkDuration(report, child(at, 'slowStart'), spec.slowStart, 1_000)
  checkDurations(report, child(at, 'timeouts'), spec.timeouts, 1)
  checkDrain(report, child(at, 'drain'), spec.drain)
  if (typeof spec.balance === 'object' && report.sound(child(at, 'balance'))) checkHash(report, at, spec)
  if (spec.capacity !== undefined && checkCapacity(report, child(at, 'capacity'), spec.capacity))
    checkDuration(report, ['capacity', 'queue', 'for'].reduce(child, at), spec.capacity.queue.for, 1)
  if (spec.rollout !== undefined) checkRollout(report, child(at, 'rollout'), spec.rollout)
}

/** Codes that an endpoint may not send, or that nobody has given a meaning (RFC 6455 7.4). */
const isNoCode = (code: number): boolean => (code >= 1_004 && code <= 1_006) || (code >= 1_015 && code < 3_000)

function checkDrain(report: Report, at: string, drain: ServiceSpec['drain']): void {
  if (!report.present(at)) return
  const { timeout, tunnels } = drain
  checkDuration(report, child(at, 'timeout'), timeout, 0)
  const tunnelsAt = child(at, 'tunnels')
  if (typeof tunnels !== 'object' || !report.sound(tunnelsAt)) return
  if (tunnels.over !== undefined) checkDuration(report, child(tunnelsAt, 'over'), tunnels.over, 0)
  if (tunnels.close !== undefined && report.sound(child(tunnelsAt, 'close')) && isNoCode(tunnels.close)) {
    report.add(child(tunnelsAt, 'close'), `${tunnels.close} is no code that a WebSocket may be closed with`)
  }
}

function checkHash(report: Report, at: string, { balance, sticky }: ServiceSpec): void {
  const { hash } = balance as { hash: string }
  const [from, name] = hash.split(':')
  if (name !== undefined && !isToken(name)) {
    report.add(child(child(at, 'balance'), 'hash'), `${JSON.stringify(name)} is not the name of a ${from}`)
  }
  if (report.sound(child(at, 'sticky')) && sticky !== false && sticky.target) {
    report.add(
      child(at, 'balance'),
      `sticky.target keeps a visitor at one target, whatever the ${from}: give one of the two`,
    )
  }
}

/** Adds a fault for every member of a map of durations that no timer can hold. */
export function checkDurations(report: Report, at: string, durations: Record<string, string>, msMin: number): void {
  if (!report.present(at)) return
  for (const [key, text] of Object.entries(durations)) checkDuration(report, child(at, key), text, msMin)
}

function checkDuration(report: Report, at: string, text: string, msMin: number, msMax = TIMER_MS_MAX): void {
  if (!report.sound(at)) return
  const ms = durationMs(text)
  if (ms < msMin) report.add(at, `${text} is too short: at least ${msMin}ms`)
  if (ms > msMax) report.add(at, `${text} is too long: at most ${Math.floor(msMax / 86_400_000)}d`)
}

function checkRoute(report: Report, at: string, route: RouteSpec): void {
  if (!report.present(at)) return
  const hostAt = child(at, 'host')
  const host = report.sound(hostAt) ? parseRouteHost(route.host) : null
  if (host !== null && 'bad' in host) report.add(hostAt, host.bad)
  if (route.header !== undefined) checkPairs(report, child(at, 'header'), route.header, 'header')
  if (route.method !== undefined) checkMethod(report, child(at, 'method'), route.method)
}

function checkTargets(report: Report, poolsAt: string, spec: ServiceSpec): void {
  const owners = new Map<string, string>()
  for (const [pool, poolSpec] of Object.entries(spec.pools)) {
    const at = child(child(poolsAt, pool), 'targets')
    if (!report.present(at)) continue
    checkTargetWeights(report, child(poolsAt, pool), poolSpec)
    for (const [index, text] of poolSpec.targets.entries()) {
      if (!report.sound(child(at, index))) continue
      const target = parseTarget(text)
      if ('bad' in target) {
        report.add(child(at, index), target.bad)
        continue
      }
      const owner = owners.get(target.identity)
      if (owner === undefined) owners.set(target.identity, pool)
      else report.add(child(at, index), `target ${target.identity} is already in pool ${JSON.stringify(owner)}`)
    }
  }
}

function checkSplit(report: Report, at: string, spec: ServiceSpec, pools: readonly string[]): void {
  const { split, live } = spec
  const splitAt = child(at, 'split')
  const liveAt = child(at, 'live')
  if (split !== undefined && live !== undefined) report.add(liveAt, 'give either split or live, not both')
  if (live !== undefined) checkPool(report, liveAt, live, pools)
  if (split !== undefined) checkWeights(report, splitAt, split, pools)
  if (split === undefined && live === undefined && pools.length > 1 && !report.misspelt(at, ['split', 'live'])) {
    report.add(splitAt, 'missing key "split" (or "live"): with several pools it says where requests go', {
      about: 'key',
    })
  }
}

/** Adds every fault of a split; unknown pools only when `pools` are given. */
export function checkWeights(report: Report, at: string, weights: Weights, pools: readonly string[] | null): void {
  if (!report.present(at)) return
  for (const name of Object.keys(weights)) checkPool(report, child(at, name), name, pools, 'key')
  if (report.sound(at) && Object.values(weights).every((weight) => weight === 0)) {
    report.add(at, 'every weight is 0: at least one pool must get requests')
  }
}

function checkFailover(report: Report, at: string, failover: string[] | undefined, pools: readonly string[]): void {
  if (failover === undefined || !report.present(at)) return
  for (const [index, name] of failover.entries()) {
    checkPool(report, child(at, index), name, pools)
    if (failover.indexOf(name) < index) report.add(child(at, index), `pool ${JSON.stringify(name)} stands here twice`)
  }
}

function checkHealth(report: Report, at: string, health: HealthSpec): void {
  if (!report.present(at)) return
  checkDuration(report, child(at, 'interval'), health.interval, PROBE_INTERVAL_MS_MIN)
  checkDuration(report, child(at, 'timeout'), health.timeout, 1)
  const statusAt = child(at, 'status')
  const ranges = report.sound(statusAt) ? health.status.split(',') : []
  for (const range of ranges) {
    const [from, to = from] = range.split('-')
    if (Number(from) > Number(to)) report.add(statusAt, `${range} is an empty range: write ${to}-${from}`)
  }
  const hostAt = child(at, 'host')
  if (health.host === undefined || !report.sound(hostAt)) return
  // Other letters are those of a name, which is sent as A-labels (canonical.ts).
  const host = asciiHost(health.host.replace(/:[0-9]+$/, ''))
  if (host === null || !/^[!-~]+$/.test(host)) {
    report.add(hostAt, `${JSON.stringify(health.host)} cannot be a Host header`)
  }
}
