/** What becomes of rollouts when the store, or what is kept, is not as it should be. */
import { setImmediate } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { TurnoutError } from '../../src/errors.ts'
import { closeBatch, hurry } from '../../src/metrics/batches.ts'
import { CELL, FIELD, laneOffset, SIDE, TRIAL, trialOffset } from '../../src/metrics/layout.ts'
import type { Kept } from '../../src/rollout/kept.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { type MovableClock, movableClock, SHOP } from '../admin/stand-in.ts'
import { startHook } from '../helpers/hook.ts'
import { drivenUntil, until } from '../helpers/raw.ts'
import { answer as answerBoth, begun, type Stand, stand, watching } from './stand.ts'

const trialOf = ({ control }: Stand) => control.snapshot().status['shop'].trial

test('one that another living process runs is shown, is left to it, and is taken up when that one is gone', async () => {
  const first = await stand()
  await first.rollouts.start()
  await first.rollouts.begin('shop', { to: 'green' }, 'test')
  let isShared = true
  first.store.isShared = async () => isShared
  const { control, store, clock, rollouts } = await stand(first.store)
  const before = control.snapshot().revision
  await rollouts.start()
  expect(control.snapshot().revision).toBe(before)
  expect(rollouts.running('shop')).toMatchObject({ id: 'r-1', runsElsewhere: true })
  for (const verb of ['pause', 'promote'] as const) {
    await expect(rollouts.command('shop', 'current', verb, 'test')).rejects.toMatchObject({ code: 'conflict' })
  }
  const why = 'another Turnout process on this store runs the rollouts'
  await expect(rollouts.command('shop', 'current', 'pause', 'test')).rejects.toThrow(why)
  await expect(rollouts.begin('shop', { to: 'green' }, 'test')).rejects.toThrow(`Nothing is begun here: ${why}`)
  // What becomes of it there is read at once by who asks, and soon for status and metrics.
  await first.rollouts.command('shop', 'current', 'pause', 'bob')
  await rollouts.refresh('shop')
  expect(rollouts.find('shop', 'current')).toMatchObject({ state: 'paused', runsElsewhere: true })
  await first.rollouts.command('shop', 'current', 'resume', 'bob')
  await until('status has it', () => {
    clock.move(2_000)
    return rollouts.running('shop')?.state !== 'paused'
  })
  expect(rollouts.figures()).toMatchObject([{ last: { id: 'r-1' } }])
  expect(control.actors).toEqual([])
  // As though it had been killed: nothing is closed there.
  isShared = false
  await until('it is taken up', () => {
    clock.move(500)
    return rollouts.running('shop')?.runsElsewhere === false
  })
  expect(await rollouts.command('shop', 'current', 'abort', 'test')).toMatchObject({ id: 'r-1' })
  await until('it is over', async () => {
    clock.move(500)
    return (await store.get('rollout:shop'))?.includes('rolledBack') === true
  })
  expect(rollouts.list('shop')).toHaveLength(1)
  await rollouts.close()
  await first.rollouts.close()
})

test('one whose store another process leads by now does nothing more, before anybody is told', async () => {
  const { rollouts, store, control } = await begun()
  store.stillLeads = () => false
  const { revision } = control.snapshot()
  await expect(rollouts.command('shop', 'current', 'pause', 'bob')).rejects.toThrow('Nothing was done')
  expect(control.snapshot().revision).toBe(revision)
})

test('while its next step is refused the present one is judged on, and what fails goes back', async () => {
  const stood = await begun({ steps: [{ weight: 10, for: '1s', requests: 0 }, 50], advance: 'time' })
  const { control, memory, rollouts, clock, events } = stood
  const { slot } = control.snapshot().status['shop']
  const change = control.change.bind(control)
  let refused = 0
  control.change = async (sent, options) => {
    if (sent.kind !== 'shift' || sent.ends !== undefined) return change(sent, options)
    refused++
    throw new TurnoutError('conflict', 'Somebody has asked for that.')
  }
  await drivenUntil('it is refused again and again', async () => {
    clock.move(100)
    return refused === 3
  })
  // Workers count an answer only where its step is the present one (dataplane/trials.ts).
  expect(memory.cells[CELL.step + slot]).toBe(trialOf(stood)?.step)
  expect(events.filter((message) => message.includes('cannot be shifted to 50 %'))).toHaveLength(1)
  await drivenUntil('it goes back', async () => {
    if (memory.cells[CELL.step + slot] === trialOf(stood)?.step) await answerBoth(stood, 1, 0)
    else clock.move(100)
    return rollouts.running('shop') === null
  })
  expect(rollouts.list('shop')[0]).toMatchObject({ state: 'rolledBack', reason: expect.stringContaining('failed') })
  expect(control.snapshot().services['shop'].split).toEqual({ blue: 95, green: 5 })
})

