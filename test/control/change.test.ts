/** The way of a change: order, one at a time, what is answered when, and what goes to the workers. */
import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { Change } from '../../src/change.ts'
import type { Services } from '../../src/config/schema.ts'
import { CHANGES_WAITING_MAX } from '../../src/control/control.ts'
import { isTurnoutError } from '../../src/errors.ts'
import { SLOTS } from '../../src/metrics/layout.ts'
import { BLUE, BLUE2, codeOf, gate, put, shop, split, standInStore, startControl } from './stand-in.ts'

describe('at the start', () => {
  test('an empty store gives an empty table, so that workers have one', async () => {
    const { control, deltas } = await startControl()
    expect(control.snapshot()).toEqual({ revision: 0, epoch: 1, services: {}, status: {}, revisions: {} })
    expect(deltas).toEqual([{ epoch: 1, revision: 0, services: {} }])
  })

  test('everything that was stored is in the first table, with all three axes as they were', async () => {
    const before = await startControl()
    await before.make(put())
    await before.make(split(90, 10))
    await before.make({ kind: 'target.state', service: 'shop', pool: 'blue', target: BLUE, state: 'drain' })
    await before.control.observe([
      { service: 'shop', pool: 'blue', target: BLUE, health: 'unhealthy', ejectedUntilMs: 1_200_000 },
    ])
    await before.control.close()

    const after = await startControl({ store: before.store })
    expect(after.control.snapshot()).toEqual({ ...before.control.snapshot(), epoch: 1 })
    expect(after.deltas).toHaveLength(1)
    expect(after.deltas[0].services['shop']).toMatchObject({ plan: { name: 'shop', weights: { blue: 90, green: 10 } } })
    expect(after.target(BLUE)).toMatchObject({ admin: 'drain', health: 'unhealthy', ejectedUntilMs: 1_200_000 })
  })

  test('a store that cannot be read stops it', async () => {
    const { store } = await startControl()
    const broken = standInStore(store, { load: () => Promise.reject(new Error('gone')) })
    await expect(startControl({ store: broken })).rejects.toThrow('gone')
  })
})

