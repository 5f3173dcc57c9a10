/** A snapshot without a control, and counters filled by hand. */
import type { Control, ControlEvent, Snapshot } from '../../src/change.ts'
import type { ServiceSpec } from '../../src/config/schema.ts'
import { binOf } from '../../src/metrics/bins.ts'
import { FIELD, laneOffset, type SharedMemory } from '../../src/metrics/layout.ts'
import type { ServiceStatus } from '../../src/table/status.ts'

export interface Stage {
  control: Pick<Control, 'snapshot' | 'subscribe'>
  snapshot: Snapshot
  publish(event: Partial<ControlEvent>): void
  listeners: Set<(event: ControlEvent) => void>
}

/** Services by name, each as pools by name, each as target URLs; slots are given in order, from `firstSlot`. */
export function snapshotOf(
  services: Record<string, Record<string, readonly string[]>>,
  { split = {}, version = '1.0', firstSlot = 0, release = 'r1' } = {},
): Snapshot {
  let slot = firstSlot
  const specs: Record<string, ServiceSpec> = {}
  const status: Record<string, ServiceStatus> = {}
  for (const [name, pools] of Object.entries(services)) {
    const poolSpecs = Object.entries(pools).map(([pool, targets]) => [pool, { version, targets }])
    specs[name] = { pools: Object.fromEntries(poolSpecs), split } as unknown as ServiceSpec
    const poolStatus = Object.entries(pools).map(([pool, targets]) => {
      const states = { admin: 'ready', drainUntilMs: 0, health: 'unknown', ejectedUntilMs: 0 }
      return [
        pool,
        {
          admin: 'ready',
          drainUntilMs: 0,
          targets: Object.fromEntries(targets.map((url) => [url, { ...states, addresses: [], slots: [slot++] }])),
        },
      ]
    })
    status[name] = { release, pools: Object.fromEntries(poolStatus) } as unknown as ServiceStatus
  }
  return { revision: 1, epoch: 1, services: specs, status, revisions: {} }
}

/** A control that shows a snapshot and tells what the test publishes. */
export function stageOf(snapshot: Snapshot): Stage {
  const listeners = new Set<(event: ControlEvent) => void>()
  const stage: Stage = {
    snapshot,
    listeners,
    control: {
      snapshot: () => stage.snapshot,
      subscribe(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    },
    publish(event) {
      const whole = { id: 1, atMs: 0, type: 'change', service: null, message: '', data: {}, ...event } as ControlEvent
      for (const listener of listeners) listener(whole)
    },
  }
  return stage
}

/** Adds to a field of a target in the lane of a worker. */
export function add(memory: SharedMemory, worker: number, slot: number, field: keyof typeof FIELD, by: number): void {
  memory.targets[laneOffset(worker, slot) + FIELD[field]] += by
}

/** Counts an observation of so many ms in a histogram, and in its sum. */
export function observe(memory: SharedMemory, worker: number, slot: number, of: 'duration' | 'ttfb', ms: number): void {
  memory.targets[laneOffset(worker, slot) + FIELD[of] + binOf(ms)] += 1
  add(memory, worker, slot, of === 'duration' ? 'durationSumMs' : 'ttfbSumMs', ms)
}
