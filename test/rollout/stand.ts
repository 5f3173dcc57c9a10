/** Rollouts over a control without workers, a memory store and a clock that only moves when told. */
import { validateService } from '../../src/config/check.ts'
import type { ServiceSpec } from '../../src/config/schema.ts'
import { allocateSharedMemory, type SharedMemory } from '../../src/metrics/layout.ts'
import { type ControllerDeps, Rollouts } from '../../src/rollout/controller.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'
import { type MovableClock, movableClock, SHOP, type StandInControl, standInControl } from '../admin/stand-in.ts'

function sound(service: unknown): ServiceSpec {
  const checked = validateService(service)
  if ('faults' in checked) throw new Error(JSON.stringify(checked.faults))
  return checked.spec
}

export interface Stand {
  readonly control: StandInControl
  readonly store: Store
  readonly clock: MovableClock
  readonly memory: SharedMemory
  readonly rollouts: Rollouts
  /** What was logged. */
  readonly told: string[]
  /** Messages of the events. */
  readonly events: string[]
}

/** A service `shop`, two pools of one target each unless told otherwise; a store that has one has it as it is. */
export async function stand(
  store: Store = memoryStore(),
  changes: Partial<ControllerDeps> = {},
  shop: object = SHOP,
): Promise<Stand> {
  const clock = movableClock()
  const control = await standInControl(store, clock)
  // After a restart it is in the store.
  if (!Object.hasOwn(control.snapshot().services, 'shop')) {
    await control.change({ kind: 'service.put', service: 'shop', spec: sound(shop) }, { actor: 'test' })
  }
  const told: string[] = []
  const events: string[] = []
  const note = (...said: unknown[]) => void told.push(String(said.at(-1)))
  const log = { error: note, warn: note }
  const memory = allocateSharedMemory(1)
  let ids = 0
  const traffic = { service: () => null }
  const deps = {
    control,
    clock,
    memory,
    traffic,
    commandFolders: [],
    store,
    log,
    publish: ({ message }: { message: string }) => void events.push(message),
    id: () => `r-${++ids}`,
    ...changes,
  }
  return { control, store, clock, memory, rollouts: new Rollouts(deps), told, events }
}
