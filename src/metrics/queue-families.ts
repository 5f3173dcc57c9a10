/**
 * The metrics of requests that wait for room at a pool, by pool: only of services with a limit (`capacity`), so others have no series.
 *
 * Who got room is counted at the target that it got, who got none at the first target of the pool; so a pool has the sums over its targets.
 */
import type { PoolStatus } from '../table/status.ts'
import type { Family, Sample, Scrape, ScrapedPool } from './family.ts'
import { FIELD, type SharedMemory } from './layout.ts'
import { slotsOf, sumBySlot, sumSlots } from './load.ts'
import { perPool } from './per-pool.ts'

const SHED = { full: FIELD.shedQueueFull, time: FIELD.shedQueueTime, left: FIELD.shedQueueLeft }

/** What is known of the queue of a pool. */
export interface QueueFigures {
  /** Requests that wait now. */
  readonly depth: number
  /** Those that have waited and got room, and how long they did on average, in ms; null when none did. */
  readonly served: number
  readonly meanMs: number | null
  /** Those that got none: the queue was full, their time was over, or their client has left. */
  readonly shed: Readonly<Record<keyof typeof SHED, number>>
}

/** The figures of the queue of a pool. */
export function queueOf(memory: SharedMemory, pool: PoolStatus): QueueFigures {
  const slots = slotsOf(pool)
  const sum = (field: number): number => sumSlots(memory, slots, field)
  const served = sum(FIELD.queued)
  return {
    depth: slots.reduce((depth, slot) => depth + sumBySlot(memory.waiting, slot), 0),
    served,
    meanMs: served === 0 ? null : sum(FIELD.queuedSumMs) / served,
    shed: { full: sum(SHED.full), time: sum(SHED.time), left: sum(SHED.left) },
  }
}

function ofQueues(
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  read: (figures: QueueFigures) => readonly Sample[],
): Family {
  const samples = ({ memory }: Scrape, { spec, status }: ScrapedPool): readonly Sample[] =>
    spec.capacity === undefined ? [] : read(queueOf(memory, status))
  return { name, type, help, read: perPool(samples) }
}

export const QUEUE_FAMILIES: readonly Family[] = [
  ofQueues('turnout_queue_depth', 'gauge', 'Requests that wait for room at the pool.', ({ depth }) => [
    { value: depth },
  ]),
  ofQueues('turnout_queued_total', 'counter', 'Requests that have waited for room and got it.', ({ served }) => [
    { value: served },
  ]),
  ofQueues(
    'turnout_queued_seconds_total',
    'counter',
    'How long requests that got room had waited for it, summed.',
    ({ served, meanMs }) => [{ value: (served * (meanMs ?? 0)) / 1_000 }],
  ),
  ofQueues(
    'turnout_queue_shed_total',
    'counter',
    'Requests that got no room: the queue was full, their time was over, or their client has left.',
    ({ shed }) => Object.entries(shed).map(([reason, value]) => ({ value, labels: { reason } })),
  ),
]
