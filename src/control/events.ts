/**
 * What happened, for people and for SSE: the last 1,000 events, and whoever listens. Ids grow by one, also over a restart where those of
 * before are kept (store/event-file.ts). One that takes the place of a process that still lives leaves that one the next ids, for its end.
 * A listener that throws harms neither control nor the others.
 */
import type { ControlEvent } from '../change.ts'
import type { Clock } from '../clock.ts'
import { EVENTS_KEPT } from '../config/event-types.ts'
import type { ControlDeps } from './deps.ts'
import { logEvent } from './event-lines.ts'

/** An event before it has its number and time. */
export type NewEvent = Omit<ControlEvent, 'id' | 'atMs'>

/** The events of this process. */
export interface Events {
  publish(event: NewEvent): void
  /** Oldest first; only those after this id. An id of an earlier process, which is beyond ours, gives everything. */
  list(after?: number): readonly ControlEvent[]
  subscribe(listener: (event: ControlEvent) => void): () => void
  /** Takes what a process before has told, and is not here, in its place by its id. Nobody who listens hears of it. */
  takeIn(earlier: readonly ControlEvent[]): void
}

/** A list that begins with those of before, oldest first; those that are new go to the log, too, as does a listener that threw. */
export function createEvents(
  clock: Clock,
  log: ControlDeps['log'],
  past: readonly ControlEvent[] = [],
  isHeir = false,
): Events {
  let kept: ControlEvent[] = [...past]
  let lastId = (past.at(-1)?.id ?? 0) + (isHeir ? EVENTS_KEPT : 0)
  const listeners = new Set<{ readonly call: (event: ControlEvent) => void }>()

  function publish(event: NewEvent): void {
    const told: ControlEvent = Object.freeze({ id: ++lastId, atMs: clock.nowMs(), ...event })
    logEvent(log, told)
    kept.push(told)
    if (kept.length >= 2 * EVENTS_KEPT) kept = kept.slice(-EVENTS_KEPT)
    for (const listener of [...listeners]) {
      try {
        listener.call(told)
      } catch (error) {
        log.error({ err: error }, 'a listener to events has thrown')
      }
    }
  }

  return {
    publish,
    list(after = 0) {
      const last = kept.slice(-EVENTS_KEPT)
      return after > lastId ? last : last.filter((event) => event.id > after)
    },
    subscribe(call) {
      const listener = { call }
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    takeIn(earlier) {
      const known = new Set(kept.map(({ id }) => id))
      const missed = earlier.filter(({ id }) => id <= lastId && !known.has(id))
      kept = [...kept, ...missed].sort((a, b) => a.id - b.id)
    },
  }
}
