/** What targets had to do within a window, as one sum. Pure. */
import type { Work } from '../table/demand.ts'
import { FIELD } from './layout.ts'

/** Requests, their time in ms, and those that were turned away. */
export function workOf(targets: readonly { readonly recent: Float64Array }[]): Work {
  let [requests, busyMs, unserved] = [0, 0, 0]
  for (const { recent } of targets) {
    requests += recent[FIELD.requests]
    busyMs += recent[FIELD.durationSumMs]
    unserved += recent[FIELD.shedQueueFull] + recent[FIELD.shedQueueTime]
  }
  return { requests, busyMs, unserved }
}
