import { describe, expect, test } from 'vitest'
import { applyChange, type Resolved as Change } from '../../src/control/apply.ts'
import type { Content } from '../../src/control/reconcile.ts'
import { isTurnoutError } from '../../src/errors.ts'
import { hostOf } from '../../src/names/address.ts'
import type { AdminState } from '../../src/table/types.ts'
import { BLUE, BLUE2, codeOf, contentOf, GREEN, NOTHING, put, shop, split, weights } from './stand-in.ts'

const NOW = 1_000_000
const tools = { drainMs: () => 30_000 }
const apply = (content: Content, ...changes: Change[]) =>
  changes.reduce((state, change) => applyChange(state, change, NOW, tools), content)
const start = (changes = {}) => contentOf({ shop: shop(changes) })
const to = (pool: string): Change => ({ kind: 'switch', to: { shop: pool } })
const back: Change = { kind: 'back', service: 'shop' }
const poolState = (pool: string, state: AdminState): Change => ({ kind: 'pool.state', service: 'shop', pool, state })
const targetState = (target: string, state: AdminState, pool = 'blue'): Change => ({
  kind: 'target.state',
  service: 'shop',
  pool,
  target,
  state,
})
const patch = (patch: Record<string, unknown>): Change => ({ kind: 'service.patch', service: 'shop', patch })
const fails = (content: Content, ...changes: Change[]) => codeOf(() => apply(content, ...changes))
const refused = (content: Content, change: Change) => {
  try {
    apply(content, change)
  } catch (error) {
    if (isTurnoutError(error)) return error
  }
  throw new Error('it was not refused')
}

/** Brings a target into this health, as an observation would. */
function withHealth(content: Content, pool: string, health: 'healthy' | 'unhealthy'): Content {
  const targets = Object.keys(content.intents['shop'].pools[pool].targets)
  const seen = Object.fromEntries(targets.map((url) => [url, { [hostOf(url)]: { health, ejectedUntilMs: 0 } }]))
  return { ...content, observed: { shop: { ...content.observed['shop'], [pool]: seen } } }
}

describe('a service', () => {
  test('is created with a split for all of its pools, release r1 and targets that are ready', () => {
    const { live: _live, split: _split, ...spec } = shop()
    const content = apply(NOTHING, put({ ...spec, live: 'green' }))
    expect(weights(content)).toEqual({ blue: 0, green: 100 })
    expect(content.services['shop']).not.toHaveProperty('live')
    const fresh = { admin: 'ready', drainUntilMs: 0 }
    expect(content.intents['shop']).toEqual({
      release: 'r1',
      previous: null,
      pools: {
        blue: { admin: 'ready', drainUntilMs: 0, targets: { [BLUE]: fresh, [BLUE2]: fresh } },
        green: { admin: 'ready', drainUntilMs: 0, targets: { [GREEN]: fresh } },
      },
    })
  })

  test('put twice changes nothing the second time, in whatever order its keys stand', () => {
    const content = start()
    expect(apply(content, put(shop()))).toBe(content)
    const reversed = Object.fromEntries(Object.entries(shop()).reverse()) as ReturnType<typeof shop>
    expect(apply(content, put(reversed))).toBe(content)
  })

  test('that changes leaves every other service the same object', () => {
    const content = contentOf({ shop: shop(), api: shop({}, 'api.test') })
    const next = apply(content, split(1, 1))
    expect(next.services['api']).toBe(content.services['api'])
    expect(next.intents['api']).toBe(content.intents['api'])
    expect(content.services['shop'].split).toEqual({ blue: 100, green: 0 })
  })

  test('is removed with its status, and an unknown one is not found', async () => {
    const gone = apply(start(), { kind: 'service.delete', service: 'shop' })
    expect(gone).toEqual({ ...NOTHING, releases: gone.releases, base: start().base })
    expect(await fails(gone, { kind: 'service.delete', service: 'shop' })).toBe('not_found')
  })

  test.each<Change>([
    split(1, 1),
    to('green'),
    back,
    poolState('blue', 'drain'),
    patch({}),
    targetState(BLUE, 'maint'),
  ])('that does not exist is not found by $kind, not even under an inherited name', async (change) => {
    expect(await fails(NOTHING, change)).toBe('not_found')
    const inherited = 'service' in change ? { ...change, service: 'constructor' } : change
    expect(await fails(NOTHING, inherited)).toBe('not_found')
  })
})

