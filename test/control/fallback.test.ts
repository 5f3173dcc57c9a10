import { expect, test } from 'vitest'
import { planService } from '../../src/config/plan.ts'
import { applyChange, type Resolved as Change } from '../../src/control/apply.ts'
import type { Content } from '../../src/control/reconcile.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { compileService } from '../../src/table/build.ts'
import { statusOf } from '../../src/table/status.ts'
import { BLUE, BLUE2, contentOf, GREEN, placesOf, put, shop, split, startControl } from './stand-in.ts'

const tools = { drainMs: () => 30_000 }
const service = 'shop'
const start = () => contentOf({ shop: shop() })
const apply = (content: Content, ...changes: Change[]) =>
  changes.reduce((now, change) => applyChange(now, change, 1_000_000, tools), content)
const to = (pool: string): Change => ({ kind: 'switch', to: { shop: pool } })
const poolPut = (pool: string, version: string, targets: string[]): Change => ({
  kind: 'pool.put',
  service,
  pool,
  spec: { version, targets },
})
const weights = (weights: Record<string, number>): Change => ({ kind: 'split', service, weights })
const RED = poolPut('red', '2', ['http://127.0.0.1:3009'])

/** The pools that take over, as requests read them. */
function failover({ services, intents }: Content) {
  const status = statusOf(intents[service], undefined, placesOf(intents[service].pools))
  return compileService(planService(service, services[service]), status).failover.map((pool) => pool.name)
}

test('the pool that was switched away from is the last that takes over', () => {
  expect(failover(start())).toEqual(['blue'])
  expect(failover(apply(start(), to('green')))).toEqual(['green', 'blue'])
  expect(failover(apply(start(), split(90, 10), to('green')))).toEqual(['green', 'blue'])
  expect(failover(apply(start(), split(0, 100)))).toEqual(['green', 'blue'])
  expect(failover(apply(start(), put(shop({ split: { green: 1 } }))))).toEqual(['green', 'blue'])
  expect(failover(apply(start(), RED, split(90, 10), to('red')))).toEqual(['red', 'blue', 'green'])
})

test('it stays so while weights are shifted after the switch, behind the pools with weight', () => {
  const content = apply(start(), RED, to('green'), weights({ green: 90, red: 10 }))
  expect(failover(content)).toEqual(['green', 'red', 'blue'])
  expect(failover(apply(content, weights({ green: 100 })))).toEqual(['green', 'blue'])
})

test('a canary that goes back to 0 is none, nor is what `back` left', () => {
  expect(failover(apply(start(), split(90, 10), split(100, 0)))).toEqual(['blue'])
  expect(failover(apply(start(), to('green'), { kind: 'back', service }))).toEqual(['blue'])
})

test('it ends when the pool holds the next release, goes, or has weight again', () => {
  const switched = apply(start(), to('green'))
  expect(failover(apply(switched, poolPut('blue', '1.2', [BLUE, BLUE2])))).toEqual(['green'])
  expect(failover(apply(switched, poolPut('blue', '1.0', ['http://127.0.0.1:3010'])))).toEqual(['green'])
  expect(failover(apply(switched, poolPut('blue', '1.0', [BLUE])))).toEqual(['green', 'blue'])
  expect(failover(apply(switched, { kind: 'pool.delete', service, pool: 'blue' }))).toEqual(['green'])
  const shared = apply(switched, split(1, 9))
  expect(failover(shared)).toEqual(['green', 'blue'])
  expect(shared.intents[service].fallback).toBeUndefined()
})

test('a failover list of the service stands as it is', () => {
  const content = apply(contentOf({ shop: shop({ failover: [] }) }), to('green'))
  expect(failover(content)).toEqual([])
})

test('what does not touch it keeps the very same status', () => {
  const switched = apply(start(), to('green'))
  const state: Change = { kind: 'target.state', service, pool: 'green', target: GREEN, state: 'drain' }
  expect(apply(switched, state).intents[service].fallback).toBe(switched.intents[service].fallback)
})

test('the hot standby and who has which buckets are as they were after a restart', async () => {
  const store = memoryStore()
  const first = await startControl({ store })
  await first.make(put(shop({ split: { blue: 90, green: 10 } })))
  for (const change of [RED, weights({ blue: 60, green: 20, red: 20 }), weights({ blue: 30, green: 30, red: 40 })]) {
    await first.make(change)
  }
  const { allotment } = first.control.snapshot().status[service]
  const second = await startControl({ store })
  expect(second.control.snapshot().status[service].allotment).toEqual(allotment)
  expect(allotment?.ranges.length).toBeGreaterThan(3)

  await second.make(to('red'))
  const third = await startControl({ store })
  expect(third.control.snapshot().status[service].fallback).toEqual(['blue', 'green'])
})
