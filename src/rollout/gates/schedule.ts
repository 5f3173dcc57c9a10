/**
 * Waits until a rollout may begin, or go on, by its schedule.
 *
 * By the wall clock, looked at every second: whoever sets the clock sets what time it is, and no more.
 */
import { type Closed, closedInWords, closedToBegin, closedToGoOn } from '../../config/calendar.ts'
import type { ScheduleSpec } from '../../config/schema-schedule.ts'
import type { About, Means } from './gate.ts'
import type { OpenGate } from './gate-log.ts'

const LOOK_MS = 1_000

/** Passes once the rollout may begin. */
export const mayBegin = (about: About, means: Means, signal: AbortSignal): Promise<void> =>
  wait(closedToBegin, about, means, signal)

/** Passes outside of a freeze. */
export async function mayGoOn(about: About, means: Means, signal: AbortSignal): Promise<void> {
  // Where the new version has all the traffic already, it is given no more.
  if (about.rollout.weight < 100) await wait(closedToGoOn, about, means, signal)
}

async function wait(
  closedAt: (schedule: ScheduleSpec, nowMs: number) => Closed | null,
  { spec: { schedule }, log }: About,
  { nowMs, pause }: Means,
  signal: AbortSignal,
): Promise<void> {
  if (schedule === undefined) return
  let open: OpenGate | null = null
  for (;;) {
    const closed = closedAt(schedule, nowMs())
    if (closed === null) break
    open ??= log.begin('schedule')
    open.say(closedInWords(closed, schedule))
    await pause(LOOK_MS, signal)
  }
  open?.end('passed', null)
}
