/** The one definition of a failed attempt. */
import { expect, test } from 'vitest'
import { attemptOutcome } from '../../../src/dataplane/exchange/attempt-outcome.ts'
import type { ErrorCode } from '../../../src/errors.ts'

test.each([100, 101, 200, 204, 301, 304, 400, 404, 405, 408, 429, 499, 501])('an answer of %i is good', (status) => {
  expect(attemptOutcome(status, null)).toBe('good')
})

test.each([500, 502, 503, 504, 505, 507, 511, 599])('an answer of %i is failed', (status) => {
  expect(attemptOutcome(status, null)).toBe('failed')
})

test.each<ErrorCode>(['upstream_connect_failed', 'upstream_closed', 'upstream_bad_response', 'upstream_timeout'])(
  'what ends by %s is failed, however well its answer had begun',
  (broke) => {
    expect([attemptOutcome(0, broke), attemptOutcome(200, broke)]).toEqual(['failed', 'failed'])
  },
)

test.each<ErrorCode | null>(['bad_body', 'body_too_large', 'request_timeout', 'internal', null])(
  'what the client or we have broken (%s) says something only when an answer had begun',
  (broke) => {
    expect([attemptOutcome(0, broke), attemptOutcome(200, broke), attemptOutcome(503, broke)]).toEqual([
      'void',
      'good',
      'failed',
    ])
  },
)
