/** Preview hosts: a host of its own for each pool of a service, where the pool is seen before anybody is sent to it. Pure. */
import type { PreviewPlan } from '../table/plan.ts'
import type { RouteSpec, ServiceSpec } from './schema.ts'

/** Stands in a preview host for the name of a pool. */
export const POOL_MARK = '{pool}'

/** A route of a service, or of the preview host of a pool. */
export interface AnyRoute extends RouteSpec {
  readonly preview?: PreviewPlan
}

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

const known = new WeakMap<Previewed['routes'], { readonly key: string; readonly all: readonly AnyRoute[] }>()

/**
 * All routes of a service: its own, and then those of the preview hosts, which are the same, each once for every pool, whatever their own
 * hosts. The same list for the same routes, preview and pools, so that whoever makes something of it does so once.
 */
export function allRoutes(spec: Previewed): readonly AnyRoute[] {
  const { routes, preview } = spec
  if (preview === undefined) return routes
  const key = JSON.stringify([preview, Object.keys(spec.pools)])
  const before = known.get(routes)
  if (before?.key === key) return before.all
  const all = [...routes, ...previewRoutes(spec)]
  known.set(routes, { key, all })
  return all
}

function previewRoutes(spec: Previewed): AnyRoute[] {
  const from = previewOf(spec.preview)?.from ?? null
  return previewHosts(spec).flatMap(([pool, host]) => {
    const seen = new Set<string>()
    return spec.routes.flatMap((own) => {
      const key = JSON.stringify([own.path, own.method, own.header])
      if (seen.has(key)) return []
      seen.add(key)
      return [{ ...own, host, preview: { pool, from } }]
    })
  })
}
