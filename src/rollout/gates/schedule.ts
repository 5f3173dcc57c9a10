/**
 * Waits until a rollout may begin, or go on, by its schedule; or until a person lets it go on all the same.
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

/** Passes outside of a freeze; before the first share of the traffic, once it may begin: what comes before that may have lasted. */
export async function mayGoOn(about: About, means: Means, signal: AbortSignal): Promise<void> {
  const { weight, begun } = about.rollout
  if (weight === 0 && begun === 0) return mayBegin(about, means, signal)
  // Where the new version has all the traffic already, it is given no more.
  if (weight < 100) await wait(closedToGoOn, about, means, signal)
}

async function wait(
  closedAt: (schedule: ScheduleSpec, nowMs: number) => Closed | null,
  { spec: { schedule }, log, hurriedBy }: About,
  { nowMs, pause }: Means,
  signal: AbortSignal,
): Promise<void> {
  if (schedule === undefined) return
  let open: OpenGate | null = null
  for (;;) {
    const by = hurriedBy()
    const closed = closedAt(schedule, nowMs())
    if (closed === null) return open?.end('passed', null)
    open ??= log.begin('schedule')
    if (by !== null) return open.end('skipped', `${closedInWords(closed, schedule)}; promoted by ${by} all the same`)
    open.say(closedInWords(closed, schedule))
    await pause(LOOK_MS, signal)
  }
}