test('a process that is closed looks no more for the one that runs them, and takes nothing up', async () => {
  const first = await stand()
  await first.rollouts.start()
  await first.rollouts.begin('shop', { to: 'green' }, 'test')
  let looks = 0
  let answer = Promise.resolve(true)
  first.store.isShared = () => {
    looks++
    return answer
  }
  const { clock, rollouts } = await stand(first.store)
  await rollouts.start()
  const { promise: held, resolve: goOn } = Promise.withResolvers<boolean>()
  // The second look in a row that finds nobody takes them up: it is under way when the process is closed.
  answer = Promise.resolve(false)
  clock.move(2_000)
  await setImmediate()
  answer = held
  clock.move(2_000)
  await rollouts.close()
  goOn(false)
  await setImmediate()
  expect(rollouts.running('shop')).toMatchObject({ id: 'r-1', runsElsewhere: true })
  const before = looks
  clock.move(10_000)
  await setImmediate()
  expect(looks).toBe(before)
  expect(rollouts.running('shop')).toMatchObject({ runsElsewhere: true })
  await first.rollouts.close()
})

test('of several that are begun at once one begins, also where each brings a version', async () => {
  const { control, rollouts } = await stand()
  await rollouts.start()
  const asked = ['2.1', '2.2', '2.3'].map((version) => rollouts.begin('shop', { to: 'green', version }, 'test'))
  const [first, ...others] = await Promise.allSettled(asked)
  expect(first).toMatchObject({ status: 'fulfilled', value: { id: 'r-1' } })
  expect(others).toEqual(
    [1, 2].map(() => ({ status: 'rejected', reason: expect.objectContaining({ code: 'conflict' }) })),
  )
  expect(rollouts.list('shop')).toHaveLength(1)
  expect(control.snapshot().services['shop'].pools['green'].version).toBe('2.1')
  await rollouts.close()
})

test('of one that is refused as it begins nothing listens any more', async () => {
  const { control, rollouts } = await stand()
  onTestFinished(() => rollouts.close())
  await rollouts.start()
  const subscribe = control.subscribe.bind(control)
  let listeners = 0
  Object.assign(control, {
    subscribe(listener: Parameters<typeof subscribe>[0]) {
      listeners++
      const unsubscribe = subscribe(listener)
      return () => {
        listeners--
        unsubscribe()
      }
    },
  })
  const begin = (ifMatch?: number) => rollouts.begin('shop', { to: 'green' }, 'bob', ifMatch)
  const before = control.snapshot().revision
  await control.change({ kind: 'split', service: 'shop', weights: { blue: 9, green: 1 } }, { actor: 'eve' })
  await expect(begin(before)).rejects.toMatchObject({ code: 'stale_revision' })
  expect(listeners).toBe(0)
  control.failNext = new TurnoutError('store_unavailable', 'The disk is full.')
  await expect(begin()).rejects.toMatchObject({ code: 'store_unavailable' })
  expect(listeners).toBe(0)
  await begin()
  expect(listeners).toBe(1)
})

test("once traffic is back the service is everybody's, and the next rollout waits for the hook of the one that goes back", async () => {
  const { promise: held, resolve: goOn } = Promise.withResolvers<void>()
  const hook = await startHook(async () => {
    await held
    return 200
  })
  const { control, rollouts, clock } = await stand()
  onTestFinished(() => rollouts.close())
  await rollouts.start()
  await rollouts.begin('shop', { to: 'green', hooks: [{ at: 'OnRollback', url: hook.url, timeout: '30s' }] }, 'test')
  await rollouts.command('shop', 'current', 'abort', 'test')
  const split = (green: number) =>
    control.change({ kind: 'split', service: 'shop', weights: { blue: 95, green } }, { actor: 'test' })
  expect(await split(4)).toMatchObject({ changed: true })
  const begin = () => rollouts.begin('shop', { to: 'green' }, 'test').catch((error: Error) => error.message)
  const tooEarly = begin()
  let answered = false
  void tooEarly.then(() => (answered = true))
  clock.move(5_000)
  await setImmediate()
  expect(answered).toBe(false)
  clock.move(5_000)
  expect(await tooEarly).toMatch(/^Rollout r-1 of shop goes back and has not ended: its hook OnRollback/)
  const next = begin()
  goOn()
  expect(await next).toMatchObject({ id: 'r-2', state: 'preflight' })
})

