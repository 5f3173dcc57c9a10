/**
 * Batches of the answers that a rollout is judged by: readings of its counters (layout.ts `TRIAL`) at intervals of one or ten milliseconds, kept in shared
 * memory until control looks at them.
 *
 * Nobody wakes up for a reading: it is made by whoever counts the first answer of the next interval, before he counts it, which is as good as
 * a timer that is never late; and by control, which looks every 100 ms. A timer of 10 ms in the main thread cost 4 % of a core that it
 * shared with a busy worker. How answers went has no part in where a batch ends, or the bets on it were not fair (VERDICT.md 4). Only
 * when it has ended, a failure of the new version makes control look at once.
 *
 * A service has a ring of readings from its first rollout on, until another needs it while nothing of this one is judged. Without one
 * nothing is read here, and control reads for itself whenever it looks.
 *
 * Any thread may close a batch: whoever gets the lock of the ring. Where there is no room, or the lock is held, the batch just goes on. A
 * worker that is ended while it holds the lock leaves it; control, which finds it held for long, opens it.
 */
import { raise } from './alarm.ts'
import {
  CELL,
  READING_FIELDS,
  READINGS,
  RING_CELLS,
  RING_FIELDS,
  RINGS,
  SERVICE_SLOTS,
  type SharedMemory,
  SIDE,
  SIDES,
  TRIAL,
  TRIAL_FIELDS,
  trialOffset,
} from './layout.ts'

/** As long is a batch after one of few answers; then a stratum may want for a single one. */
const SPARSE_MS = 1
/** And after one of more than so many a millisecond: each batch costs control a test of what came, which is as good of more. */
const DENSE_MS = 10
const DENSE_ANSWERS_PER_MS = 5

/** Cells of a ring: whether somebody reads, readings made and taken (both only grow), and whether to look at once. */
const PLACE = Object.freeze({ lock: 0, made: 1, taken: 2, urgent: 3 })

const cellOf = (ring: number, place: number): number => CELL.ring + ring * RING_CELLS + place
const endAt = (ring: number): number => ring * RING_FIELDS
const readingAt = (ring: number, turn: number): number => endAt(ring) + 1 + ((turn >>> 0) % READINGS) * READING_FIELDS
/** The ring of a service, below 0 for none. */
const ringOf = ({ cells }: SharedMemory, slot: number): number => Atomics.load(cells, CELL.ringOf + slot) - 1

/** The place of a field of a side in a reading. */
export const placeOf = (side: number, field: number): number => 1 + side * TRIAL_FIELDS + field

/** Closes the batch of a service, if its time is over. To be called before an answer is counted; `steadyMs` is the time of this thread. */
export function closeBatch(memory: SharedMemory, slot: number, steadyMs: number): void {
  // Not by Atomics, which is felt here: `read` asks again.
  const ring = memory.cells[CELL.ringOf + slot] - 1
  if (ring >= 0 && steadyMs >= memory.readings[endAt(ring)]) read(memory, slot, ring, steadyMs)
}

function read(memory: SharedMemory, slot: number, ring: number, steadyMs: number): void {
  const { cells, readings } = memory
  if (Atomics.compareExchange(cells, cellOf(ring, PLACE.lock), 0, 1) !== 0) return
  const made = Atomics.load(cells, cellOf(ring, PLACE.made))
  const isRoom = ((made - Atomics.load(cells, cellOf(ring, PLACE.taken))) | 0) < READINGS
  // Meanwhile it may have become the ring of another service.
  if (isRoom && ringOf(memory, slot) === ring) {
    // Before the counters are read, so that none is missed that is counted meanwhile.
    const isUrgent = Atomics.exchange(cells, cellOf(ring, PLACE.urgent), 0) === 1
    const at = readingAt(ring, made)
    readings[at] = steadyMs
    sumInto(memory, slot, readings, at)
    const before = readingAt(ring, made - 1)
    const came = answersOf(readings, at) - answersOf(readings, before)
    const batchMs = came > DENSE_ANSWERS_PER_MS * (steadyMs - readings[before]) ? DENSE_MS : SPARSE_MS
    readings[endAt(ring)] = (Math.floor(steadyMs / batchMs) + 1) * batchMs
    Atomics.store(cells, cellOf(ring, PLACE.made), (made + 1) | 0)
    if (isUrgent) raise(cells, CELL.verdict)
  }
  Atomics.store(cells, cellOf(ring, PLACE.lock), 0)
}

