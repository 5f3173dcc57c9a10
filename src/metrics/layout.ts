/**
 * Counters in shared memory: who writes what, and where it stands.
 *
 * One Float64Array over a SharedArrayBuffer: lane of worker w, slot of target t, field f at
 * `(w * SLOTS + t) * FIELDS + f`. A worker writes only its own lane, so no lock is needed and doubles are exact to 2^53;
 * aligned 64-bit loads are whole on every platform Node runs on. Control reads sums over the lanes. Untouched pages cost no
 * memory, so the slots are plenty and fixed. A lane's gauges are zeroed by control when its worker has died.
 * Cells that need order between threads (the epoch, the picker's counters) are Int32 and go through Atomics.
 *
 * Three things are counted at a target, each by itself:
 * - Attempts: one try of a request at one target. Started = good + failed + void + those under way, and one outcome each
 *   (dataplane/exchange/attempt-outcome.ts). A request that was tried at two targets is an attempt at each.
 * - Requests: those that were answered, by the target or by us in its place, once, at the target that was tried last. So
 *   `requests` = the sum of the classes = the number of observed durations. Only `decided` counts them where they were to go
 *   at first, and when they come: that is what a share of traffic is of.
 * - Tunnels: what a request became when it was upgraded. The upgrade is an attempt; a tunnel is never a request.
 */
import { BINS } from './bins.ts'

/** Targets that can be counted at the same time. */
export const SLOTS = 16_384
/** Services that can be served at the same time. */
export const SERVICE_SLOTS = 16384

/** Where the histograms of a target begin; what is below and not named is free. */
const HISTOGRAMS = 48

/** Fields of a target, by name. Gauges come first; what follows only grows. */
export const FIELD = Object.freeze({
  /** Requests that are at the target now; tunnels are not among them. */
  inFlight: 0,
  tunnels: 1,
  connections: 2,
  /** Failed attempts of this worker since its last good one. */
  failuresInRow: 3,
  /** How many of these, at the end, got no connection. */
  connectErrorsInRow: 4,
  attemptsStarted: 5,
  attemptsGood: 6,
  attemptsFailed: 7,
  /** Attempts that say nothing of the target. Slow ones have no field: each reader has its own bound, and counts them in `ttfb`. */
  attemptsVoid: 8,
  /** Requests that were decided for this target at first, whatever became of them, and what became a tunnel. */
  decided: 9,
  requests: 10,
  status2xx: 11,
  status3xx: 12,
  status4xx: 13,
  status5xx: 14,
  /** Requests whose client went away before the end of its answer. */
  aborted: 15,
  /** Requests that a later attempt, at this target, has answered well. */
  rescued: 16,
  /** Attempts to connect that were refused, reset or too slow; each is a failed attempt, too. */
  connectErrors: 17,
  /** Attempts that ended by a time-out, connecting or later; each is a failed attempt, too. */
  timeouts: 18,
  /** Requests tried again after an attempt at this target that got no connection, or that got no answer. */
  retriesConnect: 19,
  retriesStale: 20,
  /** Requests that might have been tried again after this target failed them, had the retry budget not been spent. */
  retriesOverBudget: 21,
  bytesIn: 22,
  bytesOut: 23,
  durationSumMs: 24,
  ttfbSumMs: 25,
  connectsOpened: 26,
  tunnelsOpened: 27,
  tunnelsClosed: 28,
  /** How long closed tunnels were open. */
  tunnelSumMs: 29,
  /** Requests tried again, because this target has failed them and has a new version. */
  retriesRescue: 30,
  /** Requests that were asked of another version, because that of this target has not got what they ask for. */
  retriesSkew: 31,
  /** Copies of requests (mirror) that were sent to this target, and those that got no whole answer in time. */
  mirrors: 32,
  mirrorsFailed: 33,
  /** Copies whose answer was held against the one that the client got; where the status, or else the body, was another; and the slower ones. */
  mirrorsCompared: 34,
  mirrorsOtherStatus: 35,
  mirrorsOtherBody: 36,
  mirrorsSlower: 37,
  /** From the request to the head of the answer, of those that were compared: of the copies, and of what they were compared with. */
  mirrorsSumMs: 38,
  mirroredSumMs: 39,
  /** No sums: what the target takes to answer, as this worker sees it, and when it was seen last (dataplane/latencies.ts). */
  latencyMs: 40,
  latencyAtMs: 41,
  /** Requests that have waited for room and got it here, and how long; at the first target of a pool those that got none, by why. */
  queued: 42,
  queuedSumMs: 43,
  shedQueueFull: 44,
  shedQueueTime: 45,
  shedQueueLeft: 46,
  /** WebSockets that the target ended too soon, of those that a rollout judges. */
  tunnelsEarly: 47,
  /** From the head of a request to the end of its answer. */
  duration: HISTOGRAMS,
  /** From the beginning of the attempt to the head of its answer. */
  ttfb: HISTOGRAMS + BINS,
})
export const GAUGES = 5
/** Gauges of what is at a target now: while one is not zero, its place is not given to another. */
export const HOLDING_GAUGES = 3
export const FIELDS = HISTOGRAMS + 2 * BINS