test('only a switch to where traffic was before ends one; to any other pool it is refused like every split', async () => {
  const { rollouts } = await begun()
  expect(['blue', 'green', 'red'].map((pool) => rollouts.isLeftBy('shop', pool))).toEqual([true, false, false])
  expect(rollouts.isLeftBy('shop', null)).toBe(true)
})

test('a split that is changed while one begins is not undone by it', async () => {
  const { control, rollouts } = await stand()
  await rollouts.start()
  const begun = rollouts.begin('shop', { to: 'green' }, 'test')
  const split = { kind: 'split', service: 'shop', weights: { blue: 1, green: 1 } } as const
  await control.change(split, { actor: 'test' })
  await expect(begun).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('was changed just when'),
  })
  expect(control.snapshot().services['shop'].split).toEqual({ blue: 1, green: 1 })
  expect(rollouts.list('shop')).toEqual([])
  await rollouts.close()
})

test('one that has not begun when the process is killed is none after the restart', async () => {
  const first = await stand()
  await first.rollouts.start()
  first.control.change = () => new Promise(() => {})
  void first.rollouts.begin('shop', { to: 'green' }, 'test')
  await until('it is kept', async () => (await first.store.get('rollout:shop'))?.includes('r-1') === true)
  // As though it had been killed: nothing is closed.
  const second = await stand(first.store)
  await second.rollouts.start()
  expect(second.rollouts.list('shop')).toEqual([])
  expect(trialOf(second)).toBeUndefined()
  expect((await second.rollouts.begin('shop', { to: 'green' }, 'test')).state).toBe('preflight')
  await second.rollouts.close()
})

test('nobody takes the last ready target of a pool that it tries, or would go back to, but by force', async () => {
  const { control, rollouts } = await stand()
  await rollouts.start()
  await rollouts.begin('shop', { to: 'green', strategy: 'blue-green' }, 'test')
  const set = (pool: string, state: 'maint' | 'ready', force = false) =>
    control.change({ kind: 'pool.state', service: 'shop', pool, state }, { actor: 'test', force })
  for (const moment of ['before its first step', 'with all the traffic']) {
    if (moment !== 'before its first step') {
      const weights = { blue: 0, green: 1 }
      const trial = { pool: 'green', step: 2 }
      await control.change(
        { kind: 'shift', service: 'shop', weights, trial, before: { blue: 100 }, rollout: 'r-1' },
        { actor: 'test' },
      )
    }
    await expect(set('blue', 'maint')).rejects.toThrow('and the rollout that runs goes back to it')
    await expect(set('green', 'maint')).rejects.toThrow('and the rollout that runs tries it')
  }
  await set('blue', 'maint', true)
  await set('blue', 'ready')
  await rollouts.close()
})

test("a pool that it goes not back to, such as the one before, is everybody's", async () => {
  const red = { version: '0.9', targets: ['http://127.0.0.1:3003'] }
  const { control, rollouts } = await stand(
    undefined,
    {},
    { ...SHOP, pools: { ...SHOP.pools, red }, split: { red: 1 } },
  )
  await control.change({ kind: 'switch', to: { shop: 'blue' } }, { actor: 'test' })
  await rollouts.start()
  await rollouts.begin('shop', { to: 'green', strategy: 'blue-green' }, 'test')
  const set = (pool: string) =>
    control.change({ kind: 'pool.state', service: 'shop', pool, state: 'maint' }, { actor: 'test' })
  await set('red')
  await expect(set('blue')).rejects.toThrow('and the rollout that runs goes back to it')
  await rollouts.close()
})

test('a pool that is out of service and has a weight is none that it asks for taking the traffic back', async () => {
  const red = { version: '0.9', targets: ['http://127.0.0.1:3003'] }
  const shop = { ...SHOP, pools: { ...SHOP.pools, red }, split: { blue: 80, red: 20 } }
  const stood = await stand(undefined, {}, shop)
  const { control, rollouts } = stood
  await control.change({ kind: 'pool.state', service: 'shop', pool: 'red', state: 'standby' }, { actor: 'test' })
  await rollouts.start()
  await rollouts.begin('shop', { to: 'green', steps: [{ weight: 10, for: '1h' }] } as never, 'test')
  await watching(stood, 10)
  await rollouts.close()
})

