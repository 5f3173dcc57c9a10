/**
 * Routes: from host, path, method and headers to a service.
 *
 * Hosts: exact beats `*.example.com` (the longest suffix first, any number of labels) beats `*`; when no route of a host
 * fits, the next host is asked. Within a host the longest path prefix on segment boundaries wins; at one path, routes with more
 * conditions come first. The path is compared as it will be forwarded: nothing is decoded or normalised, but that the case of the
 * digits in `%c3` does not count (table/path.ts), which costs only hosts that have such a route.
 *
 * Each host has a tree of path segments, so a match reads the path once, however long it is and however many routes there
 * are (a hash of every prefix would let a client buy quadratic work with one long path; for suffixes of hosts the length is
 * bounded by the longest suffix that is configured). A lone `/` on `*` costs three comparisons.
 *
 * Routes at one path that differ by method and headers are tried in turn, or found by an index when they are many.
 *
 * A router is immutable and names services only; `updateRouter` rebuilds the hosts on which routes have changed, shares all
 * others, and returns the router itself when no route has changed.
 */
import { type ConditionIndex, indexConditions, markCandidates } from './condition-index.ts'
import { header } from './conditions/fields.ts'
import type { Condition } from './conditions/kind.ts'
import { planText } from './conditions/texts.ts'
import { withUpperEscapes } from './path.ts'
import type { RoutePlan } from './plan.ts'
import { type Preview, previewOf } from './preview.ts'
import type { RequestView } from './types.ts'

const SLASH = 47
/** Routes at one path that are tried one after the other; more are indexed by their headers. */
const SCANNED_MAX = 8

/** Compiled routes. Names services only, so a change of their health leaves it as it is. */
export interface Router {
  readonly exact: ReadonlyMap<string, HostRoutes>
  /** By suffix: `*.example.com` under `example.com`. */
  readonly wildcard: ReadonlyMap<string, HostRoutes>
  /** Length of the longest key of `wildcard`. */
  readonly suffixLengthMax: number
  readonly any: HostRoutes | null
  /** The routes as given, by service name. */
  readonly plans: ReadonlyMap<string, readonly RoutePlan[]>
}

/** All routes of one host, and the tree of path segments over them. */
interface HostRoutes {
  readonly routes: readonly CompiledRoute[]
  readonly root: PathNode
  /** Whether a path among them has `%` in it. */
  readonly escaped: boolean
}

interface PathNode {
  /** The best first. */
  readonly routes: readonly CompiledRoute[]
  /** Over `routes` when they are many. */
  readonly index: ConditionIndex | null
  readonly children: ReadonlyMap<string, PathNode> | null
}

export interface CompiledRoute {
  /** Without a trailing slash, but `/` itself. */
  readonly path: string
  readonly plan: RoutePlan
  /** All of these must hold. */
  readonly headers: readonly Condition[]
  /** Name of the service, to be looked up in the same table. */
  readonly service: string
  readonly preview: Preview | null
}

/** A router without any routes. */
export const EMPTY_ROUTER: Router = {
  exact: new Map(),
  wildcard: new Map(),
  suffixLengthMax: 0,
  any: null,
  plans: new Map(),
}

/** The route that a request takes, or null. */
export function match(router: Router, view: RequestView): CompiledRoute | null {
  if (router.exact.size > 0) {
    const host = router.exact.get(view.host)
    const route = host === undefined ? null : matchPath(host, view)
    if (route !== null) return route
  }
  if (router.wildcard.size > 0) {
    const route = matchSuffixes(router, view)
    if (route !== null) return route
  }
  return router.any === null ? null : matchPath(router.any, view)
}

function matchSuffixes(router: Router, view: RequestView): CompiledRoute | null {
  const host = view.host
  let dot = host.indexOf('.', Math.max(1, host.length - 1 - router.suffixLengthMax))
  for (; dot !== -1; dot = host.indexOf('.', dot + 1)) {
    const routes = router.wildcard.get(host.slice(dot + 1))
    const route = routes === undefined ? null : matchPath(routes, view)
    if (route !== null) return route
  }
  return null
}

function matchPath({ root, escaped }: HostRoutes, view: RequestView): CompiledRoute | null {
  let best = firstFitting(root, view)
  if (root.children === null) return best
  const path = escaped ? withUpperEscapes(view.path) : view.path
  if (path.charCodeAt(0) !== SLASH) return best
  let node: PathNode | undefined = root
  for (let start = 1; node.children !== null; ) {
    const slash = path.indexOf('/', start)
    const end = slash === -1 ? path.length : slash
    node = node.children.get(path.slice(start, end))
    if (node === undefined) return best
    best = firstFitting(node, view) ?? best
    if (slash === -1) return best
    start = end + 1
  }
  return best
}

function firstFitting({ routes, index }: PathNode, view: RequestView): CompiledRoute | null {
  if (index !== null) return firstCandidate(routes, index, view)
  for (const route of routes) if (fits(route, view)) return route
  return null
}

function firstCandidate(
  routes: readonly CompiledRoute[],
  index: ConditionIndex,
  view: RequestView,
): CompiledRoute | null {
  const marks = markCandidates(index, view, null)
  for (let at = marks.take(); at !== -1; at = marks.take()) if (fits(routes[at], view)) return routes[at]
  return null
}

function fits({ plan, headers }: CompiledRoute, view: RequestView): boolean {
  if (plan.method !== null && plan.method !== view.method) return false
  for (const condition of headers) if (!condition.holds(view, null)) return false
  return true
}

