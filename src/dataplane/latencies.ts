/**
 * How long each target takes to answer, as this worker sees it: what `balance: least-latency` chooses by.
 *
 * A peak EWMA of the time from the beginning of an attempt to the head of its answer (as in Finagle and linkerd): a slower sample is
 * taken at once, a faster one by and by, so a target that becomes slow is left within one answer. Older samples count less the
 * longer they are ago: to 1/e after `DECAY_MS`.
 *
 * - A target that gets nothing, since it was slow, has nothing else to become faster by than time. So while nothing is at a target
 *   its value is read as decayed, and it is asked again some time. As soon as something is, it is read as it was: one
 *   request finds out what many would pay for.
 * - A failure is no fast answer, and neither is 429, by which a target says that it has too much already: it counts for a second or twice what the target took lately, whichever is more, or for what it took.
 *
 * Each worker has its own values, in its lane of the shared memory: no locks, and a new worker goes on with those of the one that it
 * replaces. Nothing is written for services with another policy.
 */
import { FIELD, laneOffset, type SharedMemory } from '../metrics/layout.ts'
import type { ServiceTable, TargetTable } from '../table/types.ts'
import { attemptOutcome } from './exchange/attempt-outcome.ts'
import type { Time } from './time.ts'

type Service = Pick<ServiceTable, 'balance'>

export const DECAY_MS = 10_000
/** What a failure counts for at least; and what it counts for at most, unless it really took longer. */
const FAILED_MS = 1_000
const FAILED_MS_MAX = 60_000
const TOO_MANY_REQUESTS = 429
/** Of faster answers one in so long is enough: each of them counts for the time since the last, which is next to nothing. */
const NOTED_MS = 1

export class Latencies {
  readonly #index: number
  readonly #targets: Float64Array
  readonly #time: Pick<Time, 'steadyMs'>

  /** For worker `index`. */
  constructor({ targets }: Pick<SharedMemory, 'targets'>, index: number, time: Pick<Time, 'steadyMs'>) {
    this.#index = index
    this.#targets = targets
    this.#time = time
  }

  /** What a target takes in ms, decayed while it is idle; 0 when it has answered nothing yet. */
  of(slot: number, isIdle: boolean): number {
    const at = laneOffset(this.#index, slot)
    const ms = this.#targets[at + FIELD.latencyMs]
    return isIdle && ms > 0 ? ms * this.#leftOf(at) : ms
  }

  /** Notes an answer whose head came after so long, in ms, if it is a good one. */
  answered(service: Service, target: TargetTable, status: number, ms: number): void {
    if (service.balance !== 'least-latency') return
    if (status === TOO_MANY_REQUESTS) this.failed(service, target, ms)
    else if (attemptOutcome(status, null) === 'good') this.#note(target.slot, ms)
  }

  /** Notes a failed attempt that ended after so long, in ms. */
  failed({ balance }: Service, { slot }: TargetTable, ms: number): void {
    if (balance !== 'least-latency') return
    const before = this.#targets[laneOffset(this.#index, slot) + FIELD.latencyMs]
    this.#note(slot, Math.max(ms, Math.min(Math.max(FAILED_MS, 2 * before), FAILED_MS_MAX)))
  }

  #note(slot: number, ms: number): void {
    const at = laneOffset(this.#index, slot)
    const before = this.#targets[at + FIELD.latencyMs]
    if (ms <= before && this.#time.steadyMs() - this.#targets[at + FIELD.latencyAtMs] < NOTED_MS) return
    const left = ms > before ? 0 : this.#leftOf(at)
    this.#targets[at + FIELD.latencyMs] = before * left + ms * (1 - left)
    this.#targets[at + FIELD.latencyAtMs] = this.#time.steadyMs()
  }

  /** What is left of a value by now, from 1 down to 0. */
  #leftOf(at: number): number {
    return Math.exp((this.#targets[at + FIELD.latencyAtMs] - this.#time.steadyMs()) / DECAY_MS)
  }
}