test('one whose begin fails leaves nothing behind', async () => {
  const failing = await stand()
  const { control, rollouts, store } = failing
  await rollouts.start()
  const change = control.change.bind(control)
  control.change = () => Promise.reject(new TurnoutError('store_unavailable'))
  await expect(rollouts.begin('shop', { to: 'green' }, 'test')).rejects.toMatchObject({ code: 'store_unavailable' })
  control.change = change
  expect(rollouts.list('shop')).toEqual([])
  expect(await store.get('rollout:shop')).toBe('[]')
  expect((await rollouts.begin('shop', { to: 'green' }, 'test')).state).toBe('preflight')
  await rollouts.close()
})

test('while the store is away a rollout waits for it, and goes back all the same', async () => {
  const store = memoryStore()
  const put = store.put.bind(store)
  const stood = await stand(store)
  const { rollouts, clock } = stood
  await rollouts.start()
  await rollouts.begin('shop', { to: 'green' }, 'test')
  store.put = () => Promise.reject(new TurnoutError('store_unavailable'))
  const aborted = rollouts.command('shop', 'current', 'abort', 'test')
  await until('traffic is back', () => trialOf(stood) === undefined)
  await until('it is told', () => stood.events.some((said) => said.includes('a rollout cannot be kept')))
  store.put = put
  await drivenUntil('it is kept', async () => {
    clock.move(500)
    return (await store.get('rollout:shop'))?.includes('rolledBack') === true
  })
  expect((await aborted).state).toMatch(/rollingBack|rolledBack/)
  await rollouts.close()
})

test('each end is counted once, by how it ended, and the last rollout stays to be told', async () => {
  const { rollouts, clock } = await stand()
  await rollouts.start()
  expect([rollouts.figures(), rollouts.running('shop')]).toEqual([[], null])
  for (let ends = 0; ends < 3; ends++) {
    const { id } = await rollouts.begin('shop', { to: 'green' }, 'test')
    expect(rollouts.running('shop')).toMatchObject({ id, state: 'preflight' })
    expect(rollouts.figures()).toMatchObject([{ last: { id }, ended: { done: 0, rolledBack: ends } }])
    await rollouts.command('shop', id, 'abort', 'test')
    await until('it is over', () => {
      clock.move(10)
      return rollouts.running('shop') === null
    })
    const [{ last, ended }] = rollouts.figures()
    expect({ id: last.id, state: last.state, ended }).toEqual({
      id,
      state: 'rolledBack',
      ended: { done: 0, rolledBack: ends + 1 },
    })
  }
  await rollouts.close()
})

test('while the split cannot be changed, a way back takes the targets of the new version out at least', async () => {
  const { control, rollouts, clock } = await stand()
  await rollouts.start()
  await rollouts.begin('shop', { to: 'green' }, 'test')
  const change = control.change.bind(control)
  control.change = () => Promise.reject(new TurnoutError('store_unavailable'))
  const aborted = rollouts.command('shop', 'current', 'abort', 'test')
  const ejected = (pool: string) =>
    Object.values(control.snapshot().status['shop'].pools[pool].targets).map(({ ejectedUntilMs }) => ejectedUntilMs)
  await until('they are out', () => ejected('green').every((untilMs) => untilMs > clock.steadyMs()))
  expect(ejected('blue')).toEqual([0])
  control.change = change
  await drivenUntil('traffic is back', async () => {
    clock.move(500)
    return rollouts.list('shop')[0].state === 'rolledBack'
  })
  await aborted
  await rollouts.close()
})

test('a batch in which the new version has failed is looked at as soon as it is closed', async () => {
  const { rollouts, memory, clock } = await stand()
  await rollouts.start()
  await rollouts.begin('shop', { to: 'green' }, 'test')
  const harm = trialOffset(0, 0, SIDE.canary) + TRIAL.harm
  const seen = () => rollouts.running('shop')?.harm.failed
  memory.trials[harm] = 3
  hurry(memory, 0)
  expect(seen()).toBe(0)
  closeBatch(memory, 0, clock.steadyMs() + 10)
  // The clock of the test stands still: no timer makes it look.
  await until('it is seen', () => seen() === 3)
  await rollouts.close()
})

