import { describe, expect, test } from 'vitest'
import { hostOf } from '../../src/names/address.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { AdminState } from '../../src/table/types.ts'
import { BLUE, BLUE2, GREEN, put, shop, split, startControl } from './stand-in.ts'

const SLOW = {
  slowStart: '30s',
  health: { path: '/', interval: '1s', timeout: '1s', healthyAfter: 1, unhealthyAfter: 1, status: '200' },
}

async function start(changes: object = {}, store = memoryStore()) {
  const started = await startControl({ store })
  const { control, make, target, clock } = started
  if (Object.keys(control.snapshot().services).length === 0) await make(put(shop({ ...SLOW, ...changes })))
  const began = (url: string, pool = 'blue') => target(url, pool).addresses[0].warmFromMs
  const see = (url: string, health: 'healthy' | 'unhealthy', pool = 'blue') =>
    control.observe([{ service: 'shop', pool, target: url, address: hostOf(url), health }])
  const set = (pool: string, state: AdminState) => make({ kind: 'pool.state', service: 'shop', pool, state })
  return { ...started, began, see, set, nowMs: () => clock.steadyMs() }
}

describe('since when a target is offered traffic', () => {
  test('begins when it is found healthy in a pool with weight, and lasts while it is well', async () => {
    const { began, see, advance, nowMs } = await start({ split: { blue: 1, green: 0 }, live: undefined })
    const atMs = nowMs()
    await see(BLUE, 'healthy')
    await see(GREEN, 'healthy', 'green')
    expect([began(BLUE), began(BLUE2), began(GREEN, 'green')]).toEqual([atMs, undefined, undefined])
    await advance(5_000)
    await see(BLUE2, 'healthy')
    expect([began(BLUE), began(BLUE2)]).toEqual([atMs, atMs + 5_000])
    await see(BLUE, 'unhealthy')
    expect(began(BLUE)).toBeUndefined()
    await advance(1_000)
    await see(BLUE, 'healthy')
    expect(began(BLUE)).toBe(nowMs())
  })

  test('begins when a pool is given weight, and is kept by the one that loses it: who goes back finds it warm', async () => {
    const { began, see, advance, make, nowMs } = await start({ split: { blue: 1, green: 0 }, live: undefined })
    for (const [url, pool] of [
      [BLUE, 'blue'],
      [BLUE2, 'blue'],
      [GREEN, 'green'],
    ])
      await see(url, 'healthy', pool)
    const atMs = nowMs()
    await advance(60_000)
    await make({ kind: 'switch', to: { shop: 'green' } })
    expect([began(BLUE), began(GREEN, 'green')]).toEqual([atMs, atMs + 60_000])
    await advance(60_000)
    await make({ kind: 'back', service: 'shop' })
    expect([began(BLUE), began(GREEN, 'green')]).toEqual([atMs, atMs + 60_000])
  })

  test('begins before the first probe where its pool has nobody who is known to be well, since it gets the requests then', async () => {
    const { began, see, advance, nowMs } = await start({ split: { blue: 1, green: 0 }, live: undefined })
    const atMs = nowMs()
    expect([began(BLUE), began(BLUE2), began(GREEN, 'green')]).toEqual([atMs, atMs, undefined])
    await advance(1_000)
    await see(BLUE, 'healthy')
    expect([began(BLUE), began(BLUE2)]).toEqual([atMs, undefined])
    await see(BLUE, 'unhealthy')
    expect([began(BLUE), began(BLUE2)]).toEqual([undefined, nowMs()])
  })

  test('ends with a drain, standby or maintenance, of the target or its pool', async () => {
    const { began, see, set, advance, nowMs } = await start({ split: { blue: 1, green: 1 }, live: undefined })
    await see(BLUE, 'healthy')
    for (const state of ['drain', 'standby', 'maint'] as const) {
      await set('blue', state)
      expect(began(BLUE)).toBeUndefined()
      await advance(1_000)
      await set('blue', 'ready')
      expect(began(BLUE)).toBe(nowMs())
    }
  })

  test('is nothing without a slow start, and begins for all at once when there is one', async () => {
    const { began, see, make, advance, nowMs } = await start({ slowStart: undefined })
    await see(BLUE, 'healthy')
    await see(BLUE2, 'healthy')
    expect([began(BLUE), began(BLUE2)]).toEqual([undefined, undefined])
    await advance(60_000)
    await make({ kind: 'service.patch', service: 'shop', patch: { slowStart: '10s' } })
    expect([began(BLUE), began(BLUE2)]).toEqual([nowMs(), nowMs()])
  })

  test('survives a restart, in wall time while the process is away', async () => {
    const store = memoryStore()
    const first = await start({ split: { blue: 1, green: 0 }, live: undefined }, store)
    await first.see(BLUE, 'healthy')
    const atMs = first.nowMs()
    await first.advance(10_000)
    await first.control.close()
    const second = await start({}, store)
    expect(second.began(BLUE)).toBe(atMs)
    await second.control.close()
  })

  test('without probes it begins with the target', async () => {
    const { began, make, advance, nowMs } = await start({
      health: undefined,
      split: { blue: 1, green: 0 },
      live: undefined,
    })
    const atMs = nowMs()
    expect([began(BLUE), began(GREEN, 'green')]).toEqual([atMs, undefined])
    await advance(3_000)
    await make(split(1, 1))
    expect([began(BLUE), began(GREEN, 'green')]).toEqual([atMs, atMs + 3_000])
  })
})
