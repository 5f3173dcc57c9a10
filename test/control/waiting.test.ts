import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Change, ChangeOptions, ChangeResult } from '../../src/change.ts'
import { questionIn } from '../../src/config/question.ts'
import { LOOK_MS } from '../../src/control/follower.ts'
import { UNPROVEN_WAITING_MAX } from '../../src/control/waiting.ts'
import { isTurnoutError, TurnoutError } from '../../src/errors.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { literalNames } from '../helpers/literal-names.ts'
import { codeOf, GREEN, gate, put, shop, split, startControl } from './stand-in.ts'

const HEALTH = {
  path: '/',
  interval: '1s',
  timeout: '1s',
  healthyAfter: 1,
  unhealthyAfter: 1,
  status: '200',
  expectVersion: 'version',
}

const to: Change = { kind: 'switch', to: { shop: 'green' } }

/** Control with a service of which no probe has told anything, and a switch that waits. */
async function started(spec = shop()) {
  const parts = await startControl()
  await parts.make(put(spec))
  const change = (options: Partial<ChangeOptions> = {}, change = to) =>
    parts.control.change(change, { actor: 'ann', waitMs: 10_000, ...options })
  const health = (health: 'healthy' | 'unhealthy', pool = 'green', target = GREEN) =>
    parts.control.observe([{ service: 'shop', pool, target, health }])
  return { ...parts, change, health }
}

/** Looks at a promise without waiting for it, once everything that is due has run. */
async function stateOf(promise: Promise<unknown>): Promise<string> {
  const settled = promise.then(
    () => 'done',
    (error) => (isTurnoutError(error) ? error.code : String(error)),
  )
  await setImmediate()
  return Promise.race([settled, setImmediate('waits')])
}

test('a switch waits for the first probe that passes, and is made at once then', async () => {
  const { change, health, control } = await started()
  const switched = change()
  expect(await stateOf(switched)).toBe('waits')
  await health('unhealthy')
  expect(await stateOf(switched)).toBe('waits')
  await health('healthy')
  expect((await switched).changed).toBe(true)
  expect(control.snapshot().services['shop'].split).toEqual({ blue: 0, green: 100 })
})

test('a pool that was in maintenance is waited for until a probe has passed since', async () => {
  const { change, health, make } = await started()
  await health('healthy')
  for (const state of ['maint', 'ready'] as const)
    await make({ kind: 'target.state', service: 'shop', pool: 'green', target: GREEN, state })
  const switched = change()
  expect(await stateOf(switched)).toBe('waits')
  await health('healthy')
  expect((await switched).changed).toBe(true)
})

test.each<[string, Change]>([
  ['another version', { kind: 'pool.put', service: 'shop', pool: 'green', spec: { version: '2.0', targets: [GREEN] } }],
  ['another probe', { kind: 'service.patch', service: 'shop', patch: { health: { path: '/other' } } }],
])('%s keeps its traffic, and is waited for until what is asked now has found it healthy', async (_, changed) => {
  const { change, health, make, target, control } = await started(shop({ health: HEALTH }))
  const question = questionIn(control.snapshot().services['shop'], 'green')!
  await health('healthy')
  await make(changed)
  expect(target(GREEN, 'green').health).toBe('healthy')
  const switched = change()
  expect(await stateOf(switched)).toBe('waits')
  // Of a probe that was under way.
  await control.observe([{ service: 'shop', pool: 'green', target: GREEN, health: 'healthy', question }])
  expect(await stateOf(switched)).toBe('waits')
  await health('healthy')
  expect((await switched).changed).toBe(true)
  // Nothing has happened to the target: a thousand of them would fill the list of events.
  const told = control.events().filter(({ type }) => type === 'health')
  expect(told).toMatchObject([{ data: { health: 'healthy', before: 'unknown' } }])
})

test('a pool of which too many are ejected is waited for until the first of them is back, though nobody tells of that', async () => {
  const { change, health, control, clock, advance } = await started()
  await health('healthy')
  const ejectedUntilMs = clock.steadyMs() + 4_000
  await control.observe([{ service: 'shop', pool: 'green', target: GREEN, ejectedUntilMs }])
  const switched = change()
  await advance(3_999)
  expect(await stateOf(switched)).toBe('waits')
  await advance(1)
  expect(await stateOf(switched)).toBe('done')
})

test('how often is asked is no other question', async () => {
  const { change, health, make } = await started(shop({ health: HEALTH }))
  await health('healthy')
  const rarely = { interval: '1m', healthyAfter: 9, unhealthyAfter: 9 }
  await make({ kind: 'service.patch', service: 'shop', patch: { health: rarely } })
  expect((await change({ waitMs: 0 })).changed).toBe(true)
})

test.each([false, true])(
  'after a restart what was healthy is so for traffic, and proven only for an heir: %s',
  async (isHeir) => {
    const store = memoryStore()
    const before = await startControl({ store })
    await before.make(put())
    await before.control.observe([{ service: 'shop', pool: 'green', target: GREEN, health: 'healthy' }])
    await before.control.close()
    const { control, target } = await startControl({ store, isHeir })
    expect(target(GREEN, 'green').health).toBe('healthy')
    const switched = () => codeOf(() => control.change(to, { actor: 'ann' }))
    expect(await switched()).toBe(isHeir ? 'nothing was thrown' : 'conflict')
    await control.observe([{ service: 'shop', pool: 'green', target: GREEN, health: 'healthy' }])
    expect(await switched()).toBe('nothing was thrown')
    await control.close()
  },
)