test('a failure that comes while a look is kept is looked at right after it', async () => {
  const { rollouts, store, memory, clock } = await begun()
  // From then on nothing but looks is kept.
  const text = () => store.get('rollout:shop')
  await until('it watches', async () => (await text())?.includes('"phase":"watching"') === true)
  const put = store.put.bind(store)
  const { promise: held, resolve: goOn } = Promise.withResolvers<void>()
  let isHeld = false
  store.put = async (...what) => {
    isHeld = true
    await held
    return put(...what)
  }
  await until('a look is kept', () => {
    clock.move(1_000)
    return isHeld
  })
  memory.trials[trialOffset(0, 0, SIDE.canary) + TRIAL.harm] = 3
  hurry(memory, 0)
  closeBatch(memory, 0, clock.steadyMs() + 10)
  const seen = () => rollouts.running('shop')?.harm.failed
  await setImmediate()
  await setImmediate()
  expect(seen()).toBe(0)
  goOn()
  await until('it is seen', () => seen() === 3)
})

test('nothing is looked at while no rollout runs', async () => {
  const clock = movableClock()
  let looks = 0
  const after: MovableClock['after'] = (ms, run) => {
    looks++
    return clock.after(ms, run)
  }
  const { rollouts } = await stand(memoryStore(), { clock: { ...clock, after } })
  await rollouts.start()
  clock.move(1_000)
  expect(looks).toBe(0)
  await rollouts.begin('shop', { to: 'green' }, 'test')
  clock.move(1_000)
  expect(looks).toBeGreaterThan(9)
  await rollouts.close()
})

test('after a restart the clock of a step and the tests go on from where they were ten seconds ago at most', async () => {
  const store = memoryStore()
  const first = await stand(store)
  await first.rollouts.start()
  const blue = Object.values(first.control.snapshot().status['shop'].pools['blue'].targets)[0].slots[0]
  first.memory.targets[laneOffset(0, blue) + FIELD.attemptsGood] = 20
  first.memory.targets[laneOffset(0, blue) + FIELD.attemptsFailed] = 2
  first.clock.move(10_000)
  await first.rollouts.begin('shop', { to: 'green', steps: [{ weight: 10, for: '1s', requests: 5 }] }, 'test')
  const kept = async () => JSON.parse((await store.get('rollout:shop')) ?? '[]')[0] as Kept
  await drivenUntil('it watches traffic', async () => {
    first.clock.move(500)
    return (await kept()).rollout.phase === 'watching'
  })
  const { slot } = first.control.snapshot().status['shop']
  const live = (await kept()).live!
  expect(live.histories[0]).toEqual({ bad: 2, all: 22 })
  first.memory.trials[trialOffset(0, slot, SIDE.canary) + TRIAL.answers] += 3
  first.memory.trials[trialOffset(0, slot, SIDE.control) + TRIAL.answers] += 30
  await drivenUntil('its clock is kept', async () => {
    // A second at a time, look by look.
    for (let n = 0; n < 10; n++) {
      first.clock.move(100)
      await setImmediate()
    }
    return (await kept()).rollout.clockMs > 9_000
  })
  const before = await kept()
  // As though it had been killed: nothing is closed.
  const second = await stand(store)
  await second.rollouts.start()
  const [told] = second.rollouts.list('shop')
  expect(told.verdict).toMatchObject({ canary: { requests: 3 }, control: { requests: 30 } })
  expect(told.next).toMatchObject({ inMs: 0, waitsFor: 'its requests, 3 of 5' })
  expect(before.tests?.[0].origin.seen).toBe(3)
  await drivenUntil('the tests go on', async () => {
    second.clock.move(500)
    return (await kept()).rollout.clockMs > before.rollout.clockMs
  })
  expect((await kept()).tests?.[0]).toEqual(before.tests?.[0])
  // What the live pool was before cannot be learnt anew.
  expect((await kept()).live).toEqual(live)
  await second.rollouts.close()
  await first.rollouts.close()
})

test('nobody removes a service while its rollout runs, not by force, and not by a file', async () => {
  const { control, rollouts } = await stand()
  await rollouts.start()
  await rollouts.begin('shop', { to: 'green' }, 'test')
  const removals = [
    { kind: 'service.delete', service: 'shop' },
    { kind: 'file', services: {}, wins: true, prune: true },
    { kind: 'pool.delete', service: 'shop', pool: 'green' },
  ] as const
  for (const change of removals) {
    const options = { actor: 'test', force: true, prune: true }
    await expect(control.change(change, options), change.kind).rejects.toMatchObject({ code: 'conflict' })
  }
  await expect(control.change(removals[0], { actor: 'test', force: true })).rejects.toThrow(
    'A rollout of shop is running. Abort it first, or wait for its end.',
  )
  expect(rollouts.running('shop')?.reason).toBe(null)
  await rollouts.close()
})

