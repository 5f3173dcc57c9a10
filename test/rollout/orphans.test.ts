/** A rollout whose record is lost, or older than its split: it goes on where all is known that it has come to, and else goes back, and that is told. */
import { setImmediate } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import type { Change } from '../../src/change.ts'
import type { Kept } from '../../src/rollout/kept.ts'
import { claimsOf } from '../../src/rollout/orphans.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'
import { SHOP } from '../admin/stand-in.ts'
import { startHook } from '../helpers/hook.ts'
import { drivenUntil } from '../helpers/raw.ts'
import { begun, type Stand, stand } from './stand.ts'

const KEYS = ['rollouts', 'rollout:shop', 'rollouts-before:shop']
const splitOf = ({ control }: Stand) => control.snapshot().services['shop'].split
const trialOf = ({ control }: Stand) => control.snapshot().status['shop'].trial
const shopWith = (notify: string) => ({ ...SHOP, split: { blue: 1, green: 0 }, rollout: { notify: [{ url: notify }] } })

/** Two instances over one store, of which the first has begun a rollout that watches 10 %, and the second follows. */
async function two(...hooks: readonly object[]) {
  const shared = memoryStore()
  let leader = 0
  const storeOf = (who: number): Store => {
    const isShared = async () => leader !== who
    return new Proxy(shared, {
      get(store, key) {
        const value: unknown = key === 'isShared' ? isShared : Reflect.get(store, key)
        return typeof value === 'function' ? value.bind(store) : value
      },
    })
  }
  const heard = await startHook<{ text: string; rollout: string; state: string }>()
  const one = await stand(storeOf(0), {}, shopWith(heard.url))
  const other = await stand(storeOf(1))
  await one.rollouts.start()
  await other.rollouts.start()
  onTestFinished(() => Promise.all([one.rollouts.close(), other.rollouts.close()]).then(() => {}))
  const steps = [10, 50].map((weight) => ({ weight, for: '1h' }))
  const { id } = await one.rollouts.begin(
    'shop',
    { to: 'green', steps, ...(hooks.length > 0 && { hooks }) } as never,
    'alice',
  )
  const tick = async (ms: number) => {
    for (const { clock } of leader === 0 ? [one, other] : [other]) clock.move(ms)
    await setImmediate()
  }
  await drivenUntil('both have 10 %', async () => {
    await tick(100)
    return one.rollouts.running('shop')?.weight === 10 && other.rollouts.running('shop')?.weight === 10
  })
  const lead = () => {
    leader = 1
  }
  return { shared, one, other, id, heard, tick, lead }
}

test('a rollout that the store loses together with its leader goes on by what another instance has seen of it, which is told', async () => {
  const { shared, one, other, id, tick, lead } = await two()
  await one.rollouts.close()
  for (const key of KEYS) await shared.put(key, null)
  await other.rollouts.refresh('shop')
  expect(other.rollouts.running('shop')).toMatchObject({ id, weight: 10, runsElsewhere: true })
  lead()
  await drivenUntil('it is taken up', async () => {
    await tick(1_000)
    return other.rollouts.running('shop')?.runsElsewhere === false
  })
  expect(other.rollouts.running('shop')).toMatchObject({ id, state: 'shifting', weight: 10 })
  expect(other.events).toContainEqual(expect.stringMatching(`lost rollout ${id} of shop: .* goes on by`))
  await other.rollouts.command('shop', id, 'promote', 'bob')
  await drivenUntil('it goes on', async () => {
    await tick(100)
    return other.rollouts.running('shop')?.weight === 50
  })
  expect(JSON.parse((await shared.get('rollouts'))!)).toEqual(['shop'])
})

test('where something was changed since it was seen, it goes back, with its record, its notices and its id', async () => {
  const { shared, one, other, id, heard, tick, lead } = await two()
  await one.rollouts.close()
  for (const key of KEYS) await shared.put(key, null)
  // What the leader has written last, and nobody has read.
  const put = {
    kind: 'service.put',
    service: 'other',
    spec: { ...one.control.snapshot().services['shop'], routes: [{ host: 'o.example', path: '/' }] },
  }
  await one.control.change(put as Change, { actor: 'x' })
  lead()
  await drivenUntil('it has ended', async () => {
    await tick(1_000)
    return other.rollouts.running('shop') === null
  })
  const [ended] = other.rollouts.list('shop')
  expect(ended).toMatchObject({ id, state: 'rolledBack', reason: 'aborted by turnout, since its record is lost' })
  expect([splitOf(other), trialOf(other)]).toEqual([{ blue: 1, green: 0 }, undefined])
  await expect.poll(() => heard.heard).toMatchObject([{ rollout: id, state: 'rolledBack' }])
})

