/**
 * Answers of our own as HTTP/1.1 text, and the line that ends a head towards a client. They tell a stable code and the request
 * id, and no detail of the inside.
 */
import { ERRORS, type ErrorCode } from '../../errors.ts'
import type { RedirectLines } from '../exchange/downstream.ts'
import type { Page } from '../maintenance-pages.ts'
import type { Time } from '../time.ts'

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

/** An answer of our own without a body; `lines` are its fields beside those that all have, with CRLFs. */
function emptyAnswer(
  { time }: { readonly time: Time },
  status: string,
  lines: string,
  requestId: string,
  minor: number,
  keepAlive: boolean,
): string {
  return (
    'HTTP/1.1 ' +
    status +
    '\r\n' +
    time.dateLine() +
    lines +
    'Content-Length: 0\r\nX-Request-Id: ' +
    requestId +
    '\r\nVia: 1.1 turnout\r\n' +
    connectionLine(keepAlive, minor) +
    '\r\n'
  )
}

/** Our own answer to OPTIONS. */
export function optionsAnswer(
  setting: { readonly time: Time },
  requestId: string,
  minor: number,
  keepAlive: boolean,
): string {
  return emptyAnswer(setting, '200 OK', ALLOW_LINE, requestId, minor, keepAlive)
}

/** Sends a client elsewhere on the same host; `cookieLine` is `Set-Cookie` with CRLF, or empty. */
export function redirectAnswer(
  setting: { readonly time: Time },
  { requestId, location, cookieLine }: RedirectLines,
  minor: number,
  keepAlive: boolean,
): string {
  const lines = 'Location: ' + location + '\r\n' + cookieLine + 'Cache-Control: no-store\r\n'
  return emptyAnswer(setting, '302 Found', lines, requestId, minor, keepAlive)
}

/** The head of the page of a service in maintenance. */
export function pageHead(
  { time }: { readonly time: Time },
  { status, retryAfterS, contentType, body }: Page,
  requestId: string,
  minor: number,
  keepAlive: boolean,
): string {
  const more = (retryAfterS > 0 ? 'Retry-After: ' + retryAfterS + '\r\n' : '') + connectionLine(keepAlive, minor)
  return errorHead(time, status, contentType, body.length, requestId, 'maintenance', more)
}

/** The head of an answer that is an error and has a body; `more` are its last fields, with CRLFs. */
function errorHead(
  time: Time,
  status: number,
  contentType: string,
  length: number,
  requestId: string,
  code: ErrorCode,
  more: string,
): string {
  return (
    'HTTP/1.1 ' +
    status +
    ' ' +
    (REASONS[status] ?? '') +
    '\r\n' +
    time.dateLine() +
    'Content-Type: ' +
    contentType +
    '\r\nContent-Length: ' +
    length +
    '\r\nX-Request-Id: ' +
    requestId +
    '\r\nX-Turnout-Error: ' +
    code +
    '\r\nCache-Control: no-store\r\nVia: 1.1 turnout\r\n' +
    more +
    '\r\n'
  )
}

/** A whole answer of our own, as JSON or plain text; no detail of the inside. */
export function errorAnswer(
  { time }: { readonly time: Time },
  code: ErrorCode,
  asked: { readonly requestId: string; readonly minor: number; readonly isHead: boolean },
  json: boolean,
  keepAlive: boolean,
): string {
  const { requestId, minor, isHead } = asked
  const { status, message } = ERRORS[code]
  const body = json
    ? JSON.stringify({ status, code, message, requestId }) + '\n'
    : status + ' ' + REASONS[status] + '\n' + code + ': ' + message + '\nrequest ' + requestId + '\n'
  const contentType = json ? 'application/json' : 'text/plain; charset=utf-8'
  const more =
    (status === 503 || code === 'upstream_connect_failed' ? 'Retry-After: 1\r\n' : '') +
    (status === 405 ? ALLOW_LINE : '') +
    connectionLine(keepAlive, minor)
  return errorHead(time, status, contentType, body.length, requestId, code, more) + (isHead ? '' : body)
}
