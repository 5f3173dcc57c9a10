/**
 * The field lines that we send on, towards either side. Lines on framing are not among them: whoever writes to a wire makes
 * those from parsed values.
 *
 * Fields that were validated byte by byte and concern neither framing, nor this connection, nor what we say ourselves are
 * copied as spans of the received text; fields that Connection names are left out first and ours are added after, so the
 * list can never take ours away (RFC 9110 7.6.1).
 */
import type { OwnCookie, PoolTable, ServiceTable } from '../../table/types.ts'
import { copyAllBut, KIND } from '../http1/field-kinds.ts'
import { extendedLines, tellsOfClient } from '../http1/forwarded.ts'
import { hopsLine, UNLIMITED } from '../http1/max-forwards.ts'
import type { RequestHead } from '../http1/request-head.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import { flat, VISIBLE } from '../http1/syntax.ts'
import { isTraced } from '../http1/trace-context.ts'
import type { Ids } from '../ids.ts'
import type { Plane } from '../plane.ts'
import type { Time } from '../time.ts'
import type { Downstream } from './downstream.ts'

const HOP_BY_HOP = [
  KIND.connection,
  KIND.contentLength,
  KIND.transferEncoding,
  KIND.upgrade,
  KIND.te,
  KIND.keepAlive,
  KIND.proxyConnection,
  KIND.http2Settings,
  KIND.requestId,
  KIND.turnout,
  KIND.lookalike,
]
const NOT_TO_TARGET = [
  ...HOP_BY_HOP,
  KIND.host,
  KIND.expect,
  KIND.forwarded,
  KIND.forwardedFor,
  KIND.forwardedProto,
  KIND.forwardedHost,
]
const TRACE = [KIND.traceparent, KIND.tracestate]
/** What is copied of a request that belongs to a trace, and of one that begins its own. */
const TO_TARGET = [copyAllBut(...NOT_TO_TARGET, KIND.claim), copyAllBut(...NOT_TO_TARGET, KIND.claim, ...TRACE)]
/** What a trusted proxy says of the client is passed on. */
const TO_TARGET_FROM_PROXY = [copyAllBut(...NOT_TO_TARGET), copyAllBut(...NOT_TO_TARGET, ...TRACE)]
const TO_CLIENT = copyAllBut(...HOP_BY_HOP)
const REQUEST_ID_LENGTH_MAX = 200

/** The request id that the client sent, if it is visible ASCII of at most 200 characters, else a new one. */
export function requestIdOf({ ids }: { readonly ids: Ids }, head: RequestHead): string {
  const first = head.fields.next(KIND.requestId)
  if (first < 0) return ids.next()
  const id = head.fields.value(first)
  if (id.length === 0 || id.length > REQUEST_ID_LENGTH_MAX) return ids.next()
  for (let at = 0; at < id.length; at++) if (VISIBLE[id.charCodeAt(at)] !== 1) return ids.next()
  return id
}

/** The field lines for the target that do not depend on which target it is. */
export function requestLines(
  { ids }: { readonly ids: Ids },
  head: RequestHead,
  downstream: Pick<Downstream, 'trusted' | 'peer' | 'tls' | 'forwardedLines'>,
  { requestId, maxForwards }: { readonly requestId: string; readonly maxForwards: number },
): string {
  const { fields, dropped } = head
  const traced = isTraced(fields, dropped)
  const copy = (downstream.trusted ? TO_TARGET_FROM_PROXY : TO_TARGET)[traced ? 0 : 1]
  let lines = fields.copyLines(maxForwards === UNLIMITED ? copy : withoutHops(copy), dropped)
  const forwarded =
    downstream.trusted && tellsOfClient(fields)
      ? extendedLines(fields, downstream.peer, downstream.tls, head.authority)
      : downstream.forwardedLines(head.authority)
  lines += forwarded + VIA_AND_ID[head.minor] + requestId
  if (traced) return lines + '\r\n' + hopsLine(maxForwards)
  // W3C Trace Context: the trace begins here. A request id of ours is random enough to name the trace too, which also
  // lets people find the one by the other; its half names the first span. Flags 00: it is for whoever records spans to say
  // whether this one is sampled, and we record none.
  const id = requestId === ids.last ? requestId : ids.next()
  return lines + '\r\ntraceparent: 00-' + id + '-' + id.slice(16) + '-00\r\n' + hopsLine(maxForwards)
}

/** The same table for a request whose maxForwards are counted, which few are. */
function withoutHops(copy: Uint8Array): Uint8Array {
  const table = copy.slice()
  table[KIND.maxForwards] = 0
  return table
}

/**
 * What stands before the request id, by the minor version of the message received: that is what Via tells (RFC 9110 7.6.3).
 * In one piece, as each piece more is felt.
 */
const VIA_AND_ID = ['Via: 1.0 turnout\r\nX-Request-Id: ', 'Via: 1.1 turnout\r\nX-Request-Id: ']

/** Marks a copy towards its target. */
export const MIRROR_LINE = 'X-Turnout-Mirror: 1\r\n'

/** The lines of each pool, made once for each table that has it. */
const linesByPool = new WeakMap<PoolTable, string>()

/** The last of them, since most requests go where the one before has gone. */
let [lastPool, lastLines]: [PoolTable | null, string] = [null, '']

/** Which version was chosen, towards the target. */
export function poolLines(service: ServiceTable, pool: PoolTable): string {
  if (pool === lastPool) return lastLines
  let lines = linesByPool.get(pool)
  if (lines === undefined) {
    lines = flat(
      `X-Turnout-Service: ${service.name}\r\nX-Turnout-Pool: ${pool.name}\r\nX-Turnout-Release: ${service.release}\r\n`,
    )
    linesByPool.set(pool, lines)
  }
  lastPool = pool
  lastLines = lines
  return lines
}

/** `Set-Cookie` with our cookie for a client of the service. */
export function cookieLine(
  { view, signer }: Pick<Plane, 'view' | 'signer'>,
  service: ServiceTable,
  own: OwnCookie,
): string {
  const sticky = service.sticky!
  const name = view.cookieName(sticky, service.name)
  return 'Set-Cookie: ' + name + '=' + signer.sign(name, own) + sticky.attributes + '\r\n'
}

/** The field lines of a response that are passed on to the client. */
export function responseLines({ time }: { readonly time: Time }, head: ResponseHead, requestId: string): string {
  return (
    head.fields.copyLines(TO_CLIENT, head.dropped) +
    (head.hasDate ? '' : time.dateLine()) +
    VIA_AND_ID[head.minor] +
    requestId +
    '\r\n'
  )
}
