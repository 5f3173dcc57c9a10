/** What a release stands for, and laws that hold after any sequence of changes. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Change } from '../../src/change.ts'
import { validateService } from '../../src/config/check.ts'
import type { PoolSpec } from '../../src/config/schema.ts'
import { applyChange } from '../../src/control/apply.ts'
import { type Content, canonical, reconcileAll } from '../../src/control/reconcile.ts'
import { isTurnoutError } from '../../src/errors.ts'
import { BLUE, BLUE2, contentOf, GREEN, put, shop, split } from './stand-in.ts'

const tools = { drainMs: () => 30_000, complete: validateService }
const apply = (content: Content, ...changes: Change[]) =>
  changes.reduce((state, change) => applyChange(state, change, 1_000_000, tools), content)
const start = () => contentOf({ shop: shop() })
const pool = (spec: PoolSpec, name = 'blue'): Change => ({ kind: 'pool.put', service: 'shop', pool: name, spec })
const release = (content: Content) => content.intents['shop'].release

describe('the release', () => {
  test('changes when a pool gets another version', () => {
    expect(release(apply(start(), pool({ version: '2.0', targets: [BLUE, BLUE2] })))).toBe('r2')
    expect(release(apply(start(), pool({ version: '2.0', targets: [GREEN] }, 'green')))).toBe('r2')
  })

  test('changes when no target of a pool stays, and not when one does', () => {
    expect(release(apply(start(), pool({ version: '1.0', targets: ['http://127.0.0.1:4001'] })))).toBe('r2')
    expect(release(apply(start(), pool({ version: '1.0', targets: [] })))).toBe('r2')
    expect(release(apply(start(), pool({ version: '1.0', targets: [BLUE2, 'http://127.0.0.1:4001'] })))).toBe('r1')
    const emptied = apply(start(), pool({ version: '1.0', targets: [] }))
    expect(release(apply(emptied, pool({ version: '1.0', targets: [BLUE] })))).toBe('r2')
  })

  test('stays through splits, rules, states and new pools', () => {
    const content = apply(
      start(),
      split(50, 50),
      { kind: 'pool.state', service: 'shop', pool: 'blue', state: 'drain' },
      pool({ version: '3', targets: [] }, 'red'),
      { kind: 'pool.delete', service: 'shop', pool: 'red' },
      split(1, 99),
    )
    expect(release(content)).toBe('r1')
  })

  test('that back returns to is a new one when the pools hold something else by then', () => {
    const changed = apply(start(), split(90, 10), pool({ version: '2.0', targets: [BLUE] }))
    expect(changed.intents['shop']).toMatchObject({ release: 'r2', previous: { release: 'r2' } })
    const switched = apply(
      start(),
      { kind: 'switch', to: { shop: 'green' } },
      pool({ version: '2.0', targets: [BLUE] }),
    )
    expect(switched.intents['shop']).toMatchObject({ release: 'r3', previous: { release: 'r4' }, releaseLast: 4 })
    expect(apply(switched, { kind: 'back', service: 'shop' }).intents['shop'].release).toBe('r4')
  })

  test('changes once when weights and version change together, and back keeps the old weights only', () => {
    const changed = shop({ split: { blue: 1, green: 1 } })
    changed.pools['blue'].version = '2.0'
    const content = apply(start(), put(changed))
    expect(content.intents['shop']).toMatchObject({
      release: 'r2',
      previous: { weights: { blue: 100, green: 0 }, release: 'r2' },
    })
  })
})

describe('reconciling', () => {
  test('keeps what people have set on the targets that stay, and adds and removes the others', () => {
    const content = structuredClone(start())
    const target = content.intents['shop'].pools['blue'].targets[BLUE]
    Object.assign(target, { admin: 'drain', drainUntilMs: 5 })
    const next = apply(content, pool({ version: '1.0', targets: ['http://127.0.0.1:4001', BLUE] }))
    const { targets } = next.intents['shop'].pools['blue']
    expect(Object.keys(targets)).toEqual(['http://127.0.0.1:4001', BLUE])
    expect(targets[BLUE]).toBe(target)
    expect(targets['http://127.0.0.1:4001']).toEqual({ admin: 'ready', drainUntilMs: 0 })
  })

  test('puts an intent in step that was stored with other targets', () => {
    const content = start()
    const stale = structuredClone(content.intents)
    delete stale['shop'].pools['green']
    delete stale['shop'].pools['blue'].targets[BLUE]
    const { intents } = reconcileAll(content.services, { ...content, intents: { ...stale, gone: stale['shop'] } })
    expect(intents).toEqual(content.intents)
    expect(reconcileAll(content.services, content).intents).toBe(content.intents)
  })

  test('refuses a service of which nobody can say where the traffic goes', () => {
    const { split: _split, ...spec } = shop()
    expect(() => canonical(spec)).toThrow('A split or a live pool is needed')
    expect(() => canonical({ ...spec, split: { blue: 1 }, live: 'blue' })).toThrow('not both')
    expect(canonical({ ...spec, pools: { blue: spec.pools['blue'] } }).split).toEqual({ blue: 100 })
  })

  test('leaves weights of unknown pools to be reported, and drops those of 0', () => {
    expect(canonical({ ...shop(), split: { blue: 1, red: 2, grey: 0 } }).split).toEqual({ blue: 1, green: 0, red: 2 })
  })
})

const POOLS = ['blue', 'green', 'red', 'constructor']
const TARGETS = [BLUE, BLUE2, GREEN, 'http://127.0.0.1:3004']
const poolName = fc.constantFrom(...POOLS)
const service = 'shop'
const state = fc.constantFrom('ready', 'drain', 'standby', 'maint')

/** Restores are made from the history, so they are numbers here. */
const changes: fc.Arbitrary<Change | number> = fc.oneof(
  fc.record({
    kind: fc.constant('split' as const),
    service: fc.constant(service),
    weights: fc.dictionary(poolName, fc.nat(3), { noNullPrototype: true }),
  }),
  poolName.map((name) => ({ kind: 'switch' as const, to: { shop: name } })),
  fc.constant({ kind: 'back' as const, service }),
  fc.record({
    kind: fc.constant('pool.put' as const),
    service: fc.constant(service),
    pool: poolName,
    // A version belongs to its pool's name, so that a pool that was removed returns as what it was.
    spec: fc.record({ version: fc.constant(''), targets: fc.uniqueArray(fc.constantFrom(...TARGETS)) }),
  }),
  fc.record({ kind: fc.constant('pool.delete' as const), service: fc.constant(service), pool: poolName }),
  fc.record({ kind: fc.constant('pool.state' as const), service: fc.constant(service), pool: poolName, state }),
  fc.record({
    kind: fc.constant('service.patch' as const),
    service: fc.constant(service),
    patch: fc.record({ pools: fc.record({ blue: fc.record({ version: fc.constantFrom('1', '2', '3') }) }) }),
  }),
  fc.nat(20),
) as fc.Arbitrary<Change | number>