describe('split', () => {
  test('shifts weights, keeps the release and remembers the split before', () => {
    const content = apply(start(), split(90, 10))
    expect(weights(content)).toEqual({ blue: 90, green: 10 })
    expect(content.intents['shop']).toMatchObject({
      release: 'r1',
      previous: { weights: { blue: 100, green: 0 }, release: 'r1' },
    })
  })

  test('gives pools that it does not name weight 0', () => {
    expect(weights(apply(start(), { kind: 'split', service: 'shop', weights: { green: 3 } }))).toEqual({
      blue: 0,
      green: 3,
    })
  })

  test('that is so already changes nothing and is not remembered', () => {
    const content = apply(start(), split(90, 10))
    expect(apply(content, split(90, 10))).toBe(content)
  })

  test('refuses unknown pools with a pointer for each, and a sum of 0', () => {
    const error = refused(start(), { kind: 'split', service: 'shop', weights: { red: 1, 'a/b~c': 1, constructor: 1 } })
    expect(error.code).toBe('invalid')
    expect(error.faults.map(({ pointer }) => pointer)).toEqual([
      '/weights/red',
      '/weights/a~1b~0c',
      '/weights/constructor',
    ])
    expect(refused(start(), split(0, 0)).faults).toMatchObject([{ pointer: '/weights' }])
    expect(refused(start(), { kind: 'split', service: 'shop', weights: {} }).code).toBe('invalid')
  })
})

describe('switch', () => {
  test('sends everything to one pool under a new release, and the other stays ready', () => {
    const content = apply(start(), split(90, 10), to('green'))
    expect(weights(content)).toEqual({ blue: 0, green: 100 })
    expect(content.intents['shop']).toMatchObject({
      release: 'r2',
      previous: { weights: { blue: 90, green: 10 }, release: 'r1' },
    })
    expect(content.intents['shop'].pools['blue'].admin).toBe('ready')
  })

  test('switches several services at once, or none of them', async () => {
    const content = contentOf({ shop: shop(), api: shop({}, 'api.test') })
    const both = apply(content, { kind: 'switch', to: { shop: 'green', api: 'green' } })
    expect([weights(both), weights(both, 'api')]).toEqual([
      { blue: 0, green: 100 },
      { blue: 0, green: 100 },
    ])
    expect(await fails(content, { kind: 'switch', to: { shop: 'green', api: 'red' } })).toBe('not_found')
    expect(await fails(content, { kind: 'switch', to: {} })).toBe('invalid')
  })

  test('of an unknown or inherited pool name is not found', async () => {
    expect(await fails(start(), to('red'))).toBe('not_found')
    expect(await fails(start(), to('toString'))).toBe('not_found')
  })
})

describe('back', () => {
  test('restores the weights and their release, so that the same visitors come first', () => {
    const content = apply(start(), split(90, 10), to('green'), back)
    expect(weights(content)).toEqual({ blue: 90, green: 10 })
    expect(content.intents['shop']).toMatchObject({
      release: 'r1',
      previous: { weights: { blue: 0, green: 100 }, release: 'r2' },
    })
  })

  test('twice is where it began', () => {
    const content = apply(start(), split(90, 10), to('green'), back, back)
    expect(weights(content)).toEqual({ blue: 0, green: 100 })
    expect(content.intents['shop'].release).toBe('r2')
  })

  test('never gives a release out twice: the next switch after it is a new one', () => {
    expect(apply(start(), to('green'), back, to('green')).intents['shop'].release).toBe('r3')
  })

  test('is refused when there is nothing to go back to', async () => {
    expect(await fails(start(), back)).toBe('conflict')
  })

  test('is refused after the pool that it would return to was removed', () => {
    const removed: Change = { kind: 'pool.delete', service: 'shop', pool: 'blue' }
    const { code, message } = refused(apply(start(), to('green'), removed), back)
    expect([code, message]).toEqual(['conflict', expect.stringContaining('or a pool of it is gone')])
  })
})

