/** What connections to targets need of their worker. */
import type { LimitsPlan, TimeoutsPlan } from '../../config/plan.ts'
import type { Counters } from '../counters.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import type { Buffers } from '../socket/buffers.ts'
import type { Time } from '../time.ts'

/** What connections to targets need of their worker. */
export interface UpstreamSetting {
  readonly limits: LimitsPlan
  readonly timeouts: TimeoutsPlan
  readonly time: Time
  readonly counters: Counters
  readonly buffers: Buffers
  /** One for the worker: read and done with before the next read. */
  readonly responseHead: ResponseHead
  /** Nothing is kept for a next request any more. */
  readonly draining: boolean
}
