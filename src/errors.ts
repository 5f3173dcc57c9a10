/**
 * Every error code of Turnout in one table: what is sent, whose fault it is, whether trying again can help.
 *
 * A code is stable: scripts match on it. `source` says where the fault lies (`downstream` the client, `upstream` the
 * target, `internal` us). `retry` is the class for a caller: `never` (the same request fails again), `idempotent` (safe to
 * repeat only if the request is), `unsent` (nothing reached a target, so anyone may repeat it).
 * Bugs throw assertions; only expected failures carry a code. README lists the same table, which a test compares.
 */

export type ErrorSource = 'downstream' | 'upstream' | 'internal'
export type RetryClass = 'never' | 'idempotent' | 'unsent'

export interface ErrorEntry {
  readonly status: number
  readonly source: ErrorSource
  readonly retry: RetryClass
  readonly message: string
}

const entry = (status: number, source: ErrorSource, retry: RetryClass, message: string): ErrorEntry =>
  Object.freeze({ status, source, retry, message })

/**
 * Code → what it means. The first block is answered by the data plane, the second by the admin API and the CLI. The codes of 499 are
 * for the access log only: there is nobody to answer any more.
 */
export const ERRORS = Object.freeze({
  bad_request: entry(400, 'downstream', 'never', 'The request is not valid HTTP/1.1.'),
  bad_host: entry(400, 'downstream', 'never', 'The Host header is missing, repeated or malformed.'),
  bad_framing: entry(400, 'downstream', 'never', 'The length of the request body is missing, ambiguous or malformed.'),
  bad_body: entry(400, 'downstream', 'never', 'The request body is malformed or ended too early.'),
  no_route: entry(404, 'downstream', 'never', 'No route matches this host and path.'),
  method_not_allowed: entry(405, 'downstream', 'never', 'This method is not served here.'),
  request_timeout: entry(408, 'downstream', 'idempotent', 'The request did not arrive in time.'),
  body_too_large: entry(413, 'downstream', 'never', 'The request body is larger than allowed.'),
  uri_too_long: entry(414, 'downstream', 'never', 'The request target is longer than allowed.'),
  expectation_failed: entry(417, 'downstream', 'never', 'Only the expectation 100-continue is supported.'),
  head_too_large: entry(431, 'downstream', 'never', 'The request headers are larger or more than allowed.'),
  not_implemented: entry(501, 'downstream', 'never', 'This transfer coding is not supported.'),
  version_not_supported: entry(505, 'downstream', 'never', 'Only HTTP/1.0 and HTTP/1.1 are supported.'),
  upstream_connect_failed: entry(502, 'upstream', 'unsent', 'No target accepted a connection.'),
  upstream_closed: entry(502, 'upstream', 'idempotent', 'The target closed the connection before it answered.'),
  upstream_bad_response: entry(502, 'upstream', 'idempotent', 'The answer of the target is not valid HTTP/1.1.'),
  no_healthy_target: entry(503, 'upstream', 'unsent', 'No target can take this request now.'),
  overloaded: entry(503, 'internal', 'unsent', 'Too many requests are under way.'),
  held: entry(
    503,
    'internal',
    'unsent',
    'The service is held for a moment, and the request could not wait for its end.',
  ),
  maintenance: entry(503, 'internal', 'unsent', 'The service is down for maintenance.'),
  upstream_timeout: entry(504, 'upstream', 'idempotent', 'The target did not answer in time.'),
  internal: entry(500, 'internal', 'idempotent', 'Something went wrong inside the proxy.'),
  client_closed: entry(499, 'downstream', 'never', 'The client went away before its answer was complete.'),
  drain_ended: entry(
    499,
    'internal',
    'never',
    'It had not ended when the time of a drain, or of the end of the process, was over.',
  ),
  client_stalled: entry(499, 'downstream', 'never', 'The client stopped taking its answer.'),

  invalid: entry(422, 'downstream', 'never', 'The values are not valid.'),
  malformed: entry(400, 'downstream', 'never', 'The body, the path or a header cannot be read.'),
  unauthorized: entry(401, 'downstream', 'never', 'A valid token is needed.'),
  forbidden: entry(403, 'downstream', 'never', 'This token, host or origin may not do this.'),
  not_found: entry(404, 'downstream', 'never', 'There is no such thing.'),
  conflict: entry(409, 'downstream', 'never', 'The present state does not allow this.'),
  over_capacity: entry(409, 'downstream', 'never', 'A pool would get more requests at once than it carries.'),
  hold_ended: entry(409, 'downstream', 'never', 'The hold has ended before the change under it could be made.'),
  hook_failed: entry(409, 'downstream', 'never', 'The hook has not answered well, so nothing was switched.'),
  stale_revision: entry(412, 'downstream', 'never', 'The revision has changed since it was read.'),
  too_large: entry(413, 'downstream', 'never', 'The body is larger than allowed.'),
  store_unavailable: entry(
    503,
    'internal',
    'unsent',
    'The store cannot be reached; traffic is served by the last table.',
  ),
  upgrade_failed: entry(500, 'internal', 'never', 'The new process could not take over; the one before serves on.'),
  not_ready: entry(503, 'internal', 'unsent', 'Not every worker routes by a committed table yet.'),
} as const)

export type ErrorCode = keyof typeof ERRORS

/** One fault of a validation error: `pointer` is a JSON pointer into what was sent. */
export interface Fault {
  readonly pointer: string
  readonly message: string
}

/** An expected failure. Match on `code`; `message` is for people; `faults` lists every fault of an `invalid`. */
export class TurnoutError extends Error {
  readonly code: ErrorCode
  readonly faults: readonly Fault[]

  constructor(code: ErrorCode, detail?: string, faults: readonly Fault[] = []) {
    super(detail ?? ERRORS[code].message)
    this.name = 'TurnoutError'
    this.code = code
    this.faults = faults
  }
}

/** The end of a refusal that gives way to `force`. */
export const ANYWAY = 'Nothing has changed; with force it is done all the same.'

/** Why nothing may be changed for a moment. */
export const yieldedNow = (): TurnoutError =>
  new TurnoutError(
    'not_ready',
    'One process is about to take over from another, and nothing has changed: try again in a second.',
  )

/** Whether a thrown value is an expected failure with the given code (any code when none is given). */
export function isTurnoutError(error: unknown, code?: ErrorCode): error is TurnoutError {
  return error instanceof TurnoutError && (code === undefined || error.code === code)
}