/** Fields of a worker lane that belong to no target. */
export const WORKER_FIELD = Object.freeze({
  clientConnections: 0,
  acceptedConnections: 1,
  requests: 2,
  logDropped: 3,
  loopBusyMs: 4,
  heapBytes: 5,
  acceptErrors: 6,
  splicedBytes: 7,
  /** One for each error code of the data plane, in the order of `REJECT_CODES` (metrics/counters.ts). */
  rejected: 8,
  /** One for each cap, in the order of `SHED_REASONS` (metrics/counters.ts). */
  shed: 40,
  /** When the worker was last seen to move, by its own clock: written at every read and every sweep. */
  aliveMs: 64,
  /** How long it may be silent beyond the limits of the watchdog, for what it does just now. */
  patienceMs: 65,
  /** One for each of `LOSS_REASONS` (metrics/counters.ts), written by the main thread when it has lost the worker. */
  lost: 66,
  /** Connections to targets that belong to one client for good. */
  boundConnections: 72,
  /** Request bodies that a new version may have failed for good, since the worker kept as many as it may. */
  bodiesNotKept: 73,
  /** Requests that were to be copied, and were not: too many copies were under way, their bodies too large, or nobody there. */
  notMirrored: 74,
  /** Access log lines of the worker that nobody was there to read, written by the main thread. */
  logLost: 75,
})
export const WORKER_FIELDS = 80

/**
 * What a rollout is judged by, of a service, of each side by itself: answers and the bad ones, and for each quantile, answers whose
 * time is known or beyond its edge, and the slow ones. Only requests count that were decided in the present step, by chance. `harm`
 * is of all requests: those to whose clients the new version has brought a failure.
 */
export const TRIAL = Object.freeze({ answers: 0, bad: 1, timed: 2, slow: 5, harm: 8 })
export const TRIAL_FIELDS = 9
/** The new version comes first, what it is compared with second. */
export const SIDE = Object.freeze({ canary: 0, control: 1 })
export const SIDES = 2
/** Times from which on an answer is slow, of a service. */
export const EDGES = 3
/**
 * Readings of the trial of a service, which are kept until they are looked at: when each was made, and all fields of both sides. They
 * stand in a ring, with the time when the open batch ends before them; services take turns in having one (metrics/batches.ts).
 */
export const RINGS = 128
export const READINGS = 128
export const READING_FIELDS = 1 + SIDES * TRIAL_FIELDS
export const RING_FIELDS = 1 + READINGS * READING_FIELDS
export const RING_CELLS = 4

/** Hashes of visitors who have failed in a step, and how many stand in a row (dataplane/failed-visitors.ts). */
export const VISITOR_CELLS = 131_072
export const VISITOR_WAYS = 16

/** Registers of the estimate of how many visitors a target has had (metrics/visitors.ts). */
export const VISITOR_REGISTERS = 512