describe('rules and pools', () => {
  test('rules are replaced without touching the release', () => {
    const rules = [{ name: 'staff', when: { header: { 'x-internal': '1' } }, to: 'green' }]
    const content = apply(start(), { kind: 'rules', service: 'shop', rules })
    expect(content.services['shop'].rules).toEqual(rules)
    expect(content.intents['shop']).toEqual(start().intents['shop'])
    expect(apply(content, { kind: 'rules', service: 'shop', rules })).toBe(content)
  })

  test('a new pool gets weight 0 and changes nothing for anyone', () => {
    const spec = { version: '2.0', targets: ['http://127.0.0.1:3009'] }
    const before = start()
    const content = apply(before, { kind: 'pool.put', service: 'shop', pool: 'red', spec })
    expect(weights(content)).toEqual({ blue: 100, green: 0, red: 0 })
    expect(content.intents['shop'].release).toBe('r1')
    expect(content.intents['shop'].pools['blue']).toBe(before.intents['shop'].pools['blue'])
  })

  test('a removed pool leaves the split, the status and nothing behind', () => {
    const content = apply(start(), { kind: 'pool.delete', service: 'shop', pool: 'green' })
    expect(weights(content)).toEqual({ blue: 100 })
    expect(Object.keys(content.intents['shop'].pools)).toEqual(['blue'])
  })

  test.each([
    ['has weight', {}, 'blue'],
    ['is named by a rule', { rules: [{ name: 'a', when: { cookie: { a: '1' } }, to: 'green' }] }, 'green'],
    ['is denied by a rule', { rules: [{ name: 'a', when: { cookie: { a: '1' } }, deny: 'green' }] }, 'green'],
    ['is in the failover list', { failover: ['green'] }, 'green'],
    ['is the last', { pools: { blue: { targets: [BLUE] } }, split: { blue: 1 } }, 'blue'],
  ])('a pool is not removed while it %s', async (_why, changes, pool) => {
    expect(await fails(start(changes), { kind: 'pool.delete', service: 'shop', pool })).toBe('conflict')
  })

  test('an unknown pool is not found', async () => {
    expect(await fails(start(), { kind: 'pool.delete', service: 'shop', pool: 'red' })).toBe('not_found')
    expect(await fails(start(), poolState('valueOf', 'drain'))).toBe('not_found')
  })
})

