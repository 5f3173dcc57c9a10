/**
 * The checks of the whole, for the config file and for the bodies of the admin API alike: same schema, same faults.
 *
 * `checkServices` is what must hold of any set of services before it may become a table. The `validate…` functions take
 * an untrusted body and answer a spec in canonical form (canonical.ts), or every fault with its JSON pointer into that body.
 */
import type { TSchema } from 'typebox'
import type { Fault } from '../errors.ts'
import type { AdminState } from '../table/types.ts'
import { isLoopback, parseListenAddress, parseTarget } from './address.ts'
import { calledUrlFault, isUrl } from './called-url.ts'
import { canonicalPool, canonicalRoute, canonicalService } from './canonical.ts'
import { checkNetworks } from './check-condition.ts'
import { checkRollout } from './check-rollout.ts'
import { checkRules } from './check-rules.ts'
import { checkDurations, checkService, checkWeights, Report } from './check-service.ts'
import { checkStoreSpec } from './check-store.ts'
import { checkTargetWeights } from './check-target-weights.ts'
import { hooksOf } from './hooks.ts'
import { withoutUnknown } from './known.ts'
import { child, type Finding } from './pointer.ts'
import { type AnyRoute, allRoutes } from './preview.ts'
import {
  PoolSchema,
  type PoolSpec,
  type RouteSpec,
  type RuleSpec,
  RulesBodySchema,
  ServiceSchema,
  type ServiceSpec,
  type Services,
  type Spec,
  StateBodySchema,
  type Weights,
  WeightsSchema,
} from './schema.ts'
import { COOKIE_KEY_LENGTH_MIN, STORED_KEY } from './schema-process.ts'
import { RolloutSchema, type RolloutSpec } from './schema-rollout.ts'
import { type Validated, validate } from './validate.ts'

/** What became of an untrusted value. */
export type Checked<T> = { readonly spec: T } | { readonly faults: readonly Fault[] }

const faultsOf = (findings: readonly Finding[]): Fault[] =>
  findings.map(({ pointer, message }) => ({ pointer, message }))

/** Every fault of a set of services of the right types, by pointers such as `/shop/split/blue`. */
export function checkServices(services: Services): Fault[] {
  const report = new Report()
  reportServices(report, '', services)
  return faultsOf(report.findings)
}

/** Every fault of a whole spec that the schema cannot say; skips what `refused` says is broken already. */
export function checkSpec(spec: Spec, refused: readonly Finding[]): Finding[] {
  const report = new Report(refused, true)
  if (!report.present('')) return []
  const addresses = checkListeners(report, spec)
  checkAdmin(report, spec, addresses)
  checkNetworks(report, '/trustedProxies', spec.trustedProxies)
  if (spec.country?.header !== undefined && spec.trustedProxies.length === 0 && report.sound('/country/header')) {
    report.add('/country/header', 'no proxy is trusted (trustedProxies), so nobody is believed to know the country')
  }
  if (spec.jwt !== undefined && report.sound('/jwt')) {
    const { secret, jwks } = spec.jwt
    if ((secret === undefined) === (jwks === undefined))
      report.add('/jwt', 'give either secret or jwks: tokens are verified by one of them')
    const fault = jwks !== undefined && isUrl(jwks) ? calledUrlFault(jwks) : null
    if (fault !== null) report.add('/jwt/jwks', fault)
  }
  checkCookieKeys(report, spec.cookieKeys)
  checkStoreSpec(report, '/store', spec.store)
  checkDurations(report, '/timeouts', spec.timeouts, 1)
  if (!report.present('/services')) return report.findings
  reportServices(report, '/services', spec.services)
  if (report.sound('/rolloutCommands') && spec.rolloutCommands.length === 0) reportCommands(report, spec.services)
  return report.findings
}

/** None of them is told. */
function checkCookieKeys(report: Report, keys: readonly string[]): void {
  if (!report.present('/cookieKeys')) return
  for (const [index, key] of keys.entries()) {
    const at = child('/cookieKeys', index)
    if (!report.sound(at)) continue
    if (key !== STORED_KEY && key.length < COOKIE_KEY_LENGTH_MIN)
      report.add(at, `needs at least ${COOKIE_KEY_LENGTH_MIN} characters (openssl rand -hex 32), or is ${STORED_KEY}`)
    if (keys.indexOf(key) < index) report.add(at, 'stands here twice')
  }
}