const names = (record: object) => Object.keys(record).sort()

function attempt(content: Content, change: Change): Content {
  try {
    return applyChange(content, change, 1_000_000, tools)
  } catch (error) {
    if (!isTurnoutError(error)) throw error
    return content
  }
}

test('laws: intent mirrors spec, releases never return with another version, the same change twice is one', () => {
  fc.assert(
    fc.property(fc.array(changes, { maxLength: 30 }), (steps) => {
      let content = start()
      const history = [content]
      /** Release → version of blue, which nothing removes for good. */
      const meant = new Map<string, string>()
      for (const step of steps) {
        const then = history[typeof step === 'number' ? step % history.length : 0]
        const change: Change =
          typeof step === 'number'
            ? { kind: 'restore', from: step, services: then.services, intents: then.intents }
            : step
        const before = structuredClone(content)
        const next = attempt(content, change)
        expect(content, 'what was given is never changed').toEqual(before)

        const { pools, release: live, releaseLast, previous } = next.intents['shop']
        const spec = next.services['shop']
        expect(names(pools)).toEqual(names(spec.pools))
        expect(names(spec.split ?? {})).toEqual(names(spec.pools))
        for (const [name, { targets }] of Object.entries(spec.pools))
          expect(names(pools[name].targets)).toEqual(targets.toSorted())
        expect(releaseLast).toBeGreaterThanOrEqual(content.intents['shop'].releaseLast)
        for (const name of [live, previous?.release ?? live])
          expect(Number(name.slice(1))).toBeLessThanOrEqual(releaseLast)

        const blue = Object.hasOwn(spec.pools, 'blue') ? spec.pools['blue'].version : undefined
        if (blue !== undefined && !steps.some((each) => typeof each === 'object' && each.kind === 'pool.delete')) {
          expect(meant.get(live) ?? blue, `${live} names one version`).toBe(blue)
          meant.set(live, blue)
        }
        // Going back twice is going forth again, and a restore may name a status that has moved on.
        if (change.kind !== 'back') expect(attempt(next, change)).toEqual(next)
        content = next
        history.push(content)
      }
    }),
    { numRuns: 300 },
  )
})