/** Fields of what is let go, of a target in the lane of a worker; and the table of who was (metrics/departures.ts). */
export const DEPARTURE_FIELDS = 7
export const DEPARTURE_GAUGES = 3
export const RETURNS = 16_384
export const RETURN_CELLS = 4
/**
 * What of a service is held: since when the first request waits (steady ms, 0 for none), those that went on and how long they had waited,
 * and those that did not, by why. Beside that, in `HELD` cells: those that wait now, the bytes that they take, and writes that are at targets (dataplane/exchange/placement.ts).
 */
export const HOLD = Object.freeze({ sinceMs: 0, released: 1, heldMs: 2, full: 3, bytes: 4, time: 5, left: 6, ended: 7 })
const HOLD_FIELDS = 8
export const HELD = Object.freeze({ requests: 0, bytes: 1, writes: 2 })
const HELD_CELLS = 3

/** Cells that count the connections of client addresses: addresses of the same hash share one (dataplane/downstream/admission.ts). */
export const ADDRESS_CELLS = 65_536

const STEP_CELLS = 8 + SERVICE_SLOTS
const STEP_FIRST_CELLS = STEP_CELLS + SERVICE_SLOTS
const RING_OF_CELLS = STEP_FIRST_CELLS + SERVICE_SLOTS
/**
 * Cells of the shared Int32Array. `step` is the number of the step of the rollout of each service, 0 without one, `stepFirst` that of its first
 * step, and `stepLast` the greatest that any had. `alarm` is counted up, and its waiters woken, by a worker whose attempts at a target fail, and
 * `verdict` by whoever closes a batch in which a new version has failed. `visitorHalf` is where visitors are noted, 0 or 1. Slots of targets from
 * `slotsGiven` on were never given. `ringOf` is the number of the ring of each service from 1, 0 without one; of `ring` each has `RING_CELLS`.
 */
export const CELL = Object.freeze({
  epoch: 0,
  alarm: 1,
  verdict: 2,
  stepLast: 3,
  visitorHalf: 4,
  slotsGiven: 5,
  picker: 8,
  step: STEP_CELLS,
  stepFirst: STEP_FIRST_CELLS,
  ringOf: RING_OF_CELLS,
  ring: RING_OF_CELLS + SERVICE_SLOTS,
})
export const CELLS = CELL.ring + RINGS * RING_CELLS

/** The shared memory of one process: given to every worker at start. */
export interface SharedMemory {
  readonly workers: number
  readonly targets: Float64Array
  /** By slot of a target: how many attempts had been started at it, over all workers, when it was last new. */
  readonly newFrom: Float64Array
  readonly lanes: Float64Array
  readonly cells: Int32Array
  /** `TRIAL` by worker, slot of the service and side: see `trialOffset`. */
  readonly trials: Float64Array
  /** `RING_FIELDS` to a ring. */
  readonly readings: Float64Array
  /** Times in ms from which on an answer is slow, `EDGES` to a service; written by control. */
  readonly edges: Float64Array
  /** Hashes of visitors who have failed, `VISITOR_CELLS` over all workers. */
  readonly visitors: Int32Array
  /** Who was seen: `VISITOR_REGISTERS` to a slot of a target, twice, over all workers. */
  readonly visitorMarks: Uint8Array
  /** Client connections by the hash of their address: `ADDRESS_CELLS` to a worker, which writes only its own. */
  readonly addresses: Int32Array
  /**
   * By worker, which writes only its own, and slot of a target. Permits: requests that are at a target with a limit (dataplane/waiting/permits.ts).
   * Then those that wait for the pool whose first target it is, and since when the first of them has, in steady ms (dataplane/waiting/queues.ts).
   */
  readonly permits: Int32Array
  readonly waiting: Int32Array
  readonly waitingSince: Float64Array
  /** `DEPARTURE_FIELDS` by worker, which writes only its own, and slot of a target. */
  readonly departures: Float64Array
  /** Who was let go: `RETURN_CELLS` to an entry, over all workers. */
  readonly returns: Int32Array
  /** Who has come that was not let go here, in the same way; empty where this process has replaced none (control/old-departures.ts). */
  readonly arrivals: Int32Array
  /** By worker, which writes only its own, and slot of a service: `HOLD` fields, and `HELD` cells (dataplane/waiting/holds.ts). */
  readonly holds: Float64Array
  readonly held: Int32Array
  /** Requests that the maintenance page of a service has answered (maintenance.ts). */
  readonly maintenance: Float64Array
}

