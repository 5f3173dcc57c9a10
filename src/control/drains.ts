/**
 * Tells when a drain is over, or a hold that nobody has released. Nothing depends on it: `decide` looks at the time itself, so a late timer lets nobody in.
 * Timers are limited to 24 days and may be early, so the timer only means "look again". All times are steady (clock.ts).
 */
import type { Clock } from '../clock.ts'
import type { ServiceStatus } from '../table/status.ts'
import type { NewEvent } from './events.ts'

const LOOK_AGAIN_MS = 3_600_000

type Statuses = Readonly<Record<string, ServiceStatus>>

/** Watches the deadlines of drains and holds. */
export interface Drains {
  /** Looks at the services that have changed in the present status, and sets the timer to the next deadline. */
  watch(status: Statuses, names: readonly string[]): void
  close(): void
}

/** Watches deadlines from now on; `publish` is called once for each drain that ends. */
export function createDrains(clock: Clock, publish: (event: NewEvent) => void): Drains {
  /** Of each service that has any. */
  const present = new Map<string, readonly Deadline[]>()
  let toldMs = clock.steadyMs()
  let cancel = () => {}

  function arm(): void {
    cancel()
    cancel = () => {}
    let nextMs = Infinity
    for (const { untilMs } of [...present.values()].flat()) if (untilMs > toldMs) nextMs = Math.min(nextMs, untilMs)
    if (nextMs === Infinity) return
    cancel = clock.after(Math.min(Math.max(nextMs - clock.steadyMs(), 1), LOOK_AGAIN_MS), look)
  }

  function look(): void {
    const nowMs = clock.steadyMs()
    const over = [...present.values()].flat().filter(({ untilMs }) => untilMs > toldMs && untilMs <= nowMs)
    toldMs = Math.max(toldMs, nowMs)
    for (const { untilMs: _untilMs, ...event } of over) publish(event)
    arm()
  }

  return {
    watch(status, names) {
      for (const name of names) {
        const found = Object.hasOwn(status, name) ? deadlines(name, status[name]) : []
        if (found.length > 0) present.set(name, found)
        else present.delete(name)
      }
      arm()
    },
    close: () => cancel(),
  }
}

type Deadline = NewEvent & { readonly untilMs: number }

function deadlines(service: string, { pools, hold }: ServiceStatus): Deadline[] {
  const found: Deadline[] = []
  if (hold !== undefined) {
    const why = hold.isOfSwitch === true ? 'the switch that it was for was not made' : 'nobody has released it in time'
    const message = `${service} is not held any more: ${why}, and who still waited was refused`
    found.push({ untilMs: hold.untilMs, type: 'hold', service, message, data: { hold: hold.id, finished: true } })
  }
  for (const [pool, { drainUntilMs, targets }] of Object.entries(pools)) {
    if (drainUntilMs > 0) found.push(deadline(service, { pool }, `Pool ${pool} of ${service}`, drainUntilMs))
    for (const [target, { drainUntilMs: untilMs }] of Object.entries(targets)) {
      if (untilMs > 0)
        found.push(deadline(service, { pool, target }, `${target} in pool ${pool} of ${service}`, untilMs))
    }
  }
  return found
}

function deadline(service: string, what: object, name: string, untilMs: number): Deadline {
  return {
    untilMs,
    type: 'drain',
    service,
    message: `${name} has finished draining`,
    data: { ...what, finished: true },
  }
}