test.each([
  ['it', KEYS],
  // The record was read by those who live, so they have written it again; the list of services is the leader's.
  ['the list that has it', ['rollouts']],
])(
  'one that goes back when %s is lost together with its leader is ended by another instance, with its hook, its notice and its record',
  async (_what, lost) => {
    const answered = Promise.withResolvers<number>()
    const hook = await startHook<{ key: string }>(() => answered.promise)
    const { shared, one, other, id, heard, tick, lead } = await two({ at: 'OnRollback', url: hook.url, timeout: '30s' })
    void one.rollouts.command('shop', id, 'abort', 'bob').catch(() => {})
    await drivenUntil('the other has seen that it goes back, and the hook is called', async () => {
      await tick(100)
      const { state } = other.rollouts.running('shop') ?? {}
      return state === 'rollingBack' && trialOf(other) === undefined && hook.heard.length > 0
    })
    await one.rollouts.close()
    for (const key of lost) await shared.put(key, null)
    await other.rollouts.refresh('shop')
    expect(other.rollouts.running('shop')).toMatchObject({ id, state: 'rollingBack' })
    answered.resolve(200)
    lead()
    await drivenUntil('it has ended', async () => {
      await tick(1_000)
      return other.rollouts.running('shop') === null
    })
    expect(other.rollouts.list('shop')[0]).toMatchObject({
      id,
      state: 'rolledBack',
      reason: expect.stringContaining('bob'),
    })
    expect([splitOf(other), trialOf(other)]).toEqual([{ blue: 1, green: 0 }, undefined])
    expect(new Set(hook.heard.map(({ key }) => key)).size).toBe(1)
    await expect.poll(() => heard.heard).toContainEqual(expect.objectContaining({ rollout: id, state: 'rolledBack' }))
  },
)

test.each([
  ['is gone', null],
  ['is no JSON', '{'],
  ['is none', '{}'],
  ['is of another service', '[{"service":"other","rollout":{"id":"r-1","state":"shifting"}}]'],
])(
  'of one that nobody has seen, whose record %s, the split goes back to what it was, and that is told with its id',
  async (_what, text) => {
    const { shared, one, other, id, heard } = await two()
    for (const { rollouts } of [one, other]) await rollouts.close()
    for (const key of KEYS) await shared.put(key, null)
    await shared.put('rollout:shop', text)
    const third = await stand(shared)
    onTestFinished(() => third.rollouts.close())
    await third.rollouts.start()
    expect([splitOf(third), trialOf(third)]).toEqual([{ blue: 1, green: 0 }, undefined])
    const said = expect.stringContaining(
      `rollout ${id} of shop to green is rolled back: aborted by turnout, since its record is lost`,
    )
    expect(third.events).toEqual([said])
    const [last] = await shared.revisions(1)
    expect(last.change).toMatchObject({ kind: 'shift', rollout: id, weights: { blue: 1, green: 0 }, ends: 'back' })
    await expect.poll(() => heard.heard).toMatchObject([{ rollout: id, state: 'rolledBack', text: said }])
    // And another may begin.
    await third.rollouts.begin('shop', { to: 'green' }, 'alice')
  },
)

test('one whose record is of another rollout than the one that has its split goes back, and that other one is not driven', async () => {
  const { shared, one, other, id } = await two()
  for (const { rollouts } of [one, other]) await rollouts.close()
  const text = (await shared.get('rollout:shop'))!
  await shared.put('rollout:shop', text.replaceAll(id, 'r-older'))
  const third = await stand(shared)
  onTestFinished(() => third.rollouts.close())
  await third.rollouts.start()
  expect([splitOf(third), third.rollouts.running('shop')]).toEqual([{ blue: 1, green: 0 }, null])
})

test('targets that a lost rollout has replaced in place are taken out while others are there', async () => {
  const shop = {
    ...SHOP,
    pools: { blue: { version: '1', targets: ['http://127.0.0.1:1', 'http://127.0.0.1:2'] } },
    live: 'blue',
  }
  const { split: _split, ...rest } = shop as typeof shop & { split?: unknown }
  const lost = await stand(memoryStore(), {}, rest)
  const [url] = shop.pools.blue.targets
  const trial = { pool: 'blue', step: 3, rollout: 'r-9', targets: [url] }
  const weights = splitOf(lost) ?? {}
  await lost.control.change(
    { kind: 'shift', service: 'shop', weights, trial, before: weights, rollout: 'r-9' },
    { actor: 'test' },
  )
  await lost.rollouts.start()
  onTestFinished(() => lost.rollouts.close())
  const { targets } = lost.control.snapshot().status['shop'].pools['blue']
  expect(Object.values(targets).map(({ admin }) => admin)).toEqual(['maint', 'ready'])
  expect(lost.events).toEqual([
    expect.stringContaining(`${url} of blue, which may have the new version, are in maintenance`),
  ])
})

test('a record that is older than its split goes back; one that was about to make it goes on', async () => {
  const stood = await begun()
  const snapshot = stood.control.snapshot()
  const [kept] = JSON.parse((await stood.store.get('rollout:shop'))!) as Kept[]
  const behind = (change: Partial<Kept>, rollout: Partial<Kept['rollout']> = {}) =>
    claimsOf([{ ...kept, ...change, rollout: { ...kept.rollout, ...rollout } }], new Map(), snapshot)[0].isBehind
  const before = { step: kept.step - 1 }
  expect(behind({})).toBe(false)
  expect(behind(before)).toBe(true)
  expect(behind(before, { phase: 'moving' })).toBe(false)
  expect(behind(before, { phase: 'moving', weight: 50 })).toBe(true)
  expect(behind(before, { state: 'rollingBack', phase: 'moving', weight: 0 })).toBe(false)
})