describe('a change', () => {
  test('is answered with its revision and epoch after the store has it and every worker routes by it', async () => {
    const { make, workers, store, control, deltas, advance } = await startControl()
    const { promise, open } = gate()
    workers.gate = promise
    let answered = false
    const change = make(put()).finally(() => {
      answered = true
    })
    await setImmediate()
    expect((await store.position()).revision).toBe(1)
    expect(answered).toBe(false)
    expect(control.snapshot().revision).toBe(0)
    await advance(250)
    open()
    expect(await change).toEqual({ revision: 1, epoch: 2, appliedInMs: 250, changed: true })
    expect(deltas.at(-1)).toMatchObject({ epoch: 2, revision: 1 })
    expect(control.snapshot()).toMatchObject({ revision: 1, epoch: 2 })
  })

  test('sends the workers only what changed, and null for what is gone', async () => {
    const { make, deltas } = await startControl()
    await make({ kind: 'file', services: { shop: shop(), api: shop({}, 'api.test'), old: shop({}, 'old.test') } })
    await make(split(1, 1, 'api'))
    expect(Object.keys(deltas.at(-1)!.services)).toEqual(['api'])
    await make({ kind: 'service.delete', service: 'old' })
    expect(deltas.at(-1)!.services).toEqual({ old: null })
    await make({ kind: 'switch', to: { shop: 'green', api: 'blue' } })
    expect(Object.keys(deltas.at(-1)!.services)).toEqual(['shop', 'api'])
  })

  test('that is so already is answered with the present revision and stores nothing', async () => {
    const { make, deltas, store } = await startControl()
    await make(put())
    const count = deltas.length
    expect(await make(put())).toEqual({ revision: 1, epoch: 2, appliedInMs: 0, changed: false })
    expect(deltas).toHaveLength(count)
    expect(await store.revisions(10)).toHaveLength(1)
  })

  test('is refused when If-Match names another revision, and made when it names this one', async () => {
    const { make, control } = await startControl()
    await make(put())
    expect(await codeOf(() => make(split(1, 1), 0))).toBe('stale_revision')
    expect(await codeOf(() => make(put(), 7))).toBe('stale_revision')
    expect(control.snapshot().services['shop'].split).toEqual({ blue: 100, green: 0 })
    expect(await make(split(1, 1), 1)).toMatchObject({ revision: 2 })
  })

  test('of one service is not stopped by a change of another one, whatever revision was read since its own last', async () => {
    const { make, control } = await startControl()
    await make(put())
    await make(put(shop({}, 'api.test'), 'api'))
    expect(control.snapshot().revisions).toEqual({ shop: 1, api: 2 })
    expect(await make(split(1, 1), 1)).toMatchObject({ revision: 3 })
    expect(await codeOf(() => make(split(2, 2), 2))).toBe('stale_revision')
    expect(await make(split(3, 3, 'api'), 3)).toMatchObject({ revision: 4 })
    expect(await codeOf(() => make(put(shop({}, 'new.test'), 'new'), 3))).toBe('stale_revision')
  })

  test('of some services in one is stopped by a change of any of these, and of no other', async () => {
    const { make } = await startControl()
    for (const name of ['shop', 'api', 'other']) await make(put(shop({}, `${name}.test`), name))
    const hold = { id: 'h-1', forMs: 60_000, only: 'all', queueMax: 10, bytesMax: 1_000 } as const
    const changes = (services: readonly string[]): readonly Change[] => [
      { kind: 'switch', to: Object.fromEntries(services.map((name) => [name, 'green'])) },
      { kind: 'hold', services, hold },
      { kind: 'release', services },
    ]
    for (const change of changes(['shop', 'api'])) expect(await codeOf(() => make(change, 1))).toBe('stale_revision')
    let revision = 3
    for (const change of changes(['api'])) {
      const at = revision === 3 ? 2 : revision
      expect(await make(change, at)).toMatchObject({ revision: ++revision })
      expect(await codeOf(() => make(change, at))).toBe('stale_revision')
      await make(put(shop({ split: { blue: revision, green: 1 } }, 'other.test'), 'other'))
      revision++
    }
  })

  test('that is not valid lists every fault and changes nothing', async () => {
    const { make, control, store, deltas } = await startControl()
    await make(put())
    const before = control.snapshot()
    const rules = [{ name: 'a', when: { cookie: { a: '1' } }, to: 'nowhere' }]
    const other = { ...shop(), rules, split: { red: 1 } }
    const error = await make({ kind: 'service.put', service: 'api', spec: other }).catch((thrown) => thrown)
    expect(isTurnoutError(error, 'invalid')).toBe(true)
    expect(error.faults.length).toBeGreaterThan(1)
    expect(control.snapshot()).toBe(before)
    expect((await store.position()).revision).toBe(1)
    expect(deltas).toHaveLength(2)
  })

  test('that needs more slots than there are is refused before it is stored', async () => {
    const { make, control, store } = await startControl()
    const pools = Object.fromEntries(
      Array.from({ length: 17 }, (_, n) => [
        `p${n}`,
        { version: '', targets: Array.from({ length: 1000 }, (_, t) => `http://10.0.${n}.1:${t + 1}`) },
      ]),
    )
    expect(17 * 1000).toBeGreaterThan(SLOTS)
    expect(await codeOf(() => make(put(shop({ pools, split: { p0: 1 } }))))).toBe('conflict')
    expect(control.snapshot().revision).toBe(0)
    expect((await store.position()).revision).toBe(0)
    expect(await make(put())).toMatchObject({ revision: 1 })
  })

  test('that no table can be built from is refused before it is stored, and changes nothing', async () => {
    let broken = false
    const { control, make, deltas, store } = await startControl({
      build() {
        if (broken) throw new Error('cannot be built')
      },
    })
    await make(put())
    broken = true
    await expect(make(split(1, 1))).rejects.toThrow('cannot be built')
    expect(control.snapshot().revision).toBe(1)
    expect((await store.position()).revision).toBe(1)
    broken = false
    const { revision } = await make(split(1, 1))
    expect(revision).toBe(2)
    expect(deltas.at(-1)?.epoch).toBe(control.snapshot().epoch)
  })

  test('is told to listeners and stands in the audit with who made it', async () => {
    const { control, make, store } = await startControl()
    const seen: string[] = []
    control.subscribe(({ type, service, message }) => void seen.push(`${type} ${service}: ${message}`))
    await make(put())
    await make(split(90, 10))
    await make({ kind: 'restore', from: 1 })
    expect(seen).toEqual([
      'change shop: service shop set by test, forced',
      'change shop: shop split blue=90, green=10 by test, forced; split of shop: blue=100, green=0 -> blue=90, green=10',
      'change shop: revision 1 restored (shop) by test, forced; split of shop: blue=90, green=10 -> blue=100, green=0',
    ])
    expect(control.events().map(({ data }) => data['revision'])).toEqual([1, 2, 3])
    const audit = await store.revisions(10)
    expect(audit.map(({ actor, change }) => [actor, change.kind])).toEqual([
      ['test', 'restore'],
      ['test', 'split'],
      ['test', 'service.put'],
    ])
    const what = 'shop: split blue=90, green=10 -> blue=100, green=0'
    expect(audit[0].change).toEqual({ kind: 'restore', from: 1, services: ['shop'], what, force: true })
  })

  test('of several services is told by each of them, and by no more than a few', async () => {
    const { control, store } = await startControl()
    const file = (services: Services): Change => ({ kind: 'file', services, wins: true, prune: true })
    const told = async (change: Change) => {
      await control.change(change, { actor: 'test', force: true, prune: true })
      return [(await store.revisions(1))[0].change['what'], control.events().at(-1)!.message]
    }
    expect(await told(file({ shop: shop(), old: shop({}, 'old.test') }))).toEqual([
      'shop: added; old: added',
      'config file applied (shop: added; old: added) by test, forced',
    ])
    const pools = { ...shop().pools, blue: { version: '1.0', targets: [BLUE] } }
    const moved = { shop: shop({ pools, split: { blue: 90, green: 10 } }), api: shop({}, 'api.test') }
    const gone = `target ${BLUE2} removed from pool blue`
    const split = 'blue=100, green=0 -> blue=90, green=10'
    expect(await told(file(moved))).toEqual([
      `shop: split ${split}, ${gone}; old: removed; api: added`,
      `config file applied (shop: ${gone}; old: removed; api: added) by test, forced; split of shop: ${split}`,
    ])
    const back = `split blue=90, green=10 -> blue=100, green=0, target ${BLUE2} added to pool blue`
    expect((await told({ kind: 'restore', from: 1 }))[0]).toBe(`shop: ${back}; api: removed; old: added`)
    const names = Array.from({ length: 12 }, (_, n) => `s${n}`)
    const all = Object.fromEntries(names.map((name) => [name, shop({}, `${name}.test`)]))
    await told(file(all))
    const dearer = Object.fromEntries(names.map((name) => [name, shop({ debugHeaders: true }, `${name}.test`)]))
    const first = names.slice(0, 10).map((name) => `${name}: debugHeaders changed`)
    expect((await told(file(dearer)))[0]).toBe(`${first.join('; ')}; 2 more`)
  })

  test('of a part of a service is told by what is other than before, in events and the audit', async () => {
    const { control, make, store } = await startControl()
    await make(put())
    const OTHER = 'http://127.0.0.1:3009'
    const told = async (change: Change): Promise<string> => {
      await make(change)
      const what = (await store.revisions(1))[0].change['what']
      expect(control.events().at(-1)!.message).toContain(what === undefined ? ' by test' : ` (${what}) by test`)
      return String(what)
    }
    const patch = (patch: object) => told({ kind: 'service.patch', service: 'shop', patch: { ...patch } })
    expect(await patch({ pools: { blue: { targets: [BLUE, OTHER] } } })).toBe(
      `target ${BLUE2} removed from pool blue, target ${OTHER} added to pool blue`,
    )
    expect(await patch({ pools: { blue: { version: '2.0', weights: { [OTHER]: 3 } } } })).toBe(
      `version of pool blue 1.0 -> 2.0, weight of target ${OTHER} in pool blue 1 -> 3`,
    )
    expect(
      await patch({ slowStart: '10s', rules: [{ name: 'staff', when: { header: { a: 'b' } }, to: 'green' }] }),
    ).toBe('rule staff added, slowStart changed')
    expect(await told({ kind: 'rules', service: 'shop', rules: [] })).toBe('rule staff removed')
    const grey = { version: '', targets: [] }
    expect(await told({ kind: 'pool.put', service: 'shop', pool: 'grey', spec: grey })).toBe('pool grey added')
    expect(await told(split(90, 10))).toBe('undefined')
    const targets = Array.from({ length: 9 }, (_, n) => `http://127.0.0.1:${4000 + n}`)
    expect(await patch({ pools: { grey: { targets } } })).toMatch(/^(target \S+ added to pool grey, ){5}4 more$/)
  })

  test('of great size is shortened in the audit', async () => {
    const { make, store } = await startControl()
    await make(put())
    const rules = [{ name: 'many', when: { visitor: Array.from({ length: 20_000 }, (_, n) => `u-${n}`) }, to: 'green' }]
    await make({ kind: 'rules', service: 'shop', rules })
    expect((await store.revisions(1))[0].change).toEqual({
      kind: 'rules',
      service: 'shop',
      shortened: true,
      what: 'rule many added',
      force: true,
    })
  })
})

