/**
 * The heads that we send: to the target, to the client, and our own answers. All framing is written here from parsed values.
 *
 * Fields that were validated byte by byte and concern neither framing, nor this connection, nor what we say ourselves are
 * copied as spans of the received text; fields that Connection names are left out first and ours are added after, so the
 * list can never take ours away (RFC 9110 7.6.1).
 */
import { ERRORS, type ErrorCode } from '../../errors.ts'
import type { PoolTable, ServiceTable } from '../../table/types.ts'
import { extendedLines } from '../downstream/trust.ts'
import { copyAllBut, KIND } from '../http1/field-kinds.ts'
import { hopsLine, UNLIMITED } from '../http1/max-forwards.ts'
import type { RequestHead } from '../http1/request-head.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import { flat, VISIBLE } from '../http1/syntax.ts'
import { isTraced } from '../http1/trace-context.ts'
import type { Plane } from '../plane.ts'
import type { ExchangeRequest } from './request.ts'

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
export function requestIdOf(plane: Plane, head: RequestHead): string {
  const fields = head.fields
  for (let i = 0; i < fields.count; i++) {
    if (fields.kind(i) !== KIND.requestId) continue
    const id = fields.value(i)
    if (id.length === 0 || id.length > REQUEST_ID_LENGTH_MAX) break
    let at = 0
    while (at < id.length && VISIBLE[id.charCodeAt(at)] === 1) at++
    if (at === id.length) return id
    break
  }
  return plane.randomId()
}

/** The field lines for the target that do not depend on which target it is. `forwarded` is null behind a trusted proxy. */
export function requestLines(
  plane: Plane,
  head: RequestHead,
  forwarded: string | null,
  peer: string,
  tls: boolean,
  { requestId, maxForwards }: Pick<ExchangeRequest, 'requestId' | 'maxForwards'>,
): string {
  const { fields, dropped } = head
  const traced = isTraced(fields, dropped)
  const copy = (forwarded === null ? TO_TARGET_FROM_PROXY : TO_TARGET)[traced ? 0 : 1]
  let lines = fields.copyLines(maxForwards === UNLIMITED ? copy : withoutHops(copy), dropped)
  lines += (forwarded ?? extendedLines(fields, peer, tls, head.authority)) + 'X-Request-Id: ' + requestId + '\r\n'
  if (!traced) {
    // W3C Trace Context: the trace begins here. A request id of ours is random enough to name the trace too, which also
    // lets people find the one by the other; its half names the first span. Flags 00: it is for whoever records spans to say
    // whether this one is sampled, and we record none.
    const id = requestId === plane.lastId ? requestId : plane.randomId()
    lines += 'traceparent: 00-' + id + '-' + id.slice(16) + '-00\r\n'
  }
  return lines + hopsLine(maxForwards) + viaLine(head.minor)
}

/** The same table for a request whose maxForwards are counted, which few are. */
function withoutHops(copy: Uint8Array): Uint8Array {
  const table = copy.slice()
  table[KIND.maxForwards] = 0
  return table
}

/** RFC 9110 7.6.3: the version is that of the message received. */
const viaLine = (minor: number) => (minor === 1 ? 'Via: 1.1 turnout\r\n' : 'Via: 1.0 turnout\r\n')

/** The lines of each pool, made once for each table that has it. */
const linesByPool = new WeakMap<PoolTable, string>()

/** Which version was chosen, towards the target. */
export function poolLines(service: ServiceTable, pool: PoolTable): string {
  let lines = linesByPool.get(pool)
  if (lines === undefined) {
    lines = flat(
      `X-Turnout-Service: ${service.name}\r\nX-Turnout-Pool: ${pool.name}\r\nX-Turnout-Release: ${service.release}\r\n`,
    )
    linesByPool.set(pool, lines)
  }
  return lines
}

/** `Content-Length` or `Transfer-Encoding` as a line, or nothing. */
export function framingLine(chunked: boolean, contentLength: number): string {
  if (chunked) return 'Transfer-Encoding: chunked\r\n'
  return contentLength >= 0 ? 'Content-Length: ' + contentLength + '\r\n' : ''
}

/** The field lines of a response that are passed on to the client. */
export function responseLines(plane: Plane, head: ResponseHead, requestId: string): string {
  return (
    head.fields.copyLines(TO_CLIENT, head.dropped) +
    (head.hasDate ? '' : plane.dateLine()) +
    viaLine(head.minor) +
    'X-Request-Id: ' +
    requestId +
    '\r\n'
  )
}

/**
 * The line that tells a client whether the connection stays open; nothing where its version already says so. `upgrade` is what an
 * answer of 426 demands: it is for this connection, so Connection has to name it (RFC 9110 7.8).
 */
export function connectionLine(keepAlive: boolean, minor: number, upgrade = ''): string {
  if (upgrade !== '') {
    const stays = keepAlive ? (minor === 1 ? '' : 'keep-alive, ') : 'close, '
    return 'Connection: ' + stays + 'Upgrade\r\nUpgrade: ' + upgrade + '\r\n'
  }
  if (keepAlive) return minor === 1 ? '' : 'Connection: keep-alive\r\n'
  return 'Connection: close\r\n'
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
}

const ALLOW_LINE = 'Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n'

/** Our own answer to OPTIONS. */
export function optionsAnswer(
  plane: Plane,
  { requestId, minor }: Pick<ExchangeRequest, 'requestId' | 'minor'>,
  keepAlive: boolean,
): string {
  return (
    'HTTP/1.1 200 OK\r\n' +
    plane.dateLine() +
    ALLOW_LINE +
    'Content-Length: 0\r\nX-Request-Id: ' +
    requestId +
    '\r\nVia: 1.1 turnout\r\n' +
    connectionLine(keepAlive, minor) +
    '\r\n'
  )
}

/** A whole answer of our own, as JSON or plain text; no detail of the inside. */
export function errorAnswer(
  plane: Plane,
  code: ErrorCode,
  asked: Pick<ExchangeRequest, 'requestId' | 'minor' | 'isHead'>,
  json: boolean,
  keepAlive: boolean,
): string {
  const { requestId, minor, isHead } = asked
  const { status, message } = ERRORS[code]
  const body = json
    ? JSON.stringify({ status, code, message, requestId }) + '\n'
    : status + ' ' + REASONS[status] + '\n' + code + ': ' + message + '\nrequest ' + requestId + '\n'
  return (
    'HTTP/1.1 ' +
    status +
    ' ' +
    REASONS[status] +
    '\r\n' +
    plane.dateLine() +
    'Content-Type: ' +
    (json ? 'application/json' : 'text/plain; charset=utf-8') +
    '\r\nContent-Length: ' +
    body.length +
    '\r\nX-Request-Id: ' +
    requestId +
    '\r\nX-Turnout-Error: ' +
    code +
    '\r\nCache-Control: no-store\r\nVia: 1.1 turnout\r\n' +
    (status === 503 ? 'Retry-After: 1\r\n' : '') +
    (status === 405 ? ALLOW_LINE : '') +
    connectionLine(keepAlive, minor) +
    '\r\n' +
    (isHead ? '' : body)
  )
}
