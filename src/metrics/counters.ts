/**
 * Which error codes and caps the data plane counts, why workers were lost, and where: one field for each in the lane of a worker.
 *
 * The order is the layout of shared memory within one process, never stored, so codes may be added anywhere; at most
 * `WORKER_FIELD.shed - WORKER_FIELD.rejected` (32) fit. An answer of our own is counted here by its code, unless a
 * target is to blame for it: then the counters of the target have it (a failed attempt, and the class of its status).
 */
import type { ErrorCode } from '../errors.ts'
import { WORKER_FIELD } from './layout.ts'

/** The codes that a worker may answer with, in the order of their counters. */
export const REJECT_CODES: readonly ErrorCode[] = Object.freeze([
  'bad_request',
  'bad_host',
  'bad_framing',
  'bad_body',
  'no_route',
  'method_not_allowed',
  'request_timeout',
  'body_too_large',
  'uri_too_long',
  'expectation_failed',
  'head_too_large',
  'not_implemented',
  'version_not_supported',
  'upstream_connect_failed',
  'upstream_closed',
  'upstream_bad_response',
  'no_healthy_target',
  'overloaded',
  'held',
  'maintenance',
  'upstream_timeout',
  'internal',
] satisfies ErrorCode[])

const FIELD_BY_CODE: ReadonlyMap<ErrorCode, number> = new Map(
  REJECT_CODES.map((code, index) => [code, WORKER_FIELD.rejected + index]),
)

/** Why a worker was lost: an uncaught error or exit, its heap, an endless loop, silence, a table not prepared, a failed start. */
export const LOSS_REASONS = Object.freeze(['crash', 'memory', 'loop', 'silent', 'table', 'start'] as const)

export type LossReason = (typeof LOSS_REASONS)[number]

/** Field of a worker lane that counts its losses of this kind. */
export function lossField(reason: LossReason): number {
  return WORKER_FIELD.lost + LOSS_REASONS.indexOf(reason)
}

/** Field of a worker lane that counts this code; a code that no worker answers with counts as `internal`. */
export function rejectField(code: ErrorCode): number {
  return FIELD_BY_CODE.get(code) ?? FIELD_BY_CODE.get('internal')!
}

/** The caps that refuse or end something, in the order of their counters; at most 24 fit. */
export const SHED_REASONS = Object.freeze([
  'connections',
  'connections_per_address',
  'requests_per_connection',
  'target_connections',
  'target_connections_per_address',
  'queue_full',
  'queue_time',
  'queue_left',
  'hold_full',
  'hold_bytes',
  'hold_time',
  'hold_left',
  'hold_ended',
] as const)

export type ShedReason = (typeof SHED_REASONS)[number]

/** Field of a worker lane that counts what this cap has refused or ended. */
export function shedField(reason: ShedReason): number {
  return WORKER_FIELD.shed + SHED_REASONS.indexOf(reason)
}
