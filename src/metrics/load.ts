/**
 * What targets have to do, and how much is held of a service, summed over all workers.
 *
 * Each worker writes a lane of its own in shared memory, and nobody keeps the sums; so they are taken when somebody asks. What
 * decides over a limit (permits, queues, holds) is read by atomics, the rest as it happens to stand.
 */
import type { Hold } from '../table/hold.ts'
import type { ServiceStatus } from '../table/status.ts'
import type { Load } from '../table/types.ts'
import { DEPARTURE, sumDepartures } from './departures.ts'
import { FIELD, HELD, heldOffset, laneOffset, type SharedMemory, SLOTS, sumField } from './layout.ts'

/** Sum over all workers of what stands by worker and slot of a target. */
export function sumBySlot(bySlot: Int32Array, slot: number): number {
  let sum = 0
  for (let at = slot; at < bySlot.length; at += SLOTS) sum += Atomics.load(bySlot, at)
  return sum
}

/** The same as it happens to stand, which takes half the time: for whoever only looks where to ask. */
export function seenBySlot(bySlot: Int32Array, slot: number): number {
  let sum = 0
  for (let at = slot; at < bySlot.length; at += SLOTS) sum += bySlot[at]
  return sum
}

/** Sum of one of the `HELD` cells of a service over all workers. */
export function sumHeld(held: Int32Array, slot: number, cell: number): number {
  let sum = 0
  const lane = heldOffset(1, 0)
  for (let at = heldOffset(0, slot) + cell; at < held.length; at += lane) sum += Atomics.load(held, at)
  return sum
}

type Targets = Readonly<Record<string, { readonly slots: readonly number[] }>>

/** The slots of all targets of a pool, by its status. */
export const slotsOf = ({ targets }: { readonly targets: Targets }): number[] =>
  Object.values(targets).flatMap(({ slots }) => slots)

/** Says that what answers at these slots of targets is new from now on, whatever has answered there before. */
export function noteNew(memory: SharedMemory, slots: readonly number[]): void {
  for (const slot of slots) memory.newFrom[slot] = sumField(memory, slot, FIELD.attemptsStarted)
}

/** Sum of one field over all slots of a target and the lanes of all workers. */
export function sumSlots(memory: SharedMemory, slots: readonly number[], field: number): number {
  return slots.reduce((sum, slot) => sum + sumField(memory, slot, field), 0)
}

/** Requests and tunnels that are at a slot now, over all workers. */
export const atSlot = (memory: SharedMemory, slot: number): number =>
  sumField(memory, slot, FIELD.inFlight) + sumField(memory, slot, FIELD.tunnels)

/** The same of several slots. */
export const atSlots = (memory: SharedMemory, slots: readonly number[]): number =>
  slots.reduce((sum, slot) => sum + atSlot(memory, slot), 0)

/** Requests, tunnels and permits by slot, over all workers, as the main thread reads them: for whoever decides there (explain). */
export function loadOf(memory: SharedMemory): Load {
  const load = (slot: number) => atSlot(memory, slot)
  return Object.assign(load, {
    permits: (slot: number) => sumBySlot(memory.permits, slot),
    latencyMs: (slot: number) => meanLatencyMs(memory, slot),
  })
}

/** What a target takes to answer, on average over the workers that have seen it, in ms; 0 when none has. */
function meanLatencyMs({ targets, workers }: SharedMemory, slot: number): number {
  let [sum, count] = [0, 0]
  for (let worker = 0; worker < workers; worker++) {
    const ms = targets[laneOffset(worker, slot) + FIELD.latencyMs]
    if (ms === 0) continue
    sum += ms
    count++
  }
  return count === 0 ? 0 : sum / count
}

/** Requests of a service, of the kind that is held, that are at targets here. */
export function underWay(memory: SharedMemory, status: ServiceStatus, { only }: Pick<Hold, 'only'>): number {
  if (only === 'writes') return sumHeld(memory.held, status.slot, HELD.writes)
  const slots = Object.values(status.pools).flatMap(slotsOf)
  return Math.max(0, sumSlots(memory, slots, FIELD.inFlight) - sumDepartures(memory, slots, DEPARTURE.streams))
}
