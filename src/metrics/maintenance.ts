/** Where the pages for maintenance are counted: by worker, which writes only its own, and slot of a service. */
import { SERVICE_SLOTS, type SharedMemory } from './layout.ts'

/** Index of the count of a service, in the lane of a worker. */
export function maintenanceOffset(worker: number, slot: number): number {
  return worker * SERVICE_SLOTS + slot
}

/** Requests that the page of a service has answered, by its slot. */
export function pagesGiven({ workers, maintenance }: SharedMemory, slot: number): number {
  let sum = 0
  for (let worker = 0; worker < workers; worker++) sum += maintenance[maintenanceOffset(worker, slot)]
  return sum
}
