/**
 * Batches of the answers that a rollout is judged by: readings of its counters (layout.ts `TRIAL`) at intervals of 10 ms, kept in shared
 * memory until control looks at them.
 *
 * Nobody wakes up for a reading: it is made by whoever counts the first answer of the next 10 ms, before he counts it, which is as good as
 * a timer that is never late; and by control, which looks every 100 ms. A timer of 10 ms in the main thread cost 4 % of a core that it
 * shared with a busy worker. How answers went has no part in where a batch ends, or the bets on it were not fair (VERDICT.md 4). Only
 * when it has ended, a failure of the new version makes control look at once.
 *
 * Any thread may close one: whoever gets the lock. Where there is no room, or the lock is held, the batch just goes on. A worker that is
 * ended while it holds the lock leaves it; control, which finds it held for long, opens it.
 */
import {
  BATCH_CELLS,
  BATCH_FIELDS,
  CELL,
  READING_FIELDS,
  READINGS,
  type SharedMemory,
  SIDE,
  SIDES,
  TRIAL_FIELDS,
  trialOffset,
} from './layout.ts'

const BATCH_MS = 10

/** Cells of a service: whether somebody reads, readings made and taken (both only grow), and whether to look at once. */
const PLACE = Object.freeze({ lock: 0, made: 1, taken: 2, urgent: 3 })

const cellOf = (slot: number, place: number): number => CELL.batch + slot * BATCH_CELLS + place
const readingAt = (slot: number, turn: number): number =>
  slot * BATCH_FIELDS + 1 + ((turn >>> 0) % READINGS) * READING_FIELDS

/** The place of a field of a side in a reading. */
export const placeOf = (side: number, field: number): number => 1 + side * TRIAL_FIELDS + field

/** Closes the batch of a service, if its time is over. To be called before an answer is counted; `steadyMs` is the time of this thread. */
export function closeBatch(memory: SharedMemory, slot: number, steadyMs: number): void {
  if (steadyMs >= memory.readings[slot * BATCH_FIELDS]) read(memory, slot, steadyMs)
}

function read(memory: SharedMemory, slot: number, steadyMs: number): void {
  const { cells, readings } = memory
  if (Atomics.compareExchange(cells, cellOf(slot, PLACE.lock), 0, 1) !== 0) return
  const made = Atomics.load(cells, cellOf(slot, PLACE.made))
  if (((made - Atomics.load(cells, cellOf(slot, PLACE.taken))) | 0) < READINGS) {
    // Before the counters are read, so that none is missed that is counted meanwhile.
    const isUrgent = Atomics.exchange(cells, cellOf(slot, PLACE.urgent), 0) === 1
    const at = readingAt(slot, made)
    readings[at] = steadyMs
    sumInto(memory, slot, readings, at)
    readings[slot * BATCH_FIELDS] = (Math.floor(steadyMs / BATCH_MS) + 1) * BATCH_MS
    Atomics.store(cells, cellOf(slot, PLACE.made), (made + 1) | 0)
    if (isUrgent) {
      Atomics.add(cells, CELL.verdict, 1)
      Atomics.notify(cells, CELL.verdict)
    }
  }
  Atomics.store(cells, cellOf(slot, PLACE.lock), 0)
}

/** Sums of all fields of both sides over the workers, as a reading has them from `at` on. */
export function sumInto({ trials, workers }: SharedMemory, slot: number, into: Float64Array, at: number): void {
  for (let field = 0; field < SIDES * TRIAL_FIELDS; field++) {
    let sum = 0
    for (let worker = 0; worker < workers; worker++) sum += trials[trialOffset(worker, slot, SIDE.canary) + field]
    into[at + 1 + field] = sum
  }
}

/** The batch that is open is to be looked at as soon as it is closed. To be called when what is urgent was counted. */
export function hurry({ cells }: SharedMemory, slot: number): void {
  Atomics.store(cells, cellOf(slot, PLACE.urgent), 1)
}

/** Takes the readings of a service that nobody has taken, in turn; each is gone when `each` returns. For control only. */
export function takeReadings(memory: SharedMemory, slot: number, each: (reading: Float64Array) => void): void {
  const { cells, readings } = memory
  const made = Atomics.load(cells, cellOf(slot, PLACE.made))
  let taken = Atomics.load(cells, cellOf(slot, PLACE.taken))
  for (; taken !== made; taken = (taken + 1) | 0) {
    const at = readingAt(slot, taken)
    each(readings.subarray(at, at + READING_FIELDS))
    Atomics.store(cells, cellOf(slot, PLACE.taken), (taken + 1) | 0)
  }
}

/** Whether somebody reads just now. */
export function isRead({ cells }: SharedMemory, slot: number): boolean {
  return Atomics.load(cells, cellOf(slot, PLACE.lock)) === 1
}

/** Opens the lock of a thread that is no more. */
export function unlock({ cells }: SharedMemory, slot: number): void {
  Atomics.store(cells, cellOf(slot, PLACE.lock), 0)
}
