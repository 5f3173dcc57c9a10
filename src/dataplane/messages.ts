/**
 * What the main thread and a worker say to each other. Few and rare: nothing is sent per request but pages of log lines.
 *
 * main: start (workerData) → listen → drain; prepare, lookup, forget and sample at any time.   worker: started → listening → drained; prepared, log, sampled, difference and fault at
 * any time. A worker listens only when told to, so every table that it was told of before is prepared by then.
 */
import type { LimitsPlan, TimeoutsPlan } from '../config/plan.ts'
import type { Cuts } from '../cuts.ts'
import type { SharedMemory } from '../metrics/layout.ts'
import type { TableDelta } from '../table/types.ts'
import type { Lookup, LookupName } from './lookups/lookups.ts'
import type { TokenPlan } from './lookups/tokens.ts'
import type { Lent } from './samples.ts'

/** A listener with its certificate read; port 0 asks the system for a free one. */
export interface ListenerPlan {
  readonly host: string
  readonly port: number
  readonly tls: { readonly cert: string; readonly key: string } | null
}

export interface WorkerStart {
  readonly index: number
  readonly memory: SharedMemory
  readonly listeners: readonly ListenerPlan[]
  /** False where the platform has no SO_REUSEPORT; then there is one worker only. */
  readonly reusePort: boolean
  readonly limits: LimitsPlan
  readonly timeouts: TimeoutsPlan
  readonly trustedProxies: readonly string[]
  /** Header by which those tell the country of a client, in lower case; null for none. */
  readonly countryHeader: string | null
  /** By what JWTs are verified; null: they are not. */
  readonly tokens: TokenPlan | null
  /** Secrets that sign our cookie: the first signs, all verify. */
  readonly cookieKeys: readonly string[]
  /** The id of this deployment in our cookies. */
  readonly cookieLayer: string
  /** Share of requests in the access log; 0 is off. */
  readonly accessSample: number
  /** False reads by plain 'data' events instead of into the shared buffer; for tests and as a fallback. */
  readonly sharedReads: boolean
  /** False copies long bodies even where the kernel could move them; for tests of that fallback. */
  readonly splices: boolean
  /** What requests are looked up in, as far as it is there. */
  readonly lookups: readonly Lookup[]
  /** The table to begin with. */
  readonly delta: TableDelta
}

/** One of two answers to one request: its status, the bytes of its body, and how long its head took. */
export interface SeenAnswer {
  readonly status: number
  readonly bytes: number
  readonly headMs: number
}

/** A copy of a request (mirror) that was answered otherwise than the client was. */
export interface Difference {
  readonly service: string
  readonly pool: string
  readonly target: string
  readonly method: string
  /** Without its query. */
  readonly path: string
  readonly live: SeenAnswer
  readonly copy: SeenAnswer
}

export type ToWorker =
  /**
   * `ports` of the listeners; null for the first worker of the process: it finds them out, and nobody may listen where it opens a socket.
   * `inherited` are for each listener the descriptors of sockets that listen there already, and are this worker's from now on; where there are
   * none it opens one of its own.
   */
  | {
      readonly type: 'listen'
      readonly ports: readonly number[] | null
      readonly inherited: readonly (readonly number[])[]
    }
  | { readonly type: 'prepare'; readonly delta: TableDelta }
  /** Lend the samples of requests; answered under the same number. */
  | { readonly type: 'sample'; readonly id: number }
  | { readonly type: 'lookup'; readonly lookup: Lookup }
  | { readonly type: 'forget'; readonly lookup: LookupName }
  /**
   * Stop accepting, answer what is under way with `Connection: close`, and say `drained` when nothing is left. From the listeners that
   * another process has too (`isShared`, in their order) nothing more is accepted at once; from others first what waits.
   */
  | { readonly type: 'drain'; readonly deadlineMs: number; readonly isShared: readonly boolean[] }

export type FromWorker =
  /** It hears what it is told, and waits for `listen`. */
  | { readonly type: 'started' }
  /** For each listener its port, and the descriptors of the sockets that it has here. */
  | {
      readonly type: 'listening'
      readonly ports: readonly number[]
      readonly descriptors: readonly (readonly number[])[]
    }
  | { readonly type: 'prepared'; readonly epoch: number }
  /** Nothing is left; and what of it was broken off. */
  | { readonly type: 'drained'; readonly cuts: Cuts }
  /** A page of the access log, with so many bytes of lines in it (log/page.ts). */
  | { readonly type: 'log'; readonly memory: SharedArrayBuffer; readonly length: number }
  | { readonly type: 'difference'; readonly difference: Difference }
  | { readonly type: 'sampled'; readonly id: number; readonly samples: readonly Lent[] }
  | { readonly type: 'fault'; readonly code: string; readonly message: string }
