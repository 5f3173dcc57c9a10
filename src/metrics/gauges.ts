/** The gauges of a worker in shared memory: what only exists while the worker does. */

import { departureOffset } from './departures.ts'
import {
  ADDRESS_CELLS,
  CELL,
  DEPARTURE_GAUGES,
  GAUGES,
  HOLD,
  heldOffset,
  holdOffset,
  laneOffset,
  SERVICE_SLOTS,
  type SharedMemory,
  SLOTS,
  WORKER_FIELD,
  WORKER_FIELDS,
} from './layout.ts'

/** Sets the gauges of a worker that is no more to zero: they would count what no longer exists. Its counters stay. */
export function clearGauges(memory: SharedMemory, worker: number): void {
  const { targets, lanes, addresses, departures } = memory
  // Not of all: memory that was never touched would be had from the system just to be read.
  const given = Atomics.load(memory.cells, CELL.slotsGiven)
  for (let slot = 0; slot < given; slot++) {
    const at = laneOffset(worker, slot)
    for (let gauge = 0; gauge < GAUGES; gauge++) if (targets[at + gauge] !== 0) targets[at + gauge] = 0
    const from = departureOffset(worker, slot)
    for (let gauge = from; gauge < from + DEPARTURE_GAUGES; gauge++) if (departures[gauge] !== 0) departures[gauge] = 0
  }
  lanes[worker * WORKER_FIELDS + WORKER_FIELD.clientConnections] = 0
  lanes[worker * WORKER_FIELDS + WORKER_FIELD.boundConnections] = 0
  lanes[worker * WORKER_FIELDS + WORKER_FIELD.patienceMs] = 0
  addresses.fill(0, worker * ADDRESS_CELLS, (worker + 1) * ADDRESS_CELLS)
  memory.held.fill(0, heldOffset(worker, 0), heldOffset(worker + 1, 0))
  for (let slot = 0; slot < SERVICE_SLOTS; slot++) {
    const at = holdOffset(worker, slot) + HOLD.sinceMs
    if (memory.holds[at] !== 0) memory.holds[at] = 0
  }
  for (const gauges of [memory.permits, memory.waiting, memory.waitingSince]) {
    gauges.fill(0, worker * SLOTS, (worker + 1) * SLOTS)
  }
}