describe('states', () => {
  test('draining a pool sets its deadline, and every other state clears it', () => {
    const before = start()
    const drained = apply(before, poolState('blue', 'drain'))
    expect(drained.intents['shop'].pools['blue']).toMatchObject({ admin: 'drain', drainUntilMs: NOW + 30_000 })
    expect(drained.services).toBe(before.services)
    const ready = apply(drained, poolState('blue', 'ready'))
    expect(ready.intents['shop'].pools['blue']).toMatchObject({ admin: 'ready', drainUntilMs: 0 })
  })

  test('the same state again changes nothing, so a deadline does not move', () => {
    const drained = apply(start(), poolState('blue', 'drain'), targetState(BLUE, 'drain'))
    expect(applyChange(drained, poolState('blue', 'drain'), NOW + 5000, tools)).toBe(drained)
    expect(applyChange(drained, targetState(BLUE, 'drain'), NOW + 5000, tools)).toBe(drained)
  })

  test('a state of a target leaves what was seen of it and the other targets alone', () => {
    const before = withHealth(start(), 'blue', 'unhealthy')
    const after = apply(before, targetState(BLUE, 'drain'))
    const pool = after.intents['shop'].pools['blue']
    expect(after.observed).toBe(before.observed)
    expect(pool.targets[BLUE]).toEqual({ admin: 'drain', drainUntilMs: NOW + 30_000 })
    expect(pool.targets[BLUE2]).toBe(before.intents['shop'].pools['blue'].targets[BLUE2])
    expect(pool.admin).toBe('ready')
  })

  test.each([BLUE, '127.0.0.1:3001', `${BLUE}/`, 'HTTP://127.0.0.1:3001'])('a target is found by %s', (name) => {
    const pool = apply(start(), targetState(name, 'maint')).intents['shop'].pools['blue']
    expect(pool.targets[BLUE].admin).toBe('maint')
  })

  test('a target on the default port is found with and without it', () => {
    const pools = { blue: { targets: ['http://a.test', 'https://b.test'] } } as never
    const content = start({ pools, split: { blue: 1 } })
    for (const name of ['a.test:80', 'http://a.test:80', 'b.test:443']) {
      expect(apply(content, targetState(name, 'maint'))).not.toBe(content)
    }
  })

  test('an unknown target is not found, and an ambiguous one a conflict', async () => {
    expect(await fails(start(), targetState('127.0.0.1:3003', 'maint'))).toBe('not_found')
    const targets = ['http://a.test:8000', 'https://a.test:8000']
    const both = start({ pools: { blue: { version: '', targets } }, split: { blue: 1 } })
    expect(await fails(both, targetState('a.test:8000', 'maint'))).toBe('conflict')
    expect(apply(both, targetState(targets[1], 'maint'))).not.toBe(both)
  })
})

