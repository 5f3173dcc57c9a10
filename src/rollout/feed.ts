/**
 * What has come since the last look, from the counters that the workers share: batches, of two sides by metric.
 *
 * What is slow is said here too, by the live pool's own times (past.ts), for the workers to count by.
 */
import { closeBatch, hurry, isRead, openRing, placeOf, sumInto, takeReadings, unlock } from '../metrics/batches.ts'
import { EDGES, READING_FIELDS, type SharedMemory, SIDE, TRIAL } from '../metrics/layout.ts'
import type { Stratum } from './origin-test.ts'
import { QUANTILES } from './slow-edge.ts'

/** What came between two readings of the counters. */
export interface Batch {
  readonly atMs: number
  /** By metric; what is slow is left out of most. */
  readonly came: readonly Stratum[]
  /** Failures that the new version has brought to clients. */
  readonly harm: number
}

/** A reading takes microseconds, and its thread may be kept from the core for a while. */
const READING_MS_MAX = 1_000

/** Some are slow in every batch, and each costs the tests of three metrics; nobody is hurt by what waits a moment. */
const TIMED_MS = 20
const TIMED = QUANTILES.map((_, edge) => [TRIAL.timed + edge, TRIAL.slow + edge] as const)

const HARM = placeOf(SIDE.canary, TRIAL.harm)

function between(before: Float64Array, now: Float64Array, answers: number, bad: number): Stratum {
  const came = (side: number, field: number) => now[placeOf(side, field)] - before[placeOf(side, field)]
  return {
    canary: came(SIDE.canary, answers),
    canaryBad: came(SIDE.canary, bad),
    control: came(SIDE.control, answers),
    controlBad: came(SIDE.control, bad),
  }
}

export class Feed {
  readonly #memory: SharedMemory
  readonly #slot: number
  /** The last reading, and the last that times were taken of. */
  readonly #before = new Float64Array(READING_FIELDS)
  readonly #timed = new Float64Array(READING_FIELDS)
  /** Since when somebody was seen to read; Infinity for nobody. */
  #readSinceMs = Infinity

  /** Of the service with this slot. */
  constructor(memory: SharedMemory, slot: number) {
    this.#memory = memory
    this.#slot = slot
    this.drop()
  }

  /** The batches that have come since the last call. */
  take(steadyMs: number): Batch[] {
    const batches: Batch[] = []
    const take = (now: Float64Array) => {
      // One that was made just before the last `drop` was.
      for (let place = 0; place < READING_FIELDS; place++) if (now[place] < this.#before[place]) return
      batches.push(this.#batch(now))
    }
    if (!openRing(this.#memory, this.#slot)) take(this.#read(steadyMs))
    this.#close(steadyMs)
    takeReadings(this.#memory, this.#slot, take)
    return batches
  }

  #read(steadyMs: number): Float64Array {
    const now = new Float64Array(READING_FIELDS)
    now[0] = steadyMs
    sumInto(this.#memory, this.#slot, now, 0)
    return now
  }

  #batch(now: Float64Array): Batch {
    const came = [between(this.#before, now, TRIAL.answers, TRIAL.bad)]
    if (now[0] - this.#timed[0] >= TIMED_MS) {
      for (const [timed, slow] of TIMED) came.push(between(this.#timed, now, timed, slow))
      this.#timed.set(now)
    }
    const harm = now[HARM] - this.#before[HARM]
    this.#before.set(now)
    return { atMs: now[0], came, harm }
  }

  #close(steadyMs: number): void {
    if (!isRead(this.#memory, this.#slot)) this.#readSinceMs = Infinity
    else if (this.#readSinceMs === Infinity) this.#readSinceMs = steadyMs
    else if (steadyMs - this.#readSinceMs > READING_MS_MAX) unlock(this.#memory, this.#slot)
    closeBatch(this.#memory, this.#slot, steadyMs)
  }

  /** The next batch is to be looked at as soon as it is closed. */
  hurry(): void {
    hurry(this.#memory, this.#slot)
  }

  /** Forgets what has come, but for the harm that it has done, which is given. */
  drop(): number {
    openRing(this.#memory, this.#slot)
    takeReadings(this.#memory, this.#slot, () => {})
    const harmBefore = this.#before[HARM]
    sumInto(this.#memory, this.#slot, this.#before, 0)
    this.#timed.set(this.#before)
    return this.#before[HARM] - harmBefore
  }

  /** From now on this is slow, by quantile. */
  setEdges(edgesMs: readonly number[]): void {
    for (let edge = 0; edge < EDGES; edge++) this.#memory.edges[this.#slot * EDGES + edge] = edgesMs[edge]
  }
}
