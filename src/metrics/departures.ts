/**
 * Counters of tunnels and streams that are let go (dataplane/departures/departures.ts), in shared memory. Pure.
 *
 * Those of a target in the lane of each worker, which writes only its own; `state` is that of the pace of its service, by number. Then a
 * table of who was let go, by which reconnects are known again in any worker (dataplane/departures/returns.ts).
 */
import { DEPARTURE_FIELDS, type SharedMemory, SLOTS } from './layout.ts'

/** Fields of a target in the lane of a worker. The first `DEPARTURE_GAUGES` are gauges. */
export const DEPARTURE = Object.freeze({
  /** Those that are to leave and were not told so yet. */
  left: 0,
  /** Streams (server-sent events) that are open; they count as requests, too. */
  streams: 1,
  /** Number of the state of the pace (dataplane/departures/pace.ts). */
  state: 2,
  /** Those that were told, those of them that were cut, and those that have come to another place. */
  closed: 3,
  cut: 4,
  moved: 5,
  /** Requests to open a tunnel that the target has failed. */
  refused: 6,
})

/** The states of the pace of a service (dataplane/departures/pace.ts), by number. */
export const PACE_STATES = Object.freeze(['steady', 'slowed', 'stopped'] as const)
export type PaceState = (typeof PACE_STATES)[number]

/** How many entries of the table of who was let go stand in a row. */
export const RETURN_WAYS = 16
/** Cells of an entry: whose it is (0 for nobody), the slot of the target, how many times, and when, in steady s. */
export const RETURN = Object.freeze({ hash: 0, slot: 1, count: 2, atS: 3 })

/** Offset of the first field of what is let go at a target, in the lane of a worker. */
export function departureOffset(worker: number, slot: number): number {
  return (worker * SLOTS + slot) * DEPARTURE_FIELDS
}

/** Sum of one field over the lanes of all workers and these slots. */
export function sumDepartures({ workers, departures }: SharedMemory, slots: Iterable<number>, field: number): number {
  let sum = 0
  for (const slot of slots) {
    for (let worker = 0; worker < workers; worker++) sum += departures[departureOffset(worker, slot) + field]
  }
  return sum
}

/** The slowest state of the pace among all workers, by number, at these slots. */
export function slowestPace({ workers, departures }: SharedMemory, slots: Iterable<number>): number {
  let state = 0
  for (const slot of slots) {
    for (let worker = 0; worker < workers; worker++) {
      state = Math.max(state, departures[departureOffset(worker, slot) + DEPARTURE.state])
    }
  }
  return state
}