const answersOf = (readings: Float64Array, at: number): number =>
  readings[at + placeOf(SIDE.canary, TRIAL.answers)] + readings[at + placeOf(SIDE.control, TRIAL.answers)]

/** Sums of all fields of both sides over the workers, as a reading has them from `at` on. */
export function sumInto({ trials, workers }: SharedMemory, slot: number, into: Float64Array, at: number): void {
  for (let field = 0; field < SIDES * TRIAL_FIELDS; field++) {
    let sum = 0
    for (let worker = 0; worker < workers; worker++) sum += trials[trialOffset(worker, slot, SIDE.canary) + field]
    into[at + 1 + field] = sum
  }
}

/** The batch that is open is to be looked at as soon as it is closed. To be called when what is urgent was counted. */
export function hurry(memory: SharedMemory, slot: number): void {
  const ring = ringOf(memory, slot)
  if (ring >= 0) Atomics.store(memory.cells, cellOf(ring, PLACE.urgent), 1)
}

/** Gives a service a ring, if it has none and one is free; tells whether it has one. For control only, as all that follows. */
export function openRing(memory: SharedMemory, slot: number): boolean {
  if (ringOf(memory, slot) >= 0) return true
  const owners = new Int32Array(RINGS).fill(-1)
  for (let other = 0; other < SERVICE_SLOTS; other++) {
    const ring = ringOf(memory, other)
    if (ring >= 0) owners[ring] = other
  }
  for (const [ring, owner] of owners.entries()) if (owner < 0 && pass(memory, ring, owner, slot)) return true
  for (const [ring, owner] of owners.entries())
    if (isIdle(memory, owner) && pass(memory, ring, owner, slot)) return true
  return false
}

const isIdle = ({ cells }: SharedMemory, slot: number): boolean => Atomics.load(cells, CELL.step + slot) === 0

/** False where somebody reads just now. */
function pass({ cells, readings }: SharedMemory, ring: number, from: number, to: number): boolean {
  if (Atomics.compareExchange(cells, cellOf(ring, PLACE.lock), 0, 1) !== 0) return false
  if (from >= 0) Atomics.store(cells, CELL.ringOf + from, 0)
  readings[endAt(ring)] = 0
  Atomics.store(cells, cellOf(ring, PLACE.taken), Atomics.load(cells, cellOf(ring, PLACE.made)))
  Atomics.store(cells, cellOf(ring, PLACE.urgent), 0)
  Atomics.store(cells, CELL.ringOf + to, ring + 1)
  Atomics.store(cells, cellOf(ring, PLACE.lock), 0)
  return true
}

/** Takes the readings of a service that nobody has taken, in turn; each is gone when `each` returns. */
export function takeReadings(memory: SharedMemory, slot: number, each: (reading: Float64Array) => void): void {
  const ring = ringOf(memory, slot)
  if (ring < 0) return
  const { cells, readings } = memory
  const made = Atomics.load(cells, cellOf(ring, PLACE.made))
  let taken = Atomics.load(cells, cellOf(ring, PLACE.taken))
  // Fewer are made than taken where a thread, kept from its core until its lock was opened, has set the number back.
  for (; ((made - taken) | 0) > 0; taken = (taken + 1) | 0) {
    const at = readingAt(ring, taken)
    each(readings.subarray(at, at + READING_FIELDS))
    Atomics.store(cells, cellOf(ring, PLACE.taken), (taken + 1) | 0)
  }
}

/** Whether somebody reads just now. */
export function isRead(memory: SharedMemory, slot: number): boolean {
  const ring = ringOf(memory, slot)
  return ring >= 0 && Atomics.load(memory.cells, cellOf(ring, PLACE.lock)) === 1
}

/** Opens the lock of a thread that is no more. */
export function unlock(memory: SharedMemory, slot: number): void {
  const ring = ringOf(memory, slot)
  if (ring >= 0) Atomics.store(memory.cells, cellOf(ring, PLACE.lock), 0)
}
