/**
 * Links by which people choose a version for themselves: `?turnout=green` pins them to a pool, `?turnout=off` lets them go. The answer
 * is a redirect to the same place without it, so that nobody bookmarks, caches or sends on what it has done.
 *
 * Only GET and HEAD can be redirected so; and only to the same host, whatever the path looks like.
 */
import { endOfLifeS } from './cookie-record.ts'
import { type Draft, poolNamed } from './draft.ts'
import type { OwnCookie, PoolTable } from './types.ts'

const OFF = 'off'

/** What a client is sent back with: where to, and our cookie, if that changes. */
export interface Redirect {
  /** Path and query. */
  readonly location: string
  readonly setCookie: OwnCookie | null
}

/** The redirect that a request asks for by a link; null when it has none, or one that names no pool for people. */
export function redirectOf(draft: Draft): Redirect | null {
  const { service, view } = draft
  if (service.link === null || service.sticky === null || view.query === '') return null
  if (view.method !== 'GET' && view.method !== 'HEAD') return null
  const begin = `${service.link}=`
  let wanted: string | null = null
  const rest: string[] = []
  for (const pair of view.query.split('&')) {
    if (!pair.startsWith(begin)) rest.push(pair)
    else wanted ??= pair.slice(begin.length)
  }
  if (wanted === null) return null
  const pool = wanted === OFF ? null : poolNamed(service, wanted)
  if (pool === null ? wanted !== OFF : pool.admin !== 'ready') return null
  return { location: placeOf(view.path, rest), setCookie: pool === null ? letGo(draft) : pinTo(draft, pool) }
}

/** A path that begins with two slashes would be another host to whoever follows it. */
function placeOf(path: string, rest: readonly string[]): string {
  const own = /^\/[/\\]/.test(path) ? `/.${path}` : path
  return rest.length === 0 ? own : `${own}?${rest.join('&')}`
}

function pinTo({ service, own, view, draw }: Draft, pool: PoolTable): OwnCookie {
  return {
    visitor: own?.visitor ?? draw.visitorId(),
    service: service.name,
    pool: pool.name,
    release: pool.release,
    target: '',
    pinned: true,
    endS: endOfLifeS(service.sticky!, view.wallMs()),
  }
}

/** The same visitor without its pin; nothing where there is none. */
function letGo({ service, own, view }: Draft): OwnCookie | null {
  if (own === null || own.service !== service.name || !own.pinned) return null
  return { ...own, target: '', pinned: false, endS: endOfLifeS(service.sticky!, view.wallMs()) }
}