/** A file that names programs has to allow them. */
function reportCommands(report: Report, services: Services): void {
  for (const [name, { rollout }] of Object.entries(services)) {
    const at = child(child('/services', name), 'rollout')
    if (rollout === undefined || !report.sound(at)) continue
    for (const { pointer, hook } of hooksOf(rollout)) {
      const commandAt = `${at}${child(pointer, 'command')}`
      if (hook.command !== undefined) {
        report.add(commandAt, 'rolloutCommands names no folder whose programs may be run')
      }
    }
  }
}

function reportServices(report: Report, at: string, services: Services): void {
  const owners = new Map<string, string>()
  for (const [name, spec] of Object.entries(services)) reportService(report, child(at, name), name, spec, owners)
}

/** Knows the service of each route that was seen before. */
export interface Owners {
  get(key: string): string | undefined
  set(key: string, service: string): void
}

/** Adds every fault of a service, at `at`; `owners` are those of the routes of all others. */
export function reportService(report: Report, at: string, name: string, spec: ServiceSpec, owners: Owners): void {
  if (!report.present(at)) return
  checkService(report, at, spec)
  const routesAt = child(at, 'routes')
  if (!report.present(routesAt)) return
  const routes: readonly AnyRoute[] = report.sound(at) ? allRoutes(spec) : spec.routes
  const keys = report.isSound ? routeKeys(routes) : null
  for (const [index, route] of routes.entries()) {
    if (keys === null && !report.sound(child(routesAt, index))) continue
    const key = keys === null ? routeKey(route) : keys[index]
    const owner = owners.get(key)
    if (owner === undefined) {
      owners.set(key, name)
      continue
    }
    const whose = owner === name ? 'another entry of this service' : `service ${JSON.stringify(owner)}`
    const taken = `${whose} has the same route already`
    if (route.preview === undefined) report.add(child(routesAt, index), taken)
    else report.add(child(at, 'preview'), `${route.host}${route.path}, for pool ${route.preview.pool}: ${taken}`)
  }
}

const keysOfRoutes = new WeakMap<readonly RouteSpec[], readonly string[]>()

/** What the routes match, one key for each; made once for each list: there may be thousands, and every change looks at all. */
export function routeKeys(routes: readonly RouteSpec[]): readonly string[] {
  const keys = keysOfRoutes.get(routes) ?? routes.map(routeKey)
  keysOfRoutes.set(routes, keys)
  return keys
}

/** What a route matches, the same for every way to write it. */
function routeKey(route: RouteSpec): string {
  const { host, path, method, header = {} } = canonicalRoute(route)
  const fields = Object.entries(header).map(([name, value]) => [name.toLowerCase(), value])
  return JSON.stringify([host, path, method ?? null, fields.sort()])
}

/** The addresses of the listeners, as `host:port`, each to the first listener that has it. */
function checkListeners(report: Report, spec: Spec): Set<string> {
  const addresses = new Set<string>()
  if (!report.present('/listeners')) return addresses
  for (const [index, listener] of spec.listeners.entries()) {
    const at = child(child('/listeners', index), 'address')
    if (!report.sound(at)) continue
    const parsed = parseListenAddress(listener.address)
    if ('bad' in parsed) {
      report.add(at, parsed.bad)
      continue
    }
    const address = `${parsed.host}:${parsed.port}`
    // Port 0 is a different free port each time.
    if (parsed.port === 0) continue
    if (addresses.has(address)) report.add(at, `another listener has the address ${listener.address} already`)
    addresses.add(address)
  }
  return addresses
}

