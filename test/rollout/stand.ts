/** Rollouts over a control without workers, a memory store and a clock that only moves when told. */

import { lookup } from 'node:dns'
import { setImmediate } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { validateService } from '../../src/config/check.ts'
import type { ServiceSpec } from '../../src/config/schema.ts'
import { allocateSharedMemory, type SharedMemory, SIDE, TRIAL, trialOffset } from '../../src/metrics/layout.ts'
import { type ControllerDeps, Rollouts } from '../../src/rollout/controller.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'
import { type MovableClock, movableClock, SHOP, type StandInControl, standInControl } from '../admin/stand-in.ts'
import { drivenUntil } from '../helpers/raw.ts'
import { giveBackMemory } from '../helpers/shared-memory.ts'

/** A service, checked. */
export function sound(service: unknown): ServiceSpec {
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
  /** Others over the same, as a process after this one would have them. */
  make(): Rollouts
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
  giveBackMemory()
  const memory = allocateSharedMemory(1)
  let ids = 0
  const traffic = { service: () => null }
  const deps = {
    control,
    clock,
    memory,
    traffic,
    commandFolders: [],
    busyElsewhere: () => [],
    busyPredecessor: () => null,
    lookAgain() {},
    find: lookup,
    store,
    log,
    publish: ({ message }: { message: string }) => void events.push(message),
    id: () => `r-${++ids}`,
    name: 'here:1',
    ...changes,
  }
  const make = () => new Rollouts(deps)
  return { control, store, clock, memory, rollouts: make(), make, told, events }
}

/** A service `shop` with one pool, which a hook replaces target by target. */
export const rollingShop = (targets: readonly string[], hook: string, more: object = {}): object => ({
  routes: [{ host: 'shop.example.com', path: '/' }],
  pools: { blue: { version: '1.0', targets } },
  live: 'blue',
  rollout: { strategy: 'rolling', ...more, hooks: [{ at: 'UpdateTarget', url: hook, timeout: '30s' }] },
})

export const STEPS = [
  { weight: 10, for: '1h' },
  { weight: 50, for: '1h' },
]

/** Alice's, to green: one that watches its first step. */
export async function begun(sent: object = {}, weight = 10): Promise<Stand> {
  const stood = await stand()
  const { rollouts } = stood
  onTestFinished(() => rollouts.close())
  await rollouts.start()
  await rollouts.begin('shop', { to: 'green', steps: STEPS, ...sent }, 'alice')
  await watching(stood, weight)
  return stood
}

/** Waits until the new version has this much. */
export const watching = ({ rollouts, clock }: Stand, weight: number) =>
  drivenUntil(`it watches ${weight} %`, async () => {
    clock.move(100)
    return rollouts.running('shop')?.weight === weight
  })

/** A tenth of a second of traffic of both, of which these shares fail. */
export async function answer({ control, memory, clock }: Stand, canary: number, live: number): Promise<void> {
  const { slot } = control.snapshot().status['shop']
  for (const [side, failing] of [
    [SIDE.canary, canary],
    [SIDE.control, live],
  ] as const) {
    memory.trials[trialOffset(0, slot, side) + TRIAL.answers] += 20
    memory.trials[trialOffset(0, slot, side) + TRIAL.bad] += 20 * failing
  }
  clock.move(100)
  // A timer would give the core away, and get it back late where others want it, too: some of them do this hundreds of times.
  await setImmediate()
}
