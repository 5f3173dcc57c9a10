/** Preview hosts: a host of its own for each pool of a service, where the pool is seen before anybody is sent to it. Pure. */
import type { RoutePlan } from '../table/plan.ts'
import type { RouteSpec, ServiceSpec } from './schema.ts'

/** Stands in a preview host for the name of a pool. */
export const POOL_MARK = '{pool}'

type Previewed = Pick<ServiceSpec, 'routes' | 'pools' | 'preview'>

/** A preview in its long form. */
export function previewOf(preview: ServiceSpec['preview']): { host: string; from?: readonly string[] } | null {
  if (preview === undefined) return null
  return typeof preview === 'string' ? { host: preview } : preview
}

/** What stands in place of the host of every route, by pool. */
export function previewHosts({ preview, pools }: Omit<Previewed, 'routes'>): [pool: string, host: string][] {
  const host = previewOf(preview)?.host
  return host === undefined ? [] : Object.keys(pools).map((pool) => [pool, host.replace(POOL_MARK, pool)])
}

/** The routes of the preview hosts: those of the service, each once for every pool, whatever their own hosts. */
export function previewRoutes(spec: Previewed): { readonly pool: string; readonly route: RouteSpec }[] {
  return previewHosts(spec).flatMap(([pool, host]) => {
    const seen = new Set<string>()
    return spec.routes.flatMap((own) => {
      const route = { ...own, host }
      const key = JSON.stringify([route.path, route.method, route.header])
      if (seen.has(key)) return []
      seen.add(key)
      return [{ pool, route }]
    })
  })
}

const known = new WeakMap<Previewed['routes'], { readonly key: string; readonly plans: readonly RoutePlan[] }>()

/** All routes of a service as plans: its own, and those of its preview hosts; made once for the same routes. */
export function withPreviews(
  spec: Previewed,
  own: readonly RoutePlan[],
  planRoute: (route: RouteSpec, preview: RoutePlan['preview']) => RoutePlan,
): readonly RoutePlan[] {
  const preview = previewOf(spec.preview)
  if (preview === null) return own
  const key = JSON.stringify([preview, Object.keys(spec.pools)])
  const before = known.get(spec.routes)
  if (before?.key === key) return before.plans
  const from = preview.from ?? null
  const plans = [...own, ...previewRoutes(spec).map(({ pool, route }) => planRoute(route, { pool, from }))]
  known.set(spec.routes, { key, plans })
  return plans
}
