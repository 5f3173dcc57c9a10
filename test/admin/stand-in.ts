/**
 * What the tests of this room put in the place of the others: a control without workers (the real `applyChange`, events and
 * memory store), a clock that only moves when told, and an admin API on a free port of loopback.
 */
import { lookup } from 'node:dns'
import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import type { AdminDeps } from '../../src/admin/deps.ts'
import { createAdmin } from '../../src/admin/server.ts'
import type { Change, ChangeOptions, ControlEvent } from '../../src/change.ts'
import type { Clock } from '../../src/clock.ts'
import { systemClock } from '../../src/clock.ts'
import { validateService } from '../../src/config/check.ts'
import { createControl } from '../../src/control/control.ts'
import type { RunningControl } from '../../src/control/deps.ts'
import type { NewEvent } from '../../src/control/events.ts'
import { Instances } from '../../src/control/instances.ts'
import { createExposition } from '../../src/metrics/exposition.ts'
import { allocateSharedMemory, FIELD, laneOffset, type SharedMemory } from '../../src/metrics/layout.ts'
import { createTrafficWindow } from '../../src/metrics/window.ts'
import { Rollouts } from '../../src/rollout/controller.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'
import { literalNames } from '../helpers/literal-names.ts'

/** A clock that only moves by `move`, and then calls what is due. */
export interface MovableClock extends Clock {
  move(ms: number): void
}

/** Real wall time for nothing: it begins at a fixed moment. Closing an API still works by real time-outs. */
export function movableClock(): MovableClock {
  let now = 1_700_000_000_000
  let timers: { atMs: number; everyMs: number | null; run: () => void }[] = []
  const add = (delayMs: number, everyMs: number | null, run: () => void) => {
    const timer = { atMs: now + delayMs, everyMs, run }
    timers.push(timer)
    return () => {
      timers = timers.filter((other) => other !== timer)
    }
  }
  return {
    nowMs: () => now,
    steadyMs: () => now,
    monotonicMs: () => now - 1_600_000_000_000,
    after: (delayMs, run) => add(delayMs, null, run),
    every: (intervalMs, run) => add(intervalMs, intervalMs, run),
    move(ms) {
      const end = now + ms
      for (;;) {
        const due = timers.filter(({ atMs }) => atMs <= end).sort((a, b) => a.atMs - b.atMs)[0]
        if (due === undefined) break
        now = due.atMs
        if (due.everyMs === null) timers = timers.filter((timer) => timer !== due)
        else due.atMs += due.everyMs
        due.run()
      }
      now = end
    },
  }
}

/** A service as people write it, with two pools of one target each. */
export const SHOP = {
  routes: [{ host: 'shop.example.com', path: '/' }],
  pools: {
    blue: { version: '1.0', targets: ['http://127.0.0.1:3001'] },
    green: { version: '1.1', targets: ['http://127.0.0.1:3002'] },
  },
  split: { blue: 95, green: 5 },
}

export interface StandInControl extends RunningControl {
  /** Thrown by the next change. */
  failNext: Error | null
  readonly actors: string[]
}

/** The real control over a store, but for the workers. */
export async function standInControl(store: Store, clock: Clock): Promise<StandInControl> {
  const control = await createControl({
    store,
    clock,
    memory: allocateSharedMemory(1),
    names: literalNames,
    build() {},
    async commitTables() {},
    log: pino({ level: 'silent' }),
  })
  const standIn: StandInControl = Object.assign(Object.create(control), {
    failNext: null,
    actors: [],
    async change(change: Change, options: ChangeOptions) {
      const fail = standIn.failNext
      standIn.failNext = null
      if (fail !== null) throw fail
      standIn.actors.push(options.actor)
      const result = await control.change(change, options)
      return { ...result, epoch: result.epoch - 1 }
    },
    // As if the first change were the first table, so that epochs are as easy to read as revisions.
    snapshot: () => ({ ...control.snapshot(), epoch: control.snapshot().epoch - 1 }),
  })
  for (const name of ['revision', 'observe', 'events', 'subscribe', 'publish', 'close'] as const) {
    Object.assign(standIn, { [name]: (...given: never[]) => (control[name] as (...all: never[]) => unknown)(...given) })
  }
  return standIn
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape.
  readonly body: any
}

export interface StandIn {
  readonly url: string
  readonly control: StandInControl
  readonly store: Store
  readonly memory: SharedMemory
  readonly logged: string[]
  readonly deps: AdminDeps
  close(): Promise<void>
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
}

/** An admin API that ends with the test; `shop` is there unless told otherwise. */
export async function startAdmin(changes: Partial<AdminDeps> = {}, withShop = true): Promise<StandIn> {
  const clock = changes.clock ?? systemClock
  const store = memoryStore()
  const control = await standInControl(store, clock)
  const memory = allocateSharedMemory(2)
  const logged: string[] = []
  const exposition = createExposition(control, memory, clock, '0.1.0')
  const traffic = createTrafficWindow(control, memory, clock)
  const rollouts = new Rollouts({
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
    publish: (event) => control.publish(event),
    id: () => 'r-1',
    name: 'here:1',
    log: { error() {}, warn() {} },
  })
  onTestFinished(() => rollouts.close())
  await rollouts.start()
  const deps: AdminDeps = {
    control,
    rollouts,
    store,
    exposition,
    memory,
    names: literalNames,
    lookups: { told: () => [] },
    instances: new Instances({
      store: memoryStore(),
      control,
      clock,
      self: { name: 'here:1', version: '0.1.0' },
      quiet: { ids: () => [] },
      busy: { told: () => ({}) },
    }),
    unreadyWhenCutOff: false,
    traffic,
    departures: { of: () => null },
    clock,
    tokens: [],
    address: '127.0.0.1:0',
    busyPredecessor: () => null,
    callHook: () => {
      throw new Error('this test calls nobody')
    },
    explain: () => {
      throw new Error('this test explains nothing')
    },
    compare: null,
    applyText: () => {
      throw new Error('this test applies nothing')
    },
    isReady: () => true,
    process: { workers: 2, store: 'memory', pid: 42, startedAtMs: 1_700_000_000_000 },
    log: pino({ level: 'warn' }, { write: (line: string) => logged.push(line) }),
    version: '0.1.0',
    ...changes,
  }
  const admin = await createAdmin(deps)
  const close = async () => {
    await control.close()
    traffic.close()
    exposition.close()
    await admin.close()
  }
  onTestFinished(close)
  if (withShop) {
    const checked = validateService(SHOP)
    if ('faults' in checked) throw new Error(JSON.stringify(checked.faults))
    await control.change({ kind: 'service.put', service: 'shop', spec: checked.spec }, { actor: 'file' })
  }
  const call: StandIn['call'] = async (method, path, body, headers = {}) => {
    const response = await fetch(admin.address + path, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.includes('json') === true
    return { status: response.status, headers: response.headers, body: isJson && text !== '' ? JSON.parse(text) : text }
  }
  return { url: admin.address, control, store, memory, logged, deps, close, call }
}

/** Adds to a counter of a target in the lane of a worker. */
export function count(memory: SharedMemory, slot: number, field: keyof typeof FIELD, by: number, worker = 0): void {
  memory.targets[laneOffset(worker, slot) + FIELD[field]] += by
}

export const anEvent = (message: string, data: ControlEvent['data'] = {}): NewEvent => ({
  type: 'health',
  service: 'shop',
  message,
  data,
})
