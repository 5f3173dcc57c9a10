/**
 * Where the visitor of a tunnel would come to now: asked of `decide` with the head that the tunnel was opened by, so that what is moved,
 * and where to, is what everybody else is told. A long head was not kept; then only its place is looked at.
 *
 * It takes no number of the picker and no permit, since nothing is sent.
 */
import { decide } from '../../table/decide.ts'
import { failing } from '../../table/eligible.ts'
import type { Decision, Draw, Load, TargetTable } from '../../table/types.ts'
import type { Fields } from '../http1/fields.ts'
import type { RequestHead } from '../http1/request-head.ts'
import type { HeadView } from '../request-view.ts'
import type { Tables } from '../tables.ts'
import type { Time } from '../time.ts'

/** What it needs of its worker. */
export interface DestinationSetting {
  readonly requestHead: RequestHead
  readonly view: HeadView
  /** Address of a client, after trusted proxies. */
  readonly trusted: { clientOf(fields: Fields, peer: string): string }
  readonly tables: Tables
  readonly time: Time
}

/** Where something is open: a target of a pool of a service, by names, since tables come and go. */
export interface Place {
  readonly slot: number
  readonly service: string
  readonly pool: string
  readonly url: string
  /** It takes new visitors; or its target does, and only its pool does not. */
  readonly isOpen: boolean
  readonly isTargetOpen: boolean
}

/** Who had asked for it. */
export interface Asker {
  readonly place: Place
  /** The head, or empty when it was too long to be kept. */
  readonly headText: string
  readonly downstream: { readonly peer: string; readonly trusted: boolean }
  /** By its own decision it was where it is, and not in the place of another pool that was ill. */
  readonly isAtHome: boolean
  /** Nothing says who it is, so chance has sent it; and it is one too many where it is (rebalance.ts). */
  readonly isKeyless: boolean
  readonly isSurplus: boolean
}

/** It stays; it would go to this target; it will, once that is warm; nobody could take it now; or nobody ever will, since its service was removed. */
export type Destination = 'stays' | 'later' | 'nobody' | 'ends' | TargetTable

/** What targets have to do does not count: where it goes is found anew when it comes. */
const NO_LOAD: Load = () => 0

/** Where somebody would come to now. */
export function destinationOf(plane: DestinationSetting, asker: Asker): Destination {
  const { place } = asker
  if (asker.isKeyless && place.isOpen) return asker.isSurplus ? elsewhere(plane, place) : 'stays'
  const decision = decided(plane, asker)
  if (decision === null) return elsewhere(plane, place)
  const { target, aimed, reason } = decision
  if (target === null) return plane.tables.current().services.has(place.service) ? 'nobody' : 'ends'
  const isHere = target.pool.name === place.pool && decision.service!.name === place.service
  if (target.slot === place.slot || (isHere && place.isTargetOpen)) {
    const isStandIn = aimed !== null && aimed.name !== place.pool && asker.isAtHome
    if (!isStandIn) return 'stays'
    return reason === 'warming' ? 'later' : 'nobody'
  }
  return isLost(target, plane.time.steadyMs()) ? 'nobody' : target
}

function decided(plane: DestinationSetting, { headText, downstream }: Asker): Decision | null {
  if (headText === '') return null
  const { requestHead, view, trusted, tables, time } = plane
  if (requestHead.parse(headText) <= 0) return null
  view.isTrusted = downstream.trusted
  view.address = view.isTrusted ? trusted.clientOf(requestHead.fields, downstream.peer) : downstream.peer
  const { random } = tables.draw
  let turn = 0
  const draw: Draw = {
    next: () => Math.floor(random() * 2 ** 32),
    turn: () => turn++,
    random,
    visitorId: tables.draw.visitorId,
  }
  return decide(view, tables.current(), NO_LOAD, draw, time.steadyMs())
}

/** Somebody of whom only the place is known: any target that takes everybody's new visitors, of its own pool at best if that is not open. */
function elsewhere({ tables, time }: DestinationSetting, { service, pool, url, isOpen }: Place): Destination {
  const table = tables.current().services.get(service)
  if (table === undefined) return 'ends'
  const weighted = table.pools.filter(({ admin, weight }) => admin === 'ready' && weight > 0)
  const pools = isOpen ? weighted.filter(({ name }) => name !== pool) : weighted
  const others = pools.flatMap(({ targets }) => targets).filter((target) => target.url !== url && target.weight > 0)
  const ready = others.filter((target) => target.admin === 'ready' && !failing(target, time.steadyMs()))
  return ready.find((target) => target.pool.name === pool) ?? ready[0] ?? 'nobody'
}

/** What was chosen for want of anything better takes nobody. */
function isLost(target: TargetTable, nowMs: number): boolean {
  return failing(target, nowMs) && target.pool.targets.every((other) => failing(other, nowMs))
}