describe('many changes', () => {
  test('100 at the same time give 100 consecutive revisions in order', async () => {
    const { make, deltas, control, store } = await startControl()
    await make(put())
    const results = await Promise.all(Array.from({ length: 100 }, (_, n) => make(split(n + 1, 1000))))
    expect(results.map(({ revision }) => revision)).toEqual(Array.from({ length: 100 }, (_, n) => n + 2))
    expect(results.map(({ epoch }) => epoch)).toEqual(Array.from({ length: 100 }, (_, n) => n + 3))
    expect(deltas.map(({ epoch }) => epoch)).toEqual(Array.from({ length: 102 }, (_, n) => n + 1))
    expect(control.snapshot().services['shop'].split).toEqual({ blue: 100, green: 1000 })
    expect((await store.load()).services['shop'].spec).toEqual(control.snapshot().services['shop'])
  })

  test('with the same If-Match let one win', async () => {
    const { make } = await startControl()
    await make(put())
    const codes = await Promise.all([1, 2, 3].map((n) => codeOf(() => make(split(n, 1), 1))))
    expect(codes.sort()).toEqual(['nothing was thrown', 'stale_revision', 'stale_revision'])
  })

  test('beyond what may wait are turned away, and those that wait are made', async () => {
    const { make, workers } = await startControl()
    await make(put())
    const { promise, open } = gate()
    workers.gate = promise
    const first = make(split(1, 1))
    await setImmediate()
    const waiting = Array.from({ length: CHANGES_WAITING_MAX }, (_, n) => make(split(n + 2, 1)))
    expect(await codeOf(() => make(split(7, 7)))).toBe('overloaded')
    open()
    await first
    expect((await Promise.all(waiting)).at(-1)).toMatchObject({ revision: 2 + CHANGES_WAITING_MAX })
  })
})

