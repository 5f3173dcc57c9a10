/**
 * The counters that a worker writes: its own lane of the shared memory, without locks, since nobody else writes there.
 * What each field means is in metrics/layout.ts; control and metrics read the sums over all lanes.
 */
import type { ErrorCode } from '../errors.ts'
import { raise } from '../metrics/alarm.ts'
import { BINS, binOf } from '../metrics/bins.ts'
import { rejectField, type ShedReason, shedField } from '../metrics/counters.ts'
import { CELL, FIELD, FIELDS, laneOffset, type SharedMemory, SLOTS, WORKER_FIELDS } from '../metrics/layout.ts'
import { noteVisitor } from '../metrics/visitors.ts'
import type { AttemptOutcome } from './exchange/attempt-outcome.ts'

/** Failed attempts in a row after which control is to look: as many as get a target ejected that cannot be reached, or that fails. */
const FIRST_ALARM = 3
const ALARM_EVERY = 5

export class Counters {
  readonly #index: number
  readonly #memory: SharedMemory
  readonly #targets: Float64Array
  readonly #lanes: Float64Array
  readonly #cells: Int32Array
  readonly #lane: number

  /** For worker `index`. */
  constructor(memory: SharedMemory, index: number) {
    this.#index = index
    this.#memory = memory
    this.#targets = memory.targets
    this.#lanes = memory.lanes
    this.#cells = memory.cells
    this.#lane = index * WORKER_FIELDS
  }

  /** Adds to a counter of a target in this worker's lane. */
  count(slot: number, field: number, by = 1): void {
    this.#targets[laneOffset(this.#index, slot) + field] += by
  }

  /** Adds to a counter of the worker. */
  countLane(field: number, by = 1): void {
    this.#lanes[this.#lane + field] += by
  }

  /** Sets a gauge of the worker. */
  setLane(field: number, value: number): void {
    this.#lanes[this.#lane + field] = value
  }

  /** Counts an answer of our own that is not the doing of a target. */
  countRejected(code: ErrorCode): void {
    this.countLane(rejectField(code))
  }

  /** Counts what a cap has refused or ended. */
  countShed(reason: ShedReason): void {
    this.countLane(shedField(reason))
  }

  /** Counts the end of an attempt at a target; `connected` is false when it got no connection. */
  countAttempt(slot: number, outcome: AttemptOutcome, connected: boolean): void {
    const at = laneOffset(this.#index, slot)
    const lane = this.#targets
    if (outcome === 'good') {
      lane[at + FIELD.attemptsGood]++
      lane[at + FIELD.failuresInRow] = 0
      lane[at + FIELD.connectErrorsInRow] = 0
    } else if (outcome === 'failed') {
      lane[at + FIELD.attemptsFailed]++
      if (connected) lane[at + FIELD.connectErrorsInRow] = 0
      else {
        lane[at + FIELD.connectErrors]++
        lane[at + FIELD.connectErrorsInRow]++
      }
      const inRow = ++lane[at + FIELD.failuresInRow]
      if (inRow === FIRST_ALARM || inRow % ALARM_EVERY === 0) raise(this.#cells, CELL.alarm)
    } else lane[at + FIELD.attemptsVoid]++
  }

  /** Counts the end of a request at a target. `status` is 0 when nobody was answered, `ttfbMs` below 0 when the target gave no answer. */
  countFinished(
    slot: number,
    status: number,
    durationMs: number,
    ttfbMs: number,
    inBytes: number,
    outBytes: number,
  ): void {
    const at = laneOffset(this.#index, slot)
    const lane = this.#targets
    lane[at + FIELD.inFlight]--
    lane[at + FIELD.bytesIn] += inBytes
    lane[at + FIELD.bytesOut] += outBytes
    if (status === 0) return
    lane[at + FIELD.requests]++
    lane[at + FIELD.status2xx - 2 + Math.floor(status / 100)]++
    lane[at + FIELD.durationSumMs] += durationMs
    lane[at + FIELD.duration + binOf(durationMs)]++
    if (ttfbMs < 0) return
    lane[at + FIELD.ttfbSumMs] += ttfbMs
    lane[at + FIELD.ttfb + binOf(ttfbMs)]++
  }

  /** Counts a request that was decided for a target at first, and who sends it: the hash of a visitor, or -1. */
  countDecided(slot: number, visitorHash: number): void {
    this.#targets[laneOffset(this.#index, slot) + FIELD.decided]++
    if (visitorHash !== -1) noteVisitor(this.#memory, slot, visitorHash)
  }

  /** Counts a request at a target that had waited for room. */
  countQueued(slot: number, waitedMs: number): void {
    const at = laneOffset(this.#index, slot)
    this.#targets[at + FIELD.queued]++
    this.#targets[at + FIELD.queuedSumMs] += waitedMs
  }

  /** Counts a request at a target that is a tunnel from now on. */
  countTunnel(slot: number): void {
    const at = laneOffset(this.#index, slot)
    this.#targets[at + FIELD.inFlight]--
    this.#targets[at + FIELD.tunnels]++
    this.#targets[at + FIELD.tunnelsOpened]++
  }

  /** Counts the end of a tunnel that was open for `openMs`. */
  countTunnelClosed(slot: number, openMs: number, inBytes: number, outBytes: number): void {
    const at = laneOffset(this.#index, slot)
    const lane = this.#targets
    lane[at + FIELD.tunnels]--
    lane[at + FIELD.tunnelsClosed]++
    lane[at + FIELD.tunnelSumMs] += openMs
    lane[at + FIELD.bytesIn] += inBytes
    lane[at + FIELD.bytesOut] += outBytes
  }

  /** What a target has to do: requests in flight and tunnels, over all workers. */
  load(slot: number): number {
    const targets = this.#targets
    let sum = 0
    for (let at = slot * FIELDS; at < targets.length; at += SLOTS * FIELDS) {
      sum += targets[at + FIELD.inFlight] + targets[at + FIELD.tunnels]
    }
    return sum
  }
}

// The layout must have room for what is counted here; a mistake would overwrite a neighbour's counters.
if (FIELD.ttfb + BINS > FIELDS) throw new Error('the histogram does not fit the counters of a target')
