/** What a release stands for, and laws that hold after any sequence of changes. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { PoolSpec } from '../../src/config/schema.ts'
import { applyChange, type Resolved as Change } from '../../src/control/apply.ts'
import { type Content, canonical, reconcileAll } from '../../src/control/reconcile.ts'
import { isTurnoutError } from '../../src/errors.ts'
import { pinName } from '../../src/table/compile-pools.ts'
import { decodeOwnCookie, encodeOwnCookie } from '../../src/table/cookie-record.ts'
import { bulk } from '../helpers/bulk.ts'
import { BLUE, BLUE2, contentOf, GREEN, NOTHING, put, shop, split } from './stand-in.ts'

const tools = { drainMs: () => 30_000 }
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
    expect(switched.intents['shop']).toMatchObject({ release: 'r3', previous: { release: 'r4' } })
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

describe('a name is given out once', () => {
  const remove: Change = { kind: 'service.delete', service: 'shop' }
  const green = (content: Content) => pinOf(content, 'green')
  const pinOf = (content: Content, name: string) => pinName(release(content), content.intents['shop'].pools[name])

  test('also to a service that was removed and created again, by whatever way', () => {
    const given = new Set<string>()
    let content = start()
    for (const again of [put(), { kind: 'file', services: { shop: shop() }, wins: true } as const, put()]) {
      expect(given).not.toContain(release(content))
      given.add(release(content))
      content = apply(apply(content, remove), again)
    }
    expect(given).not.toContain(release(content))
  })

  test('over all services, each of which has its own', () => {
    const content = apply(contentOf({ shop: shop(), api: shop({}, 'api.test') }), {
      kind: 'switch',
      to: { shop: 'green', api: 'green' },
    })
    const names = Object.values(content.intents).flatMap((intent) => [intent.release, intent.previous?.release])
    expect(new Set(names).size).toBe(4)
  })

  test('a switch takes a new one also where the weights were so already, so that all pins end', () => {
    const content = apply(start(), { kind: 'switch', to: { shop: 'blue' } })
    expect(content.services['shop'].split).toEqual({ blue: 100, green: 0 })
    expect(release(content)).not.toBe(release(start()))
    expect(release(apply(content, { kind: 'switch', to: { shop: 'blue' } }))).not.toBe(release(content))
  })

  test('a pool that was removed and added again is not the one that its pins were given for', () => {
    const before = start()
    const removed = apply(before, { kind: 'pool.delete', service: 'shop', pool: 'green' })
    const again = apply(removed, pool({ version: '9', targets: [GREEN] }, 'green'))
    expect(release(again)).toBe(release(before))
    expect(green(again)).not.toBe(green(before))
    expect(pinOf(again, 'blue')).toBe(pinOf(before, 'blue'))
    const whole = { kind: 'restore', from: 1, services: before.services, intents: before.intents } as const
    expect(green(apply(again, whole))).not.toBe(green(again))
  })

  test('a restore that brings a pool back leaves no way back to what its pins meant in between', () => {
    const before = start()
    const version: Change = { kind: 'service.patch', service: 'shop', patch: { pools: { blue: { version: '2.0' } } } }
    const switched = apply(before, version, { kind: 'switch', to: { shop: 'green' } })
    const { services, intents } = before
    const restored = apply(
      switched,
      { kind: 'pool.delete', service: 'shop', pool: 'blue' },
      { kind: 'restore', from: 1, services, intents },
    )
    expect(pinOf(restored, 'blue')).toBe(pinOf(before, 'blue'))
    const back = apply(restored, { kind: 'back', service: 'shop' })
    expect(back.services['shop'].split).toEqual({ blue: 0, green: 100 })
    expect(pinOf(back, 'blue')).not.toBe(pinOf(switched, 'blue'))
  })

  test('and by another run it has another mark, should the numbers go back with the store', () => {
    const [one, other] = ['a', 'b'].map((run) => apply({ ...start(), releases: { last: 7, run } }, remove, put()))
    expect([release(one), release(other)]).toEqual(['r8-a', 'r8-b'])
  })

  test('which a pool has too, so that pins of before a backup was put back lead to no other pool of that name', () => {
    const backup = apply(start(), { kind: 'pool.delete', service: 'shop', pool: 'green' })
    const [one, other] = ['2', '3'].map((version) =>
      apply(
        { ...backup, releases: { last: 3, run: `run${version}` } },
        pool({ version, targets: [GREEN] }, 'green'),
        split(9, 1),
      ),
    )
    expect(release(one)).toBe(release(other))
    expect([green(one), green(other)]).toEqual(['r1.4-run2', 'r1.4-run3'])
    expect(pinOf(other, 'blue')).toBe(pinOf(backup, 'blue'))
    // One that comes back by a restore is as it was, and is no other of the same number.
    const { services, intents } = one
    const [restored, ...others] = [one, other].map((then) =>
      apply(
        then,
        { kind: 'switch', to: { shop: 'blue' } },
        { kind: 'pool.delete', service: 'shop', pool: 'green' },
        { kind: 'restore', from: 1, services, intents },
      ),
    )
    for (const each of [restored, ...others]) expect(green(each)).toBe(green(one))
  })

  test('of any length that can be, a pin can be written, and one of an older Turnout says what it said', () => {
    const last = Number.MAX_SAFE_INTEGER - 1
    const longest = pinName(`r${last}-abcde`, { born: last, bornBy: 'abcde' })
    for (const [name, said] of [
      [longest, `r${last}-abcde.${last}-abcde`],
      [pinName('r1-abcde', { born: 4 }), 'r1-abcde.4'],
      [pinName('r1-abcde', {}), 'r1-abcde'],
    ]) {
      const cookie = { visitor: 'v', service: 'shop', pool: 'green', release: name, target: '', pinned: true, endS: 0 }
      expect(decodeOwnCookie(encodeOwnCookie(cookie, 'a'))?.release).toBe(said)
    }
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

  test('puts a remembered intent in step with the pools and targets of now', () => {
    const content = start()
    const old = structuredClone(content.intents)
    delete old['shop'].pools['green']
    delete old['shop'].pools['blue'].targets[BLUE]
    expect(reconcileAll(content.services, NOTHING, { ...old, gone: old['shop'] }).intents).toEqual(content.intents)
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
    spec: fc.record({ version: fc.constantFrom('', '2'), targets: fc.uniqueArray(fc.constantFrom(...TARGETS)) }),
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

test('laws: intent mirrors spec, no pin ever names two versions of a pool, the same change twice is one', () => {
  fc.assert(
    fc.property(fc.array(changes, { maxLength: 30 }), (steps) => {
      let content = start()
      const history = [content]
      /** What a pin names (pool, release, number of the pool) → the version that it was given for. */
      const meant = new Map<string, string>()
      const given = new Set<string>()
      for (const step of steps) {
        const then = history[typeof step === 'number' ? step % history.length : 0]
        const change: Change =
          typeof step === 'number'
            ? { kind: 'restore', from: step, services: then.services, intents: then.intents }
            : step
        const before = structuredClone(content)
        const next = attempt(content, change)
        expect(content, 'what was given is never changed').toEqual(before)

        const { pools, release, previous } = next.intents['shop']
        const spec = next.services['shop']
        expect(names(pools)).toEqual(names(spec.pools))
        expect(names(spec.split ?? {})).toEqual(names(spec.pools))
        for (const [name, { targets }] of Object.entries(spec.pools))
          expect(names(pools[name].targets)).toEqual(targets.toSorted())

        expect(next.releases.last).toBeGreaterThanOrEqual(content.releases.last)
        for (const name of [release, previous?.release ?? release])
          expect(Number(name.slice(1))).toBeLessThanOrEqual(next.releases.last)
        if (change.kind === 'switch' && next !== content) expect(given).not.toContain(release)
        given.add(release)

        for (const [name, { version }] of Object.entries(spec.pools)) {
          const pin = `${name} ${release} ${pools[name].born}`
          expect(meant.get(pin) ?? version, `a pin to ${pin} names one version`).toBe(version)
          meant.set(pin, version)
        }
        // Going back twice is going forth again, and every switch ends the pins.
        if (change.kind !== 'back' && change.kind !== 'switch') expect(attempt(next, change)).toEqual(next)
        content = next
        history.push(content)
      }
    }),
    { numRuns: bulk(150, 500) },
  )
})