test('a drain that ends is told once', async () => {
  const { make, control, advance } = await startControl()
  await make(put(shop({ drain: { timeout: '2h' } })))
  await make({ kind: 'pool.state', service: 'shop', pool: 'green', state: 'drain' })
  await make({ kind: 'target.state', service: 'shop', pool: 'blue', target: BLUE, state: 'drain' })
  await make({ kind: 'target.state', service: 'shop', pool: 'blue', target: BLUE, state: 'ready' })
  const drains = () => control.events().filter(({ type }) => type === 'drain')
  await advance(2 * 3_600_000 - 1)
  expect(drains()).toEqual([])
  await advance(1)
  expect(drains()).toMatchObject([{ service: 'shop', data: { pool: 'green', finished: true } }])
  await make(split(1, 1))
  await advance(10 * 3_600_000)
  expect(drains()).toHaveLength(1)
})

test('other rooms tell their events by it, and closing leaves no timer', async () => {
  const { control, make, timers } = await startControl()
  await make(put())
  await make({ kind: 'pool.state', service: 'shop', pool: 'green', state: 'drain' })
  await control.observe([{ service: 'shop', pool: 'blue', target: BLUE, health: 'healthy' }])
  control.publish({ type: 'worker', service: null, message: 'worker 1 was replaced', data: {} })
  expect(control.events(2).map(({ type }) => type)).toEqual(['health', 'worker'])
  expect(timers()).toBe(3)
  await control.close()
  expect(timers()).toBe(0)
})