/** Allocates the shared memory for a number of workers; `isHeir` when this process replaces another one. */
export function allocateSharedMemory(workers: number, isHeir = false): SharedMemory {
  return {
    workers,
    targets: new Float64Array(new SharedArrayBuffer(workers * SLOTS * FIELDS * 8)),
    newFrom: new Float64Array(new SharedArrayBuffer(SLOTS * 8)),
    lanes: new Float64Array(new SharedArrayBuffer(workers * WORKER_FIELDS * 8)),
    cells: new Int32Array(new SharedArrayBuffer(CELLS * 4)),
    trials: new Float64Array(new SharedArrayBuffer(workers * SERVICE_SLOTS * SIDES * TRIAL_FIELDS * 8)),
    readings: new Float64Array(new SharedArrayBuffer(RINGS * RING_FIELDS * 8)),
    edges: new Float64Array(new SharedArrayBuffer(SERVICE_SLOTS * EDGES * 8)),
    visitors: new Int32Array(new SharedArrayBuffer(VISITOR_CELLS * 4)),
    visitorMarks: new Uint8Array(new SharedArrayBuffer(2 * SLOTS * VISITOR_REGISTERS)),
    addresses: new Int32Array(new SharedArrayBuffer(workers * ADDRESS_CELLS * 4)),
    permits: new Int32Array(new SharedArrayBuffer(workers * SLOTS * 4)),
    waiting: new Int32Array(new SharedArrayBuffer(workers * SLOTS * 4)),
    waitingSince: new Float64Array(new SharedArrayBuffer(workers * SLOTS * 8)),
    departures: new Float64Array(new SharedArrayBuffer(workers * SLOTS * DEPARTURE_FIELDS * 8)),
    returns: new Int32Array(new SharedArrayBuffer(RETURNS * RETURN_CELLS * 4)),
    arrivals: new Int32Array(new SharedArrayBuffer(isHeir ? RETURNS * RETURN_CELLS * 4 : 0)),
    holds: new Float64Array(new SharedArrayBuffer(workers * SERVICE_SLOTS * HOLD_FIELDS * 8)),
    held: new Int32Array(new SharedArrayBuffer(workers * SERVICE_SLOTS * HELD_CELLS * 4)),
    maintenance: new Float64Array(new SharedArrayBuffer(workers * SERVICE_SLOTS * 8)),
  }
}

/** Offset of the first field of a target in the lane of a worker. */
export function laneOffset(worker: number, slot: number): number {
  return (worker * SLOTS + slot) * FIELDS
}

/** Offset of the first field of a side of the trial of a service, in the lane of a worker. */
export function trialOffset(worker: number, slot: number, side: number): number {
  return ((worker * SERVICE_SLOTS + slot) * SIDES + side) * TRIAL_FIELDS
}

/** Offset of the first field of what is held of a service, in the lane of a worker. */
export function holdOffset(worker: number, slot: number): number {
  return (worker * SERVICE_SLOTS + slot) * HOLD_FIELDS
}

/** Offset of the first `HELD` cell of a service, in the lane of a worker. */
export function heldOffset(worker: number, slot: number): number {
  return (worker * SERVICE_SLOTS + slot) * HELD_CELLS
}

/** Sum of one field of a target over the lanes of all workers. */
export function sumField(memory: SharedMemory, slot: number, field: number): number {
  let sum = 0
  for (let worker = 0; worker < memory.workers; worker++) sum += memory.targets[laneOffset(worker, slot) + field]
  return sum
}