test('other changes go on meanwhile, and it is refused when one of them makes it impossible', async () => {
  const { change, make } = await started()
  const switched = change()
  expect(await stateOf(switched)).toBe('waits')
  expect((await make({ kind: 'rules', service: 'shop', rules: [] })).changed).toBe(false)
  expect((await make(put(shop({ debugHeaders: true })))).changed).toBe(true)
  expect(await stateOf(switched)).toBe('waits')
  await make({ kind: 'pool.state', service: 'shop', pool: 'green', state: 'standby' })
  expect(await stateOf(switched)).toBe('conflict')
})

test('after its time it is refused with what is missing, and nothing has changed', async () => {
  const { change, advance, control } = await started()
  const { revision } = control.snapshot()
  const switched = change()
  await advance(9_999)
  expect(await stateOf(switched)).toBe('waits')
  await advance(1)
  await expect(switched).rejects.toThrow(/not proven: .* waited for 10 s/)
  expect(control.snapshot().revision).toBe(revision)
})

test('without a time to wait it is refused at once', async () => {
  const { change } = await started()
  expect(await stateOf(change({ waitMs: 0 }))).toBe('conflict')
  expect(await stateOf(change({ waitMs: undefined }))).toBe('conflict')
})

test('what no probe can mend is not waited for, and what is forced waits for nothing', async () => {
  const { change, make } = await started()
  expect(await stateOf(change({}, { kind: 'switch', to: { shop: 'red' } }))).toBe('not_found')
  await make({ kind: 'pool.state', service: 'shop', pool: 'green', state: 'maint' })
  expect(await stateOf(change())).toBe('conflict')
  expect(await stateOf(change({ force: true }))).toBe('done')
})

test('a split waits for a pool that is to get its first share', async () => {
  const { change, health } = await started()
  const shifted = change({}, split(90, 10))
  expect(await stateOf(shifted)).toBe('waits')
  await health('healthy')
  expect(await stateOf(shifted)).toBe('done')
})

test('it ends with its caller, and with the process', async () => {
  const { change, control, health, timers } = await started()
  const [caller, early] = [new AbortController(), new AbortController()]
  early.abort(new TurnoutError('conflict', 'gone'))
  const [left, stays] = [change({ signal: caller.signal }), change()]
  const ended = codeOf(() => stays)
  expect(await stateOf(change({ signal: early.signal }))).toBe('conflict')
  expect(await stateOf(left)).toBe('waits')
  caller.abort(new TurnoutError('conflict', 'gone'))
  expect(await stateOf(left)).toBe('conflict')
  await control.close()
  expect(await ended).toBe('not_ready')
  await health('healthy')
  expect(control.snapshot().services['shop'].split).toEqual({ blue: 100, green: 0 })
  expect(timers()).toBeLessThan(2)
})

test('while another process is to write, those that wait are refused and so is whatever comes, but nothing that changes nothing', async () => {
  const { change, control, health, make } = await started()
  const { revision } = control.snapshot()
  const waits = change()
  expect(await stateOf(waits)).toBe('waits')
  control.yield(true)
  expect(await stateOf(waits)).toBe('not_ready')
  await expect(change()).rejects.toThrow(/nothing has changed: try again/)
  expect(await codeOf(() => make(split(50, 50)))).toBe('not_ready')
  expect(await stateOf(change({ dryRun: true }))).toBe('done')
  await health('healthy')
  expect(control.snapshot()).toMatchObject({ revision, services: { shop: { split: { blue: 100, green: 0 } } } })
  control.yield(false)
  expect(await stateOf(change())).toBe('done')
})

test('one that waits since before it was back without having stepped back is refused when it steps back', async () => {
  const { change, control, health } = await started()
  const waits = change()
  expect(await stateOf(waits)).toBe('waits')
  control.yield(false)
  expect(await stateOf(waits)).toBe('waits')
  control.yield(true)
  expect(await stateOf(waits)).toBe('not_ready')
  await health('healthy')
  expect(control.snapshot().services['shop'].split).toEqual({ blue: 100, green: 0 })
})

test('nor is made what waited for addresses, and deadlines are not stored anew where the clock is set', async () => {
  const asked = gate()
  let learn = Promise.resolve()
  const { control, make, set, advance } = await startControl({ names: { ...literalNames, learn: () => learn } })
  await make(put())
  await make({ kind: 'pool.state', service: 'shop', pool: 'green', state: 'drain' })
  const { revision } = control.snapshot()
  learn = asked.promise
  const waits = make(put(shop({ debugHeaders: true })))
  expect(await stateOf(waits)).toBe('waits')
  control.yield(true)
  asked.open()
  expect(await stateOf(waits)).toBe('not_ready')
  set(600_000)
  await advance(LOOK_MS)
  expect(control.snapshot().revision).toBe(revision)
  control.yield(false)
  await advance(LOOK_MS)
  expect(control.snapshot().revision).toBe(revision + 1)
})

test('only so many wait at a time; the next one is refused, and those that wait are made', async () => {
  const { change, health } = await started()
  const waiting: Promise<ChangeResult>[] = []
  for (let n = 0; n < UNPROVEN_WAITING_MAX; n++) waiting.push(change())
  await setImmediate()
  expect(await codeOf(() => change())).toBe('overloaded')
  await health('healthy')
  expect((await Promise.all(waiting)).filter(({ changed }) => changed).length).toBe(UNPROVEN_WAITING_MAX)
})