describe('a merge patch', () => {
  test('changes what it names, removes what it nulls, and fills in defaults', () => {
    const content = apply(start(), patch({ balance: 'random', health: null, pools: { blue: { version: '2' } } }))
    const spec = content.services['shop']
    expect(spec).toMatchObject({ balance: 'random', pools: { blue: { version: '2', targets: [BLUE, BLUE2] } } })
    expect(spec.health).toBeUndefined()
    expect(apply(content, patch({ drain: null, health: { path: '/up' } })).services['shop']).toMatchObject({
      drain: { timeout: '30s' },
      health: { path: '/up', interval: '5s' },
    })
  })

  test('may say where the traffic goes by live or by split', () => {
    expect(weights(apply(start(), patch({ live: 'green' })))).toEqual({ blue: 0, green: 100 })
    expect(weights(apply(start(), patch({ split: { green: 50 } })))).toEqual({ blue: 100, green: 50 })
  })

  test('removes a pool without traffic, and not one with traffic', async () => {
    expect(weights(apply(start(), patch({ pools: { green: null } })))).toEqual({ blue: 100 })
    expect(await fails(start(), patch({ pools: { blue: null } }))).toBe('invalid')
  })

  test('sets a weight of a target, and takes one away with its target', async () => {
    const weighed = apply(start(), patch({ pools: { blue: { weights: { [BLUE2]: 3 } } } }))
    expect(weighed.services['shop'].pools['blue']).toMatchObject({ targets: [BLUE, BLUE2], weights: { [BLUE2]: 3 } })
    expect(weighed.intents['shop'].release).toBe('r1')
    const left = apply(weighed, patch({ pools: { blue: { targets: [BLUE] } } })).services['shop'].pools['blue']
    expect([left.targets, left.weights]).toEqual([[BLUE], undefined])
    const stale = { pools: { blue: { targets: [BLUE], weights: { [BLUE2]: 2 } } } }
    expect(await fails(weighed, patch(stale))).toBe('invalid')
  })

  test('answers every fault of what comes out', () => {
    const { faults } = refused(start(), patch({ balance: 'best', drain: 5, colour: 'red' }))
    expect(faults.length).toBeGreaterThanOrEqual(3)
  })

  test('of values of the wrong kind, of odd names or of great depth is refused and harms nothing', async () => {
    const deep = JSON.parse(`${'{"a":'.repeat(200)}1${'}'.repeat(200)}`)
    expect(await fails(start(), patch({ health: { json: deep } }))).toBe('invalid')
    expect(await fails(start(), patch({ split: 5, pools: 'x' }))).toBe('invalid')
    expect(await fails(start(), patch(JSON.parse('{"__proto__":{"polluted":1}}')))).toBe('invalid')
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  test('that changes nothing changes nothing', () => {
    const content = start()
    expect(apply(content, patch({ balance: 'least-request' }))).toBe(content)
  })
})

describe('restore and file', () => {
  const restored = (now: Content, then: Content) =>
    apply(now, { kind: 'restore', from: 1, services: then.services, intents: then.intents })

  test('restore brings the spec and its release back, keeps target states, and gives no release out again', () => {
    const then = apply(start(), split(90, 10))
    const now = withHealth(apply(then, to('green'), to('blue'), targetState(BLUE, 'maint')), 'blue', 'unhealthy')
    const content = restored(now, then)
    expect(weights(content)).toEqual({ blue: 90, green: 10 })
    expect(content.intents['shop']).toMatchObject({
      release: 'r1',
      previous: { weights: { blue: 100, green: 0 }, release: 'r3' },
    })
    expect(content.intents['shop'].pools['blue'].targets[BLUE].admin).toBe('maint')
    expect(content.observed).toBe(now.observed)
    expect(apply(content, to('green')).intents['shop'].release).toBe('r4')
  })

  test('restore of what is so already changes nothing, and of other rules keeps the release', () => {
    const then = start()
    const now = apply(then, to('green'), to('blue'))
    expect(restored(now, then)).toBe(now)
    const rules = [{ name: 'a', when: { cookie: { a: '1' } }, to: 'green' }]
    const ruled = apply(now, { kind: 'rules', service: 'shop', rules })
    expect(restored(ruled, then).intents['shop'].release).toBe('r3')
  })

  test('restore after a version changed does not let back revive the pins of another version', () => {
    const then = start()
    const now = apply(
      then,
      { kind: 'pool.put', service: 'shop', pool: 'blue', spec: { version: '2.0', targets: [BLUE] } },
      split(1, 1),
    )
    const content = restored(now, then)
    expect(content.intents['shop'].release).toBe('r1')
    expect(['r1', 'r2']).not.toContain(content.intents['shop'].previous?.release)
  })

  test('restore brings a removed service back with its releases and the states that people had set', () => {
    const then = apply(start(), to('green'), poolState('blue', 'standby'), targetState(BLUE, 'maint'))
    const content = restored(NOTHING, withHealth(then, 'blue', 'unhealthy'))
    expect(content.services).toEqual(then.services)
    expect(content.intents['shop']).toMatchObject({ release: 'r2' })
    expect(content.intents['shop'].pools['blue'].admin).toBe('standby')
    expect(content.intents['shop'].pools['blue'].targets[BLUE].admin).toBe('maint')
  })

  test('file applies what changed in it since it was last applied, and keeps the intent of what stays', () => {
    const file = { shop: shop(), old: shop({}, 'old.test') }
    const content = apply(apply(NOTHING, { kind: 'file', services: file }), split(60, 40), poolState('green', 'drain'))
    const next = apply(content, { kind: 'file', services: { shop: shop(), api: shop({}, 'api.test') } })
    expect(Object.keys(next.services)).toEqual(['shop', 'api'])
    expect(Object.keys(next.intents)).toEqual(['shop', 'api'])
    expect(next.services['shop']).toBe(content.services['shop'])
    expect(next.intents['shop']).toBe(content.intents['shop'])
    expect(weights(next)).toEqual({ blue: 60, green: 40 })
    expect(apply(next, { kind: 'file', services: { shop: shop(), api: shop({}, 'api.test') } })).toBe(next)
  })

  test('names that every object inherits are names like others', () => {
    const services = JSON.parse(`{"__proto__":${JSON.stringify(shop())}}`)
    const content = apply(NOTHING, { kind: 'file', services })
    expect(Object.keys(content.services)).toEqual(['__proto__'])
    expect(Object.keys(content.intents)).toEqual(['__proto__'])
    expect(Object.getPrototypeOf(content.services)).toBe(Object.prototype)
  })
})