test('one whose service is gone with the store that knew it is aborted, and that is told', async () => {
  const { control, rollouts, clock, events } = await stand()
  await rollouts.start()
  await rollouts.begin('shop', { to: 'green' }, 'test')
  const present = control.snapshot()
  control.snapshot = () => ({ ...present, services: {}, status: {} })
  await until('it has ended', () => {
    clock.move(500)
    return rollouts.running('shop') === null
  })
  expect(events.at(-1)).toMatch(/is rolled back at 5 %: aborted by turnout, since its service is gone/)
  await rollouts.close()
})

test('in an outage that both versions share it holds, is not rolled back, and goes on 30 s after the last of it', async () => {
  const stood = await stand()
  const { rollouts, clock } = stood
  await rollouts.start()
  await rollouts.begin('shop', { to: 'green', steps: [{ weight: 50, for: '1h' }] }, 'test')
  const told = () => rollouts.running('shop')!
  await drivenUntil('it watches traffic', async () => {
    clock.move(500)
    return told().weight === 50
  })
  const answer = (failing: number) => answerBoth(stood, failing, failing)
  for (let n = 0; n < 50; n++) await answer(0)
  await drivenUntil('it holds', async () => {
    await answer(0.5)
    return told().state === 'holding'
  })
  expect(told().reason).toMatch(
    /^blue itself fails more than it used to: \d+ of [\d,]+ answers of green failed, \d+ of/,
  )
  const stoodMs = told().next!.inMs
  for (let n = 0; n < 200; n++) await answer(0.5)
  expect(told()).toMatchObject({
    state: 'holding',
    weight: 50,
    next: { inMs: stoodMs, waitsFor: 'the live pool to be well' },
  })
  let wellMs = 0
  await drivenUntil('it goes on', async () => {
    for (let n = 0; n < 10; n++) await answer(0)
    wellMs += 1_000
    return told().state === 'shifting'
  })
  expect(wellMs).toBeGreaterThanOrEqual(30_000)
  expect(wellMs).toBeLessThanOrEqual(45_000)
  expect(told()).toMatchObject({ reason: null, weight: 50 })
  await rollouts.close()
})

describe('all that could answer are out', () => {
  const [one, two] = ['http://127.0.0.1:3002', 'http://127.0.0.1:3003']
  const of = { service: 'shop', pool: 'green' } as const

  /** Two targets with the new version, which has a tenth of the traffic. */
  async function tried(weights: object): Promise<Stand> {
    const green = { version: '1.1', targets: [one, two], weights }
    const stood = await stand(memoryStore(), {}, { ...SHOP, pools: { ...SHOP.pools, green } })
    const { rollouts } = stood
    onTestFinished(() => rollouts.close())
    await rollouts.start()
    await rollouts.begin('shop', { to: 'green', steps: [{ weight: 10, for: '1h' }] }, 'test')
    await watching(stood, 10)
    return stood
  }

  async function goesBack({ control, rollouts, clock }: Stand, out: readonly string[]): Promise<void> {
    const ejectedUntilMs = clock.steadyMs() + 3_600_000
    await control.observe(out.map((target) => ({ ...of, target, ejectedUntilMs })))
    await drivenUntil('it has gone back', async () => {
      clock.move(500)
      return rollouts.running('shop') === null
    })
    expect(rollouts.list('shop')[0].reason).toMatch(/^all targets of green were out for 5 s/)
  }

  test('where another, however healthy, is in standby', async () => {
    const stood = await tried({})
    await stood.control.change({ kind: 'target.state', ...of, target: two, state: 'standby' }, { actor: 'test' })
    await goesBack(stood, [one])
  })

  test('where another, however healthy, is of weight 0', async () => {
    await goesBack(await tried({ [two]: 0 }), [one])
  })

  test('where only one of weight 0 is left', async () => {
    const stood = await tried({ [two]: 0 })
    await stood.control.change({ kind: 'target.state', ...of, target: one, state: 'standby' }, { actor: 'test' })
    await goesBack(stood, [two])
  })
})
