/**
 * What the tests of control put in the place of the rest: specs, a clock that moves only when told, workers that take
 * tables and tell of them, and a store that fails on demand. Checks and plans are the real ones.
 */
import { setImmediate } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Change, ChangeResult } from '../../src/change.ts'
import type { Clock } from '../../src/clock.ts'
import { validateService } from '../../src/config/check.ts'
import { mapEntries } from '../../src/config/record.ts'
import type { ServiceSpec } from '../../src/config/schema.ts'
import { createControl } from '../../src/control/control.ts'
import type { ControlDeps } from '../../src/control/deps.ts'
import { type Content, NOTHING, reconcileAll } from '../../src/control/reconcile.ts'
import { isTurnoutError } from '../../src/errors.ts'
import { allocateSharedMemory } from '../../src/metrics/layout.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'
import type { ServiceIntent, ServicePlaces, TargetIntent, TargetPlace } from '../../src/table/status.ts'
import type { TableDelta } from '../../src/table/types.ts'
import { literalAddresses, literalNames } from '../helpers/literal-names.ts'

export const BLUE = 'http://127.0.0.1:3001'
export const BLUE2 = 'http://127.0.0.1:3002'
export const GREEN = 'http://127.0.0.1:3003'

/** A service `host` with blue (two targets, everything) and green (one target, nothing), and every default. */
export function shop(changes: Partial<ServiceSpec> = {}, host = 'shop.test'): ServiceSpec {
  const checked = validateService({
    routes: [{ host, path: '/' }],
    pools: { blue: { version: '1.0', targets: [BLUE, BLUE2] }, green: { version: '1.1', targets: [GREEN] } },
    split: { blue: 100, green: 0 },
    health: {},
    ...changes,
  })
  if ('faults' in checked) throw new Error(JSON.stringify(checked.faults))
  return checked.spec
}

export const weights = (content: Content, service = 'shop') => content.services[service].split

export { NOTHING }

/** Content with these services, as if a config file had brought them: nobody has set anything, and nothing was seen. */
export function contentOf(services: Record<string, ServiceSpec>): Content {
  return { ...reconcileAll(services, NOTHING), base: { services, lost: [], files: [] } }
}

/** Places for these pools where nobody counts. */
export const placesOf = (pools: ServiceIntent['pools']): ServicePlaces => ({
  slot: 0,
  targets: mapEntries(pools, ({ targets }) =>
    mapEntries<TargetIntent, TargetPlace>(targets, (_intent, url) => {
      return { addresses: literalAddresses(url).map((address) => ({ ...address, slot: 0 })), slots: [0] }
    }),
  ),
})

/** The code of what is thrown or rejected with. */
export async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work()
  } catch (error) {
    return isTurnoutError(error) ? error.code : String(error)
  }
  return 'nothing was thrown'
}

/** A clock that stands still until `advance`, which also lets what waits on promises go on. */
export function standingClock(startMs = 1_000_000) {
  let nowMs = startMs
  let shiftMs = 0
  const timers = new Set<{ readonly atMs: number; readonly run: () => void }>()
  const after = (delayMs: number, run: () => void) => {
    const timer = { atMs: nowMs + delayMs, run }
    timers.add(timer)
    return () => void timers.delete(timer)
  }
  const clock: Clock = {
    nowMs: () => nowMs + shiftMs,
    steadyMs: () => nowMs,
    monotonicMs: () => nowMs,
    after,
    every: () => {
      throw new Error('control uses no intervals')
    },
  }
  async function advance(byMs: number): Promise<void> {
    const untilMs = nowMs + byMs
    await setImmediate()
    for (;;) {
      const [due] = [...timers].filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)
      if (due === undefined) break
      nowMs = Math.max(nowMs, due.atMs)
      timers.delete(due)
      due.run()
      await setImmediate()
    }
    nowMs = untilMs
    await setImmediate()
  }
  /** Sets the wall clock, which nothing but people should notice. */
  const set = (byMs: number): void => {
    shiftMs += byMs
  }
  return { clock, advance, set, timers: () => timers.size }
}

/** A memory store whose reads and writes fail while `failing` is set, and wait while `gate` is. */
export function fragileStore() {
  const inner = memoryStore()
  const fault = { failing: null as Error | null, gate: null as Promise<void> | null, saves: 0, commits: 0 }
  const guard = async () => {
    await fault.gate
    if (fault.failing !== null) throw fault.failing
  }
  const store = standInStore(inner, {
    async load() {
      await guard()
      return inner.load()
    },
    async position() {
      if (fault.failing !== null) throw fault.failing
      return inner.position()
    },
    async commit(present, commit) {
      fault.commits++
      await guard()
      return inner.commit(present, commit)
    },
    async saveObserved(services) {
      fault.saves++
      await guard()
      return inner.saveObserved(services)
    },
  })
  return { store, inner, fault }
}

/** A store that does some things otherwise. */
export function standInStore(inner: Store, otherwise: Partial<Store>): Store {
  return new Proxy(inner, {
    get(target, name: keyof Store) {
      const own = otherwise[name] ?? target[name]
      return typeof own === 'function' ? own.bind(otherwise[name] === undefined ? target : otherwise) : own
    },
  })
}

/** Control over a store, with workers that note each delta and take as long as `gate` says. */
export async function startControl(given: Partial<ControlDeps> = {}) {
  const deltas: TableDelta[] = []
  const workers = { gate: null as Promise<void> | null, busy: 0 }
  const standing = standingClock()
  const logged: unknown[] = []
  const log = (...what: unknown[]) => void logged.push(what)
  const memory = given.memory ?? allocateSharedMemory(2)
  const deps: ControlDeps = {
    store: memoryStore(),
    clock: standing.clock,
    memory,
    names: literalNames,
    build() {},
    async commitTables(delta) {
      expect(workers.busy, 'one table at a time').toBe(0)
      workers.busy++
      await workers.gate
      workers.busy--
      deltas.push(delta)
    },
    log: { info: log, warn: log, error: log },
    ...given,
  }
  const control = await createControl(deps)
  // Most of these changes are about something else than who would answer; leaves-nobody.test.ts is about that.
  const make = (change: Change, ifMatch?: number): Promise<ChangeResult> =>
    control.change(change, { actor: 'test', force: true, ...(ifMatch === undefined ? {} : { ifMatch }) })
  const target = (url: string, pool = 'blue', service = 'shop') =>
    control.snapshot().status[service].pools[pool].targets[url]
  return { control, make, target, deltas, workers, memory, logged, store: deps.store, ...standing }
}

export const put = (spec = shop(), service = 'shop'): Extract<Change, { kind: 'service.put' }> => ({
  kind: 'service.put',
  service,
  spec,
})
export const split = (blue: number, green: number, service = 'shop'): Extract<Change, { kind: 'split' }> => ({
  kind: 'split',
  service,
  weights: { blue, green },
})

/** A promise and the function that resolves it. */
export function gate() {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { promise, open: () => resolve() }
}
