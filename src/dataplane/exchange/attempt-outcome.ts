/**
 * The one definition of a failed attempt (one try of a request at one target). Counters keep what it says, and ejection, metrics,
 * status and whoever judges a release read those counters, so all of them mean the same. Pure.
 *
 * - `failed`: no connection, no answer, no valid answer, no answer in time, a body that broke off, or a status from 500 on.
 *   505 is one of these: it is we who choose the version of HTTP, so no client can provoke it. 501 is not: it speaks of the
 *   method, which the client chooses, so like 404 and 405 it is a right answer to a wrong question.
 * - `good`: any other answer, also one that its client did not wait to the end of. A stream ends in no other way.
 * - `void` tells nothing of the target: the client went away or broke its request before there was an answer, or a kept
 *   connection was being closed as idle just when the request came.
 */
import { isAmong, type StatusRanges } from '../../config/statuses.ts'
import { ERRORS, type ErrorCode } from '../../errors.ts'

export type AttemptOutcome = 'good' | 'failed' | 'void'

/** What an answer to a handshake says of its client: who it is, or that it asks too much. */
const OF_CLIENT: readonly number[] = [401, 403, 407, 429]

/**
 * Whether this answer to the handshake of a WebSocket counts against a version that is judged: any that leaves the client without one, 404 and
 * 200 too, since a version that has lost its WebSockets answers so; but for a redirect and what speaks of the client.
 */
export function refusesWebSocket(upgrade: string, status: number): boolean {
  if (status < 200 || upgrade.toLowerCase() !== 'websocket') return false
  return status < 300 || (status >= 400 && !OF_CLIENT.includes(status))
}

/**
 * Judges an attempt by the status of its final answer, 0 when none has begun, and by what broke the exchange, if anything did. `failing`
 * are the statuses that fail where a rollout says which.
 */
export function attemptOutcome(status: number, broke: ErrorCode | null, failing?: StatusRanges): AttemptOutcome {
  if (broke !== null && ERRORS[broke].source === 'upstream') return 'failed'
  if (status === 0) return 'void'
  const fails = failing === undefined ? status >= 500 && status !== 501 : isAmong(status, failing)
  return fails ? 'failed' : 'good'
}
