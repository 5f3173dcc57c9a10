/**
 * The metrics of requests that are held, by service: only of services that are held or have been, so others have no series.
 */
import { own } from '../config/record.ts'
import type { Family, Sample, Scrape } from './family.ts'
import { HELD, HOLD, holdOffset, type SharedMemory } from './layout.ts'
import { sumHeld } from './load.ts'

/** Why requests that were to wait got no answer but 503. */
const SHED = { full: HOLD.full, bytes: HOLD.bytes, time: HOLD.time, left: HOLD.left, ended: HOLD.ended }

/** What is known of the requests of a service that are held, or were. */
export interface HoldFigures {
  /** Requests that wait now, and the bytes that they take. */
  readonly waiting: number
  readonly bytes: number
  /** Since when the first of them waits, in steady ms; 0 when none does. */
  readonly firstSinceMs: number
  /** Those that have waited and went on, and how long they did on average, in ms; null when none did. */
  readonly released: number
  readonly meanMs: number | null
  /** Those that did not go on, by why. */
  readonly shed: Readonly<Record<keyof typeof SHED, number>>
}

/** The figures of a service, by its slot. */
export function holdOf(memory: SharedMemory, slot: number): HoldFigures {
  const lanes = Array.from({ length: memory.workers }, (_, worker) => holdOffset(worker, slot))
  const sum = (field: number): number => lanes.reduce((all, at) => all + memory.holds[at + field], 0)
  const since = lanes.map((at) => memory.holds[at + HOLD.sinceMs]).filter((ms) => ms > 0)
  const released = sum(HOLD.released)
  return {
    waiting: sumHeld(memory.held, slot, HELD.requests),
    bytes: sumHeld(memory.held, slot, HELD.bytes),
    firstSinceMs: since.length === 0 ? 0 : Math.min(...since),
    released,
    meanMs: released === 0 ? null : sum(HOLD.heldMs) / released,
    shed: {
      full: sum(SHED.full),
      bytes: sum(SHED.bytes),
      time: sum(SHED.time),
      left: sum(SHED.left),
      ended: sum(SHED.ended),
    },
  }
}

/** Whether anything of a service is held, or was. */
function wasHeld({ workers, holds, held }: SharedMemory, slot: number): boolean {
  for (let worker = 0; worker < workers; worker++) {
    const at = holdOffset(worker, slot)
    for (let field = HOLD.released; field <= HOLD.ended; field++) if (holds[at + field] > 0) return true
  }
  return sumHeld(held, slot, HELD.requests) > 0
}

function ofHolds(
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  read: (figures: HoldFigures) => readonly Sample[],
): Family {
  const samples = ({ snapshot, memory }: Scrape): Sample[] =>
    Object.keys(snapshot.services).flatMap((service) => {
      const status = own(snapshot.status, service)
      if (status === undefined) return []
      if (status.hold === undefined && !wasHeld(memory, status.slot)) return []
      return read(holdOf(memory, status.slot)).map((sample) => ({ ...sample, sharedLabels: { service } }))
    })
  return { name, type, help, read: samples }
}

const holdEnd: Family = {
  name: 'turnout_hold_end_timestamp_seconds',
  type: 'gauge',
  help: 'When the hold of a service ends, or has ended, by itself; not there once it is released.',
  read: ({ snapshot, shiftMs }) =>
    Object.entries(snapshot.status).flatMap(([service, { hold }]) =>
      hold === undefined ? [] : [{ value: (hold.untilMs + shiftMs) / 1_000, sharedLabels: { service } }],
    ),
}

export const HOLD_FAMILIES: readonly Family[] = [
  holdEnd,
  ofHolds('turnout_held', 'gauge', 'Requests that are held.', ({ waiting }) => [{ value: waiting }]),
  ofHolds('turnout_held_bytes', 'gauge', 'Bytes that requests take that are held.', ({ bytes }) => [{ value: bytes }]),
  ofHolds('turnout_held_released_total', 'counter', 'Requests that were held and went on.', ({ released }) => [
    { value: released },
  ]),
  ofHolds(
    'turnout_held_seconds_total',
    'counter',
    'How long requests that went on had been held, summed.',
    ({ released, meanMs }) => [{ value: (released * (meanMs ?? 0)) / 1_000 }],
  ),
  ofHolds(
    'turnout_held_shed_total',
    'counter',
    'Requests that did not wait for the end of a hold: as many waited as may (full), or took as many bytes (bytes), the hold ended by itself (time), their client has left (left), or Turnout has ended (ended).',
    ({ shed }) => Object.entries(shed).map(([reason, value]) => ({ value, labels: { reason } })),
  ),
]