/** The router after some services have other routes (none: the service is gone). The previous one stays as it is. */
export function updateRouter(previous: Router, changes: ReadonlyMap<string, readonly RoutePlan[]>): Router {
  const changed = new Set<string>()
  /** By host, the routes of changed services there; a host that is not named keeps all that it has. */
  const added = new Map<string, CompiledRoute[]>()
  for (const [service, routes] of changes) {
    const differing = difference(previous.plans.get(service) ?? [], routes)
    if (differing.length === 0) continue
    changed.add(service)
    for (const plan of differing) added.set(plan.host, [])
  }
  if (changed.size === 0) return previous
  const plans = new Map(previous.plans)
  for (const service of changed) {
    const routes = changes.get(service) ?? []
    if (routes.length === 0) plans.delete(service)
    else plans.set(service, routes)
    for (const plan of plans.get(service) ?? []) {
      added.get(plan.host)?.push(compileRoute(plan, service))
    }
  }
  return withHosts(previous, plans, added, changed)
}

/** What stands between the common beginning and the common end of two lists, in either of them. */
function difference(a: readonly RoutePlan[], b: readonly RoutePlan[]): RoutePlan[] {
  if (a === b) return []
  let start = 0
  while (start < a.length && start < b.length && equalPlan(a[start], b[start])) start++
  let end = 0
  const most = Math.min(a.length, b.length) - start
  while (end < most && equalPlan(a[a.length - 1 - end], b[b.length - 1 - end])) end++
  return [...a.slice(start, a.length - end), ...b.slice(start, b.length - end)]
}

function withHosts(
  previous: Router,
  plans: Router['plans'],
  added: ReadonlyMap<string, readonly CompiledRoute[]>,
  changed: ReadonlySet<string>,
): Router {
  const exact = new Map(previous.exact)
  const wildcard = new Map(previous.wildcard)
  let any = previous.any
  for (const [host, routes] of added) {
    if (host === '*') any = hostOf(any, routes, changed)
    else if (host.startsWith('*.')) place(wildcard, host.slice(2), routes, changed)
    else place(exact, host, routes, changed)
  }
  let suffixLengthMax = 0
  for (const suffix of wildcard.keys()) suffixLengthMax = Math.max(suffixLengthMax, suffix.length)
  return { exact, wildcard, suffixLengthMax, any, plans }
}

function place(
  hosts: Map<string, HostRoutes>,
  key: string,
  routes: readonly CompiledRoute[],
  changed: ReadonlySet<string>,
): void {
  const host = hostOf(hosts.get(key) ?? null, routes, changed)
  if (host === null) hosts.delete(key)
  else hosts.set(key, host)
}

/** A host with the routes of changed services replaced by the added ones; null when none are left. */
function hostOf(
  previous: HostRoutes | null,
  added: readonly CompiledRoute[],
  changed: ReadonlySet<string>,
): HostRoutes | null {
  const kept = previous === null ? [] : previous.routes.filter((route) => !changed.has(route.service))
  const routes = [...kept, ...added]
  if (routes.length === 0) return null
  return { routes, root: treeOf(routes.toSorted(byPrecedence)), escaped: routes.some(({ path }) => path.includes('%')) }
}

interface GrowingNode {
  routes: CompiledRoute[]
  index: ConditionIndex | null
  children: Map<string, GrowingNode> | null
}

/** Nodes keep the order of the routes given. */
function treeOf(routes: readonly CompiledRoute[]): PathNode {
  const root: GrowingNode = { routes: [], index: null, children: null }
  const crowded: GrowingNode[] = []
  for (const route of routes) {
    let node = root
    for (const segment of route.path === '/' ? [] : route.path.slice(1).split('/')) {
      node.children ??= new Map()
      let child = node.children.get(segment)
      if (child === undefined) {
        child = { routes: [], index: null, children: null }
        node.children.set(segment, child)
      }
      node = child
    }
    if (node.routes.push(route) === SCANNED_MAX + 1) crowded.push(node)
  }
  for (const node of crowded)
    node.index = indexConditions(node.routes.map(({ plan }) => headersOf(plan).map(header.keys)))
  return root
}

/** The headers of a route are asked for as those of a rule are; its plan has them in octets already. */
const headersOf = (plan: RoutePlan) =>
  plan.header.map(([name, value]) => ({ name, asks: planText(value, (octets) => octets) }))

/** A route as it is matched. */
function compileRoute(plan: RoutePlan, service: string): CompiledRoute {
  const headers = headersOf(plan).map(header.compile)
  return { path: withoutTrailingSlash(plan.path), plan, headers, service, preview: previewOf(plan) }
}

/** More conditions first; then by service name, so that the order of changes does not matter. */
function byPrecedence(a: CompiledRoute, b: CompiledRoute): number {
  const conditions = conditionsOf(b.plan) - conditionsOf(a.plan)
  if (conditions !== 0) return conditions
  return a.service < b.service ? -1 : a.service > b.service ? 1 : 0
}

function conditionsOf(plan: RoutePlan): number {
  return plan.header.length + (plan.method === null ? 0 : 1)
}

function withoutTrailingSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}

function samePreview(a: RoutePlan['preview'], b: RoutePlan['preview']): boolean {
  return a === b || (a !== null && b !== null && a.pool === b.pool && String(a.from) === String(b.from))
}

function equalPlan(a: RoutePlan, b: RoutePlan): boolean {
  return (
    a.path === b.path &&
    a.host === b.host &&
    a.method === b.method &&
    samePreview(a.preview, b.preview) &&
    a.header.length === b.header.length &&
    a.header.every(([name, value], index) => name === b.header[index][0] && value === b.header[index][1])
  )
}