function checkAdmin(report: Report, spec: Spec, listeners: ReadonlySet<string>): void {
  const at = '/admin/address'
  if (report.sound(at)) {
    const parsed = parseListenAddress(spec.admin.address)
    if ('bad' in parsed) report.add(at, parsed.bad)
    else if (listeners.has(`${parsed.host}:${parsed.port}`)) report.add(at, 'a listener has this address already')
    else if (!isLoopback(parsed.host) && report.present('/admin/tokens') && spec.admin.tokens.length === 0) {
      report.add(at, `${spec.admin.address} can be reached from outside: give admin.tokens, or use 127.0.0.1`)
    }
  }
  if (!report.sound('/admin/tokens')) return
  for (const [index, { name, token }] of spec.admin.tokens.entries()) {
    const before = spec.admin.tokens.slice(0, index)
    const tokenAt = child('/admin/tokens', index)
    if (/[\0- \x7f]/.test(token)) {
      report.add(child(tokenAt, 'token'), 'nobody can send a token with blanks, line ends or control characters in it')
    }
    if (before.some((other) => other.name === name)) {
      report.add(child(tokenAt, 'name'), `another token has the name ${JSON.stringify(name)}`)
    }
    if (before.some((other) => other.token === token))
      report.add(child(tokenAt, 'token'), 'another token has this secret')
  }
}

/** Validates with the schema and then with `check`; answers what `result` makes of the value. */
function checked<S extends TSchema, T>(
  schema: S,
  body: unknown,
  check: (report: Report, value: Validated<S>['value']) => void,
  result: (value: Validated<S>['value']) => T,
  refusesVain = true,
): Checked<T> {
  const { value, findings, refused } = validate(schema, body)
  const report = new Report(refused, refusesVain)
  if (report.present('')) check(report, value)
  const faults = faultsOf([...findings, ...report.findings])
  return faults.length > 0 ? { faults } : { spec: result(value) }
}

const checkedService = (body: unknown, refusesVain: boolean): Checked<ServiceSpec> =>
  checked(
    ServiceSchema,
    body,
    (report, spec) => reportService(report, '', '', spec, new Map()),
    canonicalService,
    refusesVain,
  )

/** Validates a whole service; duplicates of routes in other services are found by `checkServices`. */
export const validateService = (body: unknown): Checked<ServiceSpec> => checkedService(body, true)

/**
 * A service as it was stored, by this Turnout or another: completed with the defaults of now, and without the keys that are
 * not known here, whose pointers are in `gone`.
 */
export function completeService(stored: unknown): Checked<ServiceSpec> & { readonly gone: readonly string[] } {
  const { value, gone } = withoutUnknown(ServiceSchema, stored)
  return { ...checkedService(value, false), gone }
}

/** Validates a map of weights; with `pools`, also that each name is one of them. */
export const validateWeights = (body: unknown, pools: readonly string[] | null = null): Checked<Weights> =>
  checked(
    WeightsSchema,
    body,
    (report, weights) => checkWeights(report, '', weights, pools),
    (weights) => weights,
  )

/** Validates a list of rules; with `pools`, also that each rule names one of them. */
export const validateRules = (body: unknown, pools: readonly string[] | null = null): Checked<RuleSpec[]> =>
  checked(
    RulesBodySchema,
    body,
    (report, rules) => checkRules(report, '', rules, pools, []),
    (rules) => rules,
  )

/** Validates one pool; targets that another pool of the service has are found by `checkServices`. */
export const validatePool = (body: unknown): Checked<PoolSpec> => checked(PoolSchema, body, checkOnePool, canonicalPool)

function checkOnePool(report: Report, pool: PoolSpec): void {
  if (!report.present('/targets')) return
  checkTargetWeights(report, '', pool)
  const seen = new Set<string>()
  for (const [index, text] of pool.targets.entries()) {
    const at = child('/targets', index)
    if (!report.sound(at)) continue
    const target = parseTarget(text)
    if ('bad' in target) report.add(at, target.bad)
    else if (seen.has(target.identity)) report.add(at, `target ${target.identity} stands here twice`)
    else seen.add(target.identity)
  }
}

/** Validates the settings of a rollout. */
export const validateRollout = (body: unknown): Checked<RolloutSpec> =>
  checked(
    RolloutSchema,
    body,
    (report, rollout) => checkRollout(report, '', rollout),
    (rollout) => rollout,
  )

/** Validates `{"state": "drain"}` for a pool or a target. */
export const validateState = (body: unknown): Checked<AdminState> =>
  checked(
    StateBodySchema,
    body,
    () => {},
    ({ state }) => state as AdminState,
  )
