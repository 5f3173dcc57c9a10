/** Control when the store fails, waits, or has another writer; and with a real file. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { StoreBusy } from '../../src/busy.ts'
import type { Change } from '../../src/change.ts'
import { systemClock } from '../../src/clock.ts'
import type { Weights } from '../../src/config/schema.ts'
import type { RunningControl } from '../../src/control/deps.ts'
import { LOOK_MS } from '../../src/control/follower.ts'
import { Moved, Reach } from '../../src/control/reach.ts'
import { SAVE_GAP_MS, SAVE_RETRY_MS } from '../../src/control/saver.ts'
import { TurnoutError } from '../../src/errors.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { sqliteStore } from '../../src/store/sqlite.ts'
import type { Store } from '../../src/store/store.ts'
import type { ServiceObserved } from '../../src/table/status.ts'
import type { Health } from '../../src/table/types.ts'
import { BLUE, BLUE2, codeOf, fragileStore, gate, put, shop, split, standInStore, startControl } from './stand-in.ts'

const away = () => new TurnoutError('store_unavailable', 'The disk is full.')
const sick = { service: 'shop', pool: 'blue', target: BLUE, health: 'unhealthy' } as const

/** Health of BLUE as the store has it. */
async function storedHealth(store: Store): Promise<Health | undefined> {
  const observed = (await store.observed()) as Record<string, ServiceObserved>
  return observed['shop']?.['blue'][BLUE]['127.0.0.1'].health
}

async function start(given: Parameters<typeof startControl>[0] = {}) {
  const fragile = fragileStore()
  const started = await startControl({ store: fragile.store, ...given })
  await started.make(put())
  return { ...started, ...fragile, storeEvents: () => started.control.events().filter(({ type }) => type === 'store') }
}

describe('while the store is away', () => {
  test('a change is refused, nothing has changed, and the next one after it is made', async () => {
    const { make, control, deltas, fault, storeEvents } = await start()
    const before = control.snapshot()
    fault.failing = away()
    expect(await codeOf(() => make(split(1, 1)))).toBe('store_unavailable')
    expect(await codeOf(() => make(split(2, 2)))).toBe('store_unavailable')
    expect(control.snapshot()).toBe(before)
    expect(deltas).toHaveLength(2)
    expect(storeEvents()).toMatchObject([
      {
        message: 'the store cannot be reached: The disk is full; traffic is served by the last table',
        data: { away: true },
      },
    ])
    fault.failing = null
    expect(await make(split(3, 3))).toEqual({ revision: 2, epoch: 3, appliedInMs: 0, changed: true })
    expect(storeEvents().at(-1)).toMatchObject({ data: { away: false } })
  })

  test('a store that can be read and not written is told once, and that it is back once something was written', async () => {
    const inner = memoryStore()
    let isFull = false
    const store = standInStore(inner, {
      commit: (present, commit) => (isFull ? Promise.reject(away()) : inner.commit(present, commit)),
    })
    const { make, control } = await startControl({ store })
    await make(put())
    const storeEvents = () => control.events().filter(({ type }) => type === 'store')
    isFull = true
    for (const share of [1, 2, 3]) expect(await codeOf(() => make(split(share, 1)))).toBe('store_unavailable')
    expect(storeEvents()).toMatchObject([{ message: expect.stringContaining('disk is full'), data: { away: true } }])
    isFull = false
    await make(split(4, 1))
    expect(storeEvents().map(({ data }) => data)).toEqual([{ away: true }, { away: false }])
  })

  test.each(['nothing', 'something'])(
    'while a store that several instances share is silent, what is seen here is served at once; and what others write after it: %s is owed to it',
    async (owed) => {
      const inner = memoryStore()
      const silence = gate()
      let asked = 0
      let isSilent = false
      let isFull = false
      const store = standInStore(inner, {
        fleet: { listen() {} } as never,
        commit: (present, commit) => (isFull ? Promise.reject(away()) : inner.commit(present, commit)),
        async position() {
          if (isSilent) {
            asked++
            await silence.promise
          }
          return inner.position()
        },
      })
      const { make, control, target, advance } = await startControl({ store })
      await make(put())
      await make(put(shop({}, 'api.test'), 'api'))
      isFull = true
      const maintenance = { kind: 'maintenance', service: 'api', on: true } as const
      if (owed === 'something') await codeOf(() => control.change(maintenance, { actor: 'test', atOnce: true }))
      expect(control.unstored()).toEqual(owed === 'something' ? ['api'] : [])
      isFull = false
      const other = await startControl({ store: inner })
      isSilent = true
      await advance(LOOK_MS)
      expect(asked).toBe(1)
      const seen = control.observe([sick])
      await expect.poll(() => target(BLUE).health).toBe('unhealthy')
      await other.make(split(3, 1))
      silence.open()
      await seen
      await advance(LOOK_MS)
      expect(control.snapshot().services['shop'].split).toEqual({ blue: 3, green: 1 })
      expect(control.unstored()).toEqual([])
    },
  )

  test('a store whose position can be read and whose document cannot is away, which is told once', async () => {
    const inner = memoryStore()
    let isBroken = false
    const store = standInStore(inner, {
      load: (since) => (isBroken ? Promise.reject(away()) : inner.load(since)),
    })
    const { make, control, advance } = await startControl({ store })
    await make(put())
    const other = await startControl({ store: inner })
    isBroken = true
    await other.make(split(1, 1))
    const storeEvents = () => control.events().filter(({ type }) => type === 'store')
    for (let looks = 0; looks < 5; looks++) await advance(LOOK_MS)
    expect(storeEvents().map(({ data }) => data)).toEqual([{ away: true }])
    isBroken = false
    await advance(LOOK_MS)
    expect(storeEvents().map(({ data }) => data)).toEqual([{ away: true }, { away: false }])
    expect(control.snapshot().services['shop'].split).toEqual({ blue: 1, green: 1 })
  })

  test('whatever else a store throws is store_unavailable to the caller', async () => {
    const { make, fault } = await start()
    fault.failing = new Error('socket hang up')
    expect(await codeOf(() => make(split(1, 1)))).toBe('store_unavailable')
  })

  test('what changes nothing is still answered', async () => {
    const { make, fault } = await start()
    fault.failing = away()
    expect(await make(put())).toMatchObject({ revision: 1, changed: false })
  })

  test('health takes effect, and is saved once the store is back', async () => {
    const { control, target, deltas, inner, fault, advance } = await start()
    fault.failing = away()
    await control.observe([sick])
    expect(target(BLUE).health).toBe('unhealthy')
    expect(deltas.at(-1)).toMatchObject({ revision: 1, epoch: 3 })
    await advance(SAVE_GAP_MS)
    await advance(3 * SAVE_RETRY_MS)
    expect(fault.saves).toBe(4)
    fault.failing = null
    await advance(SAVE_RETRY_MS)
    expect(await storedHealth(inner)).toBe('unhealthy')
    await advance(10 * SAVE_RETRY_MS)
    expect(fault.saves).toBe(5)
  })

  test('the document never has what was observed, and a save of it never has another revision', async () => {
    const { control, make, inner, advance, target } = await start()
    await control.observe([sick])
    await make(split(1, 1))
    expect(JSON.stringify(await inner.load())).not.toContain('"health":"unhealthy"')
    await control.observe([{ ...sick, health: 'healthy' }])
    await advance(SAVE_GAP_MS)
    expect((await inner.position()).revision).toBe(2)
    expect(target(BLUE).health).toBe('healthy')
  })
})

describe('a way back', () => {
  const trial = { pool: 'green', step: 1 }
  const shift = (weights: Weights, more: object): Extract<Change, { kind: 'shift' }> => {
    return {
      kind: 'shift',
      service: 'shop',
      weights,
      trial: null,
      before: { blue: 100, green: 0 },
      rollout: 'r',
      ...more,
    }
  }
  const forward = shift({ blue: 50, green: 50 }, { trial })
  const back = shift({ blue: 100, green: 0 }, { ends: 'back' })
  const goBack = (control: RunningControl) => control.change(back, { actor: 'test', force: true, atOnce: true })

  test('reaches the workers while the store is away, is stored later, and nobody else changes the service until then', async () => {
    const { control, make, fault, inner, deltas } = await start()
    await make(forward)
    fault.failing = away()
    expect(await codeOf(() => goBack(control))).toBe('store_unavailable')
    expect(control.snapshot()).toMatchObject({ revision: 2, services: { shop: { split: { blue: 100, green: 0 } } } })
    expect(control.snapshot().status['shop'].trial).toBeUndefined()
    expect(deltas).toHaveLength(4)
    // What is seen meanwhile moves nothing else.
    await control.observe([sick])
    expect(control.snapshot().services['shop'].split).toEqual({ blue: 100, green: 0 })
    fault.failing = null
    expect(await codeOf(() => make(split(1, 1)))).toBe('store_unavailable')
    expect(await goBack(control)).toMatchObject({ revision: 3, changed: true })
    expect(await inner.load()).toMatchObject({ services: { shop: { spec: { split: { blue: 100, green: 0 } } } } })
    expect((await inner.revisions(1))[0].change).toMatchObject({ kind: 'shift', ends: 'back' })
    expect(await inner.revision(2)).toMatchObject({ services: { shop: { spec: { split: { blue: 50, green: 50 } } } } })
    expect(await goBack(control)).toMatchObject({ changed: false })
    expect(await make(split(1, 1))).toMatchObject({ revision: 4 })
  })

  test('that nobody tries again is stored by itself once the store can be written, and so is whatever else was served first; by whom it was asked for', async () => {
    const { control, make, fault, inner, advance } = await start()
    await make({ kind: 'service.put', service: 'other', spec: shop({}, 'other.test') })
    await make(forward)
    const hold = { id: 'h', forMs: 60_000, only: 'all', queueMax: 10, bytesMax: 1_000 } as const
    await make({ kind: 'hold', services: ['other'], hold })
    fault.failing = away()
    await codeOf(() => goBack(control))
    const alice = { actor: 'alice', atOnce: true }
    await codeOf(() => control.change({ kind: 'release', services: ['other'] }, alice))
    await advance(5 * LOOK_MS)
    expect(control.unstored()).toEqual(['shop', 'other'])
    fault.failing = null
    await advance(LOOK_MS)
    expect(control.unstored()).toEqual([])
    const { services } = await inner.load()
    expect(services['shop']).toMatchObject({ spec: { split: { blue: 100, green: 0 } } })
    expect(services['other'].intent).not.toHaveProperty('hold')
    fault.failing = away()
    const maintenance = { kind: 'maintenance', service: 'other', on: true } as const
    expect(await codeOf(() => control.change(maintenance, alice))).toBe('store_unavailable')
    fault.failing = null
    await advance(LOOK_MS)
    expect((await inner.revisions(1))[0]).toMatchObject({ actor: 'alice', change: maintenance })
    const { revision } = control.snapshot()
    await advance(5 * LOOK_MS)
    expect(control.snapshot().revision).toBe(revision)
    expect(await make(split(1, 1, 'other'))).toMatchObject({ changed: true })
  })

  test('overtakes a step that is about to be stored', async () => {
    const inner = memoryStore()
    let asked = () => {}
    let answered: Promise<void> | null = null
    const store = standInStore(inner, {
      async position() {
        asked()
        await answered
        return inner.position()
      },
    })
    const { control, make } = await startControl({ store })
    await make(put())
    await make(forward)
    const { promise, open } = gate()
    const isAsked = gate()
    asked = isAsked.open
    answered = promise
    const overtaken = new AbortController()
    const onward = codeOf(() =>
      control.change(shift({ blue: 1, green: 99 }, { trial }), { actor: 'test', unless: overtaken.signal }),
    )
    await isAsked.promise
    overtaken.abort(new TurnoutError('conflict', 'it goes back'))
    open()
    expect(await onward).toBe('conflict')
    expect(control.snapshot()).toMatchObject({ revision: 2, services: { shop: { split: { blue: 50, green: 50 } } } })
  })

  test('moves the traffic also after the last step of the same rollout, as long as nobody has moved it since', async () => {
    const done = shift({ blue: 0, green: 100 }, { ends: 'done', standbyMs: 1_000 })
    const backAfter = async (meanwhile: Change | null, rollout = 'r') => {
      const before = await start()
      await before.make(forward)
      await before.make(done)
      // Whoever takes it up knows of it from the store.
      const { control, make } = await startControl({ store: before.inner })
      if (meanwhile !== null) await make(meanwhile)
      const { changed } = await control.change({ ...back, rollout }, { actor: 'test', force: true, atOnce: true })
      return [changed, control.snapshot().services['shop'].split]
    }
    expect(await backAfter(null)).toEqual([true, { blue: 100, green: 0 }])
    expect(await backAfter({ kind: 'rules', service: 'shop', rules: [] })).toEqual([true, { blue: 100, green: 0 }])
    // The last step of another one.
    expect(await backAfter(null, 'r-2')).toEqual([false, { blue: 0, green: 100 }])
    const switched = { kind: 'switch', to: { shop: 'green' } } as const
    expect(await backAfter(switched)).toEqual([false, { blue: 0, green: 100 }])
    expect(await backAfter(split(1, 1))).toEqual([false, { blue: 1, green: 1 }])
    const gone = { kind: 'pool.delete', service: 'shop', pool: 'blue' } as const
    expect(await backAfter(gone)).toEqual([false, { green: 100 }])
  })

  test('is served all the while, also where the last step was reported as failed and is found in the store', async () => {
    const { control, make, inner } = await start()
    await make(forward)
    const { commit } = inner
    inner.commit = async (...what) => {
      await commit.call(inner, ...what)
      throw away()
    }
    expect(await codeOf(() => make(shift({ blue: 0, green: 100 }, { ends: 'done' })))).toBe('store_unavailable')
    inner.commit = () => Promise.reject(away())
    expect(await codeOf(() => goBack(control))).toBe('store_unavailable')
    expect(control.snapshot().services['shop'].split).toEqual({ blue: 100, green: 0 })
    inner.commit = commit
    await goBack(control)
    expect(await inner.load()).toMatchObject({ services: { shop: { spec: { split: { blue: 100, green: 0 } } } } })
  })

  test('and a last step of targets that are replaced end no pins, and made again they leave what people have set since', async () => {
    const inPlace = { pool: 'blue', step: 1, targets: [BLUE, BLUE2] }
    const weights = { blue: 100, green: 0 }
    const states = { [BLUE]: 'maint' } as const
    const done = shift(weights, { ends: 'done', standbyMs: 1_000, pool: { name: 'blue', version: '2.0' } })
    const { control, make, target } = await start()
    const blue = () => control.snapshot().services['shop'].pools['blue']
    const release = () => control.snapshot().status['shop'].release
    await make(split(90, 10))
    await make(split(100, 0))
    const { release: before, previous } = control.snapshot().status['shop']
    await make(shift(weights, { trial: inPlace }))
    const out = shift(weights, { ends: 'back', pool: { name: 'blue', states } })
    await make(out)
    expect(control.snapshot().status['shop']).toMatchObject({ release: before, previous })
    await make({ kind: 'target.state', service: 'shop', pool: 'blue', target: BLUE, state: 'ready' })
    expect(await make(out)).toMatchObject({ changed: false })
    expect(target(BLUE).admin).toBe('ready')
    await make(shift(weights, { trial: inPlace }))
    await make(done)
    expect(blue().version).toBe('2.0')
    expect(control.snapshot().status['shop'].pools['blue'].keptUntilMs).toBeUndefined()
    // Who goes back just after it has the version of before, too.
    await make(shift(weights, { ends: 'back' }))
    expect(blue().version).toBe('1.0')
    await make(shift(weights, { trial: inPlace }))
    await make(done)
    const ended = release()
    await make(split(50, 50))
    expect(await make(done)).toMatchObject({ changed: false })
    expect(await make(out)).toMatchObject({ changed: false })
    expect(release()).toBe(ended)
    expect(control.snapshot().services['shop'].split).toEqual({ blue: 50, green: 50 })
  })

  test('that another process has made, and could not store, is followed by the workers once, and is left when it is stored', async () => {
    const { control, make, fault, deltas } = await start()
    await make(forward)
    const [{ revision }, known] = [control.snapshot(), deltas.length]
    fault.failing = away()
    await control.follow(back, revision)
    await control.follow(back, revision)
    expect(control.snapshot()).toMatchObject({ revision, services: { shop: { split: { blue: 100, green: 0 } } } })
    expect([deltas.length - known, fault.commits]).toEqual([1, 2])
    fault.failing = null
    await goBack(control)
    await make(split(1, 1))
    await control.follow(back, revision)
    expect(control.snapshot().services['shop'].split).toEqual({ blue: 1, green: 1 })
  })

  test('has a line of its own in the audit, and an event, also when that of its rollout is stored first', async () => {
    const { control, make, fault, inner } = await start()
    await make(forward)
    fault.failing = away()
    await codeOf(() => goBack(control))
    fault.failing = null
    const told = control.events().length
    const line = { rollout: 'r', to: 'green', state: 'rollingBack', weight: 0, reason: 'it fails', sinceMs: 1 } as const
    expect(await make({ kind: 'rollout', service: 'shop', ...line })).toMatchObject({ revision: 4, changed: true })
    const lines = (await inner.revisions(2)).map(({ revision, change }) => [revision, change.kind])
    expect(lines).toEqual([
      [4, 'rollout'],
      [3, 'shift'],
    ])
    expect(await inner.revision(3)).toMatchObject({ services: { shop: { spec: { split: { blue: 100, green: 0 } } } } })
    const moved = 'split of shop: blue=50, green=50 -> blue=100, green=0'
    const changes = control
      .events()
      .slice(told)
      .filter(({ type }) => type === 'change')
    expect(changes).toMatchObject([{ message: expect.stringContaining(moved) }])
    expect(await goBack(control)).toMatchObject({ changed: false })
    expect(control.unstored()).toEqual([])
  })

  describe('and a release, which workers have before the store,', () => {
    const held: Change = {
      kind: 'hold',
      services: ['other'],
      hold: { id: 'h', forMs: 60_000, only: 'all', queueMax: 10, bytesMax: 1_000 },
    }
    const released: Change = { kind: 'release', services: ['other'] }
    const release = (control: RunningControl) => control.change(released, { actor: 'test', force: true, atOnce: true })

    /** Both are routed, shop and other, and neither is stored; the store is back, at revision 5 with a third service. */
    async function routed() {
      const started = await start()
      const { control, make, fault } = started
      await make(put(shop({}, 'other.test'), 'other'))
      await make(put(shop({}, 'third.test'), 'third'))
      await make(forward)
      await make(held)
      fault.failing = away()
      await codeOf(() => goBack(control))
      await codeOf(() => release(control))
      fault.failing = null
      return started
    }

    test('are stored by themselves, each with its line, its event and its revision, and not with what is changed of others', async () => {
      const { control, make, inner } = await routed()
      const told = control.events().length
      const { revisions } = control.snapshot()
      expect(await make(split(1, 1, 'third'))).toMatchObject({ revision: 6 })
      expect(control.unstored()).toEqual(['shop', 'other'])
      expect(control.snapshot().revisions).toEqual({ ...revisions, third: 6 })
      const { services } = await inner.load()
      expect(services['shop'].spec).toMatchObject({ split: { blue: 50, green: 50 } })
      expect(services['other'].intent).toMatchObject({ hold: { id: 'h' } })

      expect(await release(control)).toMatchObject({ revision: 7, changed: true })
      expect(control.unstored()).toEqual(['shop'])
      expect(await goBack(control)).toMatchObject({ revision: 8, changed: true })
      expect(control.unstored()).toEqual([])
      const lines = (await inner.revisions(3)).map(({ revision, change }) => [revision, change.kind, change.service])
      expect(lines).toEqual([
        [8, 'shift', 'shop'],
        [7, 'release', 'other'],
        [6, 'split', 'third'],
      ])
      expect(control.snapshot().revisions).toEqual({ shop: 8, other: 7, third: 6 })
      const changes = control.events().slice(told)
      expect(
        changes
          .filter(({ type }) => type === 'change')
          .map(({ data }) => [data['revision'], data['kind'], data['splits']]),
      ).toEqual([
        [6, 'split', { third: { before: { blue: 100, green: 0 }, after: { blue: 1, green: 1 } } }],
        [7, 'release', undefined],
        [8, 'shift', { shop: { before: { blue: 50, green: 50 }, after: { blue: 100, green: 0 } } }],
      ])
      // Who has read shop before does not bring the bad version back.
      expect(await codeOf(() => make(put(), revisions['shop']))).toBe('stale_revision')
      const after = await startControl({ store: inner })
      expect(after.control.snapshot()).toEqual({ ...control.snapshot(), epoch: 1 })
    })

    test('are stored each for itself: what is refused of one keeps back none of another', async () => {
      const { control, inner, advance } = await routed()
      const { commit } = inner
      inner.commit = (present, it) =>
        it.change.kind === 'shift'
          ? Promise.reject(new TurnoutError('conflict', 'Another instance leads by now.'))
          : commit.call(inner, present, it)
      await advance(LOOK_MS)
      expect(control.unstored()).toEqual(['shop'])
      inner.commit = commit
      await advance(LOOK_MS)
      expect(control.unstored()).toEqual([])
    })

    test.each(['by itself', 'by the second, which is asked for again'])(
      'keep a line, an event and a content each where they are of one service: %s',
      async (how) => {
        const { control, make, inner, fault, advance, deltas } = await start()
        await make(put(shop({}, 'other.test'), 'other'))
        await make(held)
        const maintenance = (on: boolean) =>
          control.change({ kind: 'maintenance', service: 'other', on }, { actor: 'bob', atOnce: true })
        await maintenance(true)
        const { revision } = control.snapshot()
        const told = control.events().length
        fault.failing = away()
        await codeOf(() => release(control))
        await codeOf(() => maintenance(false))
        expect(control.unstored()).toEqual(['other'])
        const routed = deltas.length
        fault.failing = null
        if (how === 'by itself') await advance(LOOK_MS)
        else expect(await maintenance(false)).toMatchObject({ revision: revision + 2, changed: true })
        expect(control.unstored()).toEqual([])
        const lines = (await inner.revisions(2)).map(({ revision: at, actor, change }) => [at, actor, change.kind])
        expect(lines).toEqual([
          [revision + 2, 'bob', 'maintenance'],
          [revision + 1, 'test', 'release'],
        ])
        const stored = async (at: number) => Object.keys((await inner.revision(at))!.services['other'].intent as object)
        expect(await stored(revision)).toEqual(expect.arrayContaining(['hold', 'maintenance']))
        expect(await stored(revision + 1)).toContain('maintenance')
        expect(await stored(revision + 1)).not.toContain('hold')
        expect(await stored(revision + 2)).not.toContain('maintenance')
        const changes = control.events().slice(told)
        expect(
          changes.filter(({ type }) => type === 'change').map(({ data }) => [data['revision'], data['kind']]),
        ).toEqual([
          [revision + 1, 'release'],
          [revision + 2, 'maintenance'],
        ])
        // The workers do not go back to what was before the second.
        const again = deltas.slice(routed).map(({ services }) => services['other']?.status)
        expect(again.map((status) => [status?.hold, status?.maintenance])).toEqual([
          [undefined, undefined],
          [undefined, undefined],
        ])
        const after = await startControl({ store: inner })
        expect(after.control.snapshot()).toEqual({ ...control.snapshot(), epoch: 1 })
        await advance(5 * LOOK_MS)
        expect(control.snapshot().revision).toBe(revision + 2)
      },
    )

    test('are not stored with deadlines either, when somebody has set the clock', async () => {
      const { control, make, inner, set, advance } = await routed()
      await make({ kind: 'pool.state', service: 'third', pool: 'green', state: 'drain' })
      set(86_400_000)
      await advance(LOOK_MS)
      await release(control)
      await goBack(control)
      const justBefore = async (kind: string) => {
        const lines = await inner.revisions(100)
        const [line] = lines.filter(({ change }) => change.kind === kind)
        return (await inner.revision(line.revision - 1))!.services
      }
      expect((await justBefore('shift'))['shop'].spec).toMatchObject({ split: { blue: 50, green: 50 } })
      expect((await justBefore('release'))['other'].intent).toMatchObject({ hold: { id: 'h' } })
    })
  })

  test('that is made again, since nobody knew that it was, leaves what people have set since', async () => {
    const { control, make } = await start()
    await make(forward)
    await goBack(control)
    await make(split(1, 1))
    expect(await goBack(control)).toMatchObject({ changed: false })
    expect(control.snapshot().services['shop'].split).toEqual({ blue: 1, green: 1 })
  })

  test('of a rollout that another instance drives by now is given up for what the store has, and the service is that one’s to change', async () => {
    const { control, make, fault } = await start()
    await make({ kind: 'service.put', service: 'other', spec: shop({}, 'other.test') })
    await make(forward)
    await control.change(
      {
        kind: 'hold',
        services: ['other'],
        hold: { id: 'h', forMs: 60_000, only: 'all', queueMax: 10, bytesMax: 1_000 },
      },
      { actor: 'test' },
    )
    fault.failing = away()
    await codeOf(() => goBack(control))
    const released = { kind: 'release', services: ['other'] } as const
    await codeOf(() => control.change(released, { actor: 'test', force: true, atOnce: true }))
    expect(control.unstored()).toEqual(['shop', 'other'])
    // Nothing is given up as long as nobody can know what is stored.
    expect(await codeOf(() => control.disown())).toBe('store_unavailable')
    expect(control.snapshot().services['shop'].split).toEqual({ blue: 100, green: 0 })
    fault.failing = null
    await control.disown()
    expect(control.snapshot()).toMatchObject({ revision: 4, services: { shop: { split: { blue: 50, green: 50 } } } })
    expect(control.snapshot().status['shop'].trial).toMatchObject(trial)
    // A release was a person's, and has nothing to do with who leads.
    expect(control.unstored()).toEqual(['other'])
    expect(control.snapshot().status['other'].hold).toBeUndefined()
    await expect(make(split(1, 1))).rejects.toThrow('A rollout of shop is running.')
    expect(await make(back)).toMatchObject({ revision: 5 })
    expect(control.snapshot().services['shop'].split).toEqual({ blue: 100, green: 0 })
  })

  describe('and what people have changed of the same service', () => {
    const hold = (id: string): Change => ({
      kind: 'hold',
      services: ['shop'],
      hold: { id, forMs: 60_000, only: 'all', queueMax: 10, bytesMax: 1_000 },
    })

    /** A rollout of shop runs, which is held and in maintenance; what takes all that back is served here, and not stored. */
    async function routed() {
      const routes: unknown[] = []
      const started = await start({ routed: ({ kind }, revision) => void routes.push([kind, revision]) })
      const { control, make, fault } = started
      await make(forward)
      await make({ kind: 'maintenance', service: 'shop', on: true })
      await make(hold('h'))
      const urgent = (change: Change) => codeOf(() => control.change(change, { actor: 'bob', atOnce: true }))
      fault.failing = away()
      await urgent({ kind: 'release', services: ['shop'] })
      await goBack(control).catch(() => {})
      await urgent({ kind: 'maintenance', service: 'shop', on: false })
      fault.failing = null
      routes.length = 0
      return { ...started, routes }
    }

    test('is stored by itself all the same, when the shift of its rollout is given up', async () => {
      const { control, inner, advance, deltas, routes } = await routed()
      const known = deltas.length
      await control.disown()
      const { services, status } = control.snapshot()
      expect(services['shop'].split).toEqual({ blue: 50, green: 50 })
      expect(status['shop'].trial).toMatchObject(trial)
      // Nobody was held for a moment.
      const sent = deltas.slice(known).map((delta) => delta.services['shop']?.status)
      expect(sent.map((is) => [is?.hold, is?.maintenance])).toEqual([[undefined, undefined]])
      expect(routes).toEqual([
        ['release', 4],
        ['maintenance', 4],
      ])
      await advance(LOOK_MS)
      expect(control.unstored()).toEqual([])
      const lines = (await inner.revisions(3)).map(({ revision, actor, change }) => [revision, actor, change.kind])
      expect(lines).toEqual([
        [6, 'bob', 'maintenance'],
        [5, 'bob', 'release'],
        [4, 'test', 'hold'],
      ])
      expect((await inner.revision(5))!.services['shop'].intent).toHaveProperty('maintenance')
      const after = await startControl({ store: inner })
      expect(after.control.snapshot()).toEqual({ ...control.snapshot(), epoch: 1 })
    })

    test('is not where somebody has put it in maintenance once more since', async () => {
      const { control, inner, advance } = await routed()
      const other = await startControl({ store: inner })
      const turn = (on: boolean) => other.make({ kind: 'maintenance', service: 'shop', on })
      await turn(false)
      await other.advance(10_000)
      await turn(true)
      await advance(LOOK_MS)
      expect(control.unstored()).toEqual([])
      expect(control.snapshot().status['shop'].maintenance).toBeDefined()
      await other.advance(LOOK_MS)
      expect(other.control.snapshot().status['shop'].maintenance).toBeDefined()
      expect(other.control.snapshot().status['shop'].hold).toBeUndefined()
    })

    test.each(['h', 'since'])(
      'is so too where others have changed that, but for a hold that is not the one released: %s',
      async (id) => {
        const { control, inner, advance } = await routed()
        const other = await startControl({ store: inner })
        await other.make(hold(id))
        await other.make(shift({ blue: 25, green: 75 }, { trial: { ...trial, step: 2 } }))
        await advance(LOOK_MS)
        expect(control.unstored()).toEqual([])
        await other.advance(LOOK_MS)
        const { services, status } = other.control.snapshot()
        expect(services['shop'].split).toEqual({ blue: 25, green: 75 })
        const { hold: held, maintenance, trial: tried } = status['shop']
        expect([held?.id, maintenance, tried?.step]).toEqual([id === 'h' ? undefined : id, undefined, 2])
      },
    )
  })

  test('is told to whoever follows, once it is in every worker and before the store is asked', async () => {
    const told: unknown[] = []
    const { control, make, fault } = await start({ routed: (...given) => void told.push(given) })
    await make(forward)
    expect(told).toEqual([])
    fault.failing = away()
    await codeOf(() => goBack(control))
    expect(told).toEqual([[back, 2]])
  })

  test('passes what waits for a lock, and what it has overtaken is not made any more', async () => {
    const inner = memoryStore()
    let isLocked = false
    const store = standInStore(inner, {
      commit: (...what) => (isLocked ? Promise.reject(new StoreBusy('locked')) : inner.commit(...what)),
    })
    const { control, make, advance } = await startControl({ store })
    await make(put())
    await make(forward)
    isLocked = true
    const overtaken = new AbortController()
    const further = { actor: 'test', force: true, unless: overtaken.signal }
    const onward = codeOf(() => control.change(shift({ blue: 1, green: 99 }, { trial }), further))
    await advance(10)
    overtaken.abort(new TurnoutError('conflict', 'it goes back'))
    const wayBack = goBack(control)
    await advance(10)
    expect(control.snapshot().services['shop'].split).toEqual({ blue: 100, green: 0 })
    isLocked = false
    await advance(100)
    await wayBack
    expect(await onward).toBe('conflict')
    expect(control.snapshot().services['shop'].split).toEqual({ blue: 100, green: 0 })
    // A lock that does not last is nothing to tell.
    expect(control.events().filter(({ type }) => type === 'store')).toEqual([])
  })
})

describe('a slow store', () => {
  test('is asked to save one status at a time, and the last one at the end', async () => {
    const { control, fault, inner, advance } = await start()
    const { promise, open } = gate()
    fault.gate = promise
    await control.observe([sick])
    await advance(SAVE_GAP_MS)
    for (const health of ['healthy', 'unhealthy', 'healthy'] as const) {
      await control.observe([{ ...sick, health }])
      await advance(SAVE_GAP_MS)
    }
    expect(fault.saves).toBe(1)
    open()
    fault.gate = null
    await advance(SAVE_GAP_MS)
    expect(fault.saves).toBe(2)
    expect(await storedHealth(inner)).toBe('healthy')
  })

  test('keeps no health from the tables while a change waits for it', async () => {
    const { control, make, fault, target } = await start()
    const { promise, open } = gate()
    fault.gate = promise
    const changes = [make(split(1, 1)), make(split(2, 2)), make(split(3, 3))]
    await setImmediate()
    const observed = control.observe([sick])
    open()
    await observed
    expect(target(BLUE).health).toBe('unhealthy')
    expect(control.snapshot().revision).toBe(2)
    await Promise.all(changes)
  })

  test('loses no unsaved status when control is closed', async () => {
    const { control, inner } = await start()
    await control.observe([sick])
    await control.close()
    expect(await storedHealth(inner)).toBe('unhealthy')
  })
})

describe('another writer on the same store', () => {
  test('is noticed: its document is taken over, and the change is made on top of it, without If-Match', async () => {
    const { make, inner, control, deltas } = await start()
    const other = await startControl({ store: inner })
    await other.make(split(60, 40))
    await other.make(put(shop({}, 'api.test'), 'api'))

    expect(await make({ kind: 'pool.state', service: 'shop', pool: 'green', state: 'standby' })).toMatchObject({
      revision: 4,
    })
    expect(control.snapshot().services).toEqual(other.control.snapshot().services)
    expect(deltas.slice(-2)).toMatchObject([{ revision: 3 }, { revision: 4 }])
    expect(
      control
        .events()
        .map(({ data }) => data['kind'])
        .slice(-2),
    ).toEqual(['reload', 'pool.state'])
    expect(Object.keys((await inner.load()).services)).toEqual(['shop', 'api'])
  })

  test('is followed within LOOK_MS, whoever changes nothing', async () => {
    const { inner, control, advance } = await start()
    const other = await startControl({ store: inner })
    await other.make(split(60, 40))
    expect(control.snapshot().revision).toBe(1)
    await advance(LOOK_MS)
    expect(control.snapshot()).toMatchObject({ revision: 2, services: { shop: { split: { blue: 60, green: 40 } } } })
  })

  test('costs the workers only what it changed', async () => {
    const { inner, deltas, advance } = await start()
    const other = await startControl({ store: inner })
    await other.make(put(shop({}, 'api.test'), 'api'))
    await advance(LOOK_MS)
    expect(Object.keys(deltas.at(-1)!.services)).toEqual(['api'])
  })

  test('a hundred changes of two processes are all made, and both have all of them', async () => {
    const one = await start()
    const other = await startControl({ store: one.inner })
    const changes = Array.from({ length: 50 }, (_, n) => [
      one.make(put(shop({}, `one${n}.test`), `one${n}`)),
      other.make(put(shop({}, `other${n}.test`), `other${n}`)),
    ]).flat()
    const revisions = (await Promise.all(changes)).map(({ revision }) => revision)
    expect(new Set(revisions).size).toBe(100)
    await one.advance(LOOK_MS)
    await other.advance(LOOK_MS)
    expect(Object.keys(one.control.snapshot().services)).toHaveLength(101)
    expect(other.control.snapshot().services).toEqual(one.control.snapshot().services)
  })

  test('does not change what this process has seen, nor is what it has seen taken over', async () => {
    const { inner, control, target, advance } = await start()
    const other = await startControl({ store: inner })
    await control.observe([sick])
    await other.control.observe([{ ...sick, health: 'healthy' }])
    await other.make(split(60, 40))
    await advance(LOOK_MS)
    expect(control.snapshot().revision).toBe(2)
    expect(target(BLUE).health).toBe('unhealthy')
  })

  test('may be ourselves: a commit that was reported as failed and had happened is taken over', async () => {
    const { inner } = await start()
    let fails = false
    const store = standInStore(inner, {
      async commit(...given) {
        const position = await inner.commit(...given)
        if (fails) throw away()
        return position
      },
    })
    const { make, control } = await startControl({ store })
    fails = true
    expect(await codeOf(() => make(split(1, 1)))).toBe('store_unavailable')
    expect(control.snapshot().revision).toBe(1)
    fails = false
    expect(await make({ kind: 'back', service: 'shop' })).toMatchObject({ revision: 3 })
    expect(control.snapshot().services['shop'].split).toEqual({ blue: 100, green: 0 })
  })

  test('that writes without end does not hold a change for ever', async () => {
    const { inner } = await start()
    const other = await startControl({ store: inner })
    let n = 0
    const store = standInStore(inner, {
      async commit(...given) {
        await other.make(split(++n + 100, 1))
        return inner.commit(...given)
      },
    })
    const { make } = await startControl({ store })
    expect(await codeOf(() => make(split(1, 1)))).toBe('overloaded')
  })
})

describe('a store that went back to an older copy', () => {
  /** Control at revision 1 over a store in the place of which another one can be put. */
  async function startSwapped() {
    const inner = { store: (await start()).inner as Store }
    const store = new Proxy(inner.store, {
      get(_target, name: keyof Store) {
        const member: unknown = inner.store[name]
        return typeof member === 'function' ? member.bind(inner.store) : member
      },
    })
    const control = await startControl({ store })
    const storeEvents = () => control.control.events().filter(({ type }) => type === 'store')
    return { ...control, inner, storeEvents }
  }

  /** Control at revision 3 over a store that says it is at revision 1 again. */
  async function fallen() {
    const old = memoryStore()
    const earlier = await startControl({ store: old })
    await earlier.make(put())
    const control = await startSwapped()
    await control.make(split(60, 40))
    await control.make(put(shop({}, 'api.test'), 'api'))
    control.inner.store = old
    return { ...control, old }
  }

  test('is told once and never followed, and traffic goes on by what was answered', async () => {
    const { control, advance, storeEvents } = await fallen()
    const before = control.snapshot()
    await advance(10 * LOOK_MS)
    expect(control.snapshot()).toBe(before)
    expect(storeEvents()).toMatchObject([
      { message: expect.stringContaining('went back to revision 1'), data: { served: 3 } },
    ])
  })

  test('is not followed either when it falls between a look that found a newer revision and the reading of that', async () => {
    const { inner, make, control, advance, storeEvents } = await startSwapped()
    await make(split(60, 40))
    const before = control.snapshot()
    inner.store = new Proxy(memoryStore(), {
      get(target, name: keyof Store) {
        if (name === 'position') return async () => ({ revision: 9, mark: 'newer' })
        return (target[name] as () => unknown).bind(target)
      },
    })
    await advance(3 * LOOK_MS)
    expect(control.snapshot()).toBe(before)
    inner.store = memoryStore()
    await advance(LOOK_MS)
    expect(control.snapshot()).toBe(before)
    expect(storeEvents()).toMatchObject([{ message: expect.stringContaining('went back to revision 0') }])
  })

  test('gets all that is served with the next change, as a higher revision, and can still be read as it was', async () => {
    const { make, old, control, advance, storeEvents } = await fallen()
    expect(await make(split(7, 3))).toMatchObject({ revision: 4, changed: true })
    const { position, services } = await old.load()
    expect(position.revision).toBe(4)
    expect(Object.keys(services)).toEqual(['shop', 'api'])
    expect(services['shop'].spec).toMatchObject({ split: { blue: 7, green: 3 } })
    expect(Object.keys((await old.revision(1))!.services)).toEqual(['shop'])
    expect(await old.revision(3)).toBeNull()
    expect(await make(split(8, 2))).toMatchObject({ revision: 5 })
    await advance(2 * LOOK_MS)
    expect(storeEvents()).toHaveLength(1)
    const after = await startControl({ store: old })
    expect(after.control.snapshot()).toEqual({ ...control.snapshot(), epoch: 1 })
  })

  test('gives out no release twice: not even after a restart on the older copy', async () => {
    const { control, old } = await fallen()
    const given = new Set(Object.values(control.snapshot().status).map(({ release }) => release))
    const again = await startControl({ store: old, run: 'again' })
    await again.make(put(shop({}, 'api.test'), 'api'))
    await again.make({ kind: 'service.delete', service: 'shop' })
    await again.make(put())
    for (const { release } of Object.values(again.control.snapshot().status)) expect(given).not.toContain(release)
  })

  test('or that another process writes to at the same revision is not taken for ours', async () => {
    const { control, old, make, advance } = await fallen()
    const other = await startControl({ store: old })
    await other.make(split(1, 99))
    await other.make(split(2, 98))
    expect(other.control.snapshot().revision).toBe(3)
    await advance(LOOK_MS)
    expect(control.snapshot().services['shop'].split).toEqual({ blue: 60, green: 40 })
    expect(await make(split(7, 3))).toMatchObject({ revision: 4 })
    await other.advance(LOOK_MS)
    expect(other.control.snapshot().services).toEqual(control.snapshot().services)
  })
})

test('with a real file every acknowledged change is there after the process forgot everything', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-control-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const open = () => sqliteStore(join(folder, 'turnout.db'))
  const store = open()
  const before = await startControl({ store })
  await before.make(put())
  await Promise.all(Array.from({ length: 50 }, (_, n) => before.make(split(n, 100 - n))))
  await before.make({ kind: 'target.state', service: 'shop', pool: 'blue', target: BLUE2, state: 'maint' })
  // Neither control nor store is closed: it is as if the process had been killed.
  const second = open()
  const after = await startControl({ store: second })
  expect(after.control.snapshot()).toEqual({ ...before.control.snapshot(), epoch: 1 })
  expect(after.control.snapshot().revision).toBe(52)
  expect((await second.revisions(100)).map((line) => line.revision)).toEqual(
    Array.from({ length: 52 }, (_, n) => 52 - n),
  )
  await store.close()
  await second.close()
})

test('a store that refuses what is out of date has answered, and is not told as away', async () => {
  const told: string[] = []
  const reach = new Reach(systemClock, (_level, message) => told.push(message))
  const late = new TurnoutError('conflict', 'Another instance leads by now.')
  await expect(reach.run(() => Promise.reject(late), 'writing')).rejects.toBe(late)
  expect(told).toEqual([])
})

test('a store that was locked for a moment now and then is not away; one that was longer is back once somebody has heard from it', async () => {
  let nowMs = 0
  const told: string[] = []
  const reach = new Reach({ ...systemClock, monotonicMs: () => nowMs }, (_level, message) => told.push(message))
  const tries = async (error: Error) => expect(await codeOf(() => reach.run(() => Promise.reject(error), 'writing')))
  const locked = new StoreBusy('It is locked.')
  // Each time the change was given up in the end, since another one had come before.
  for (const atMs of [0, 600, 60_000, 61_500]) {
    nowMs = atMs
    ;(await tries(locked)).toBe('store_unavailable')
    ;(await tries(new Moved())).toBe('stale_revision')
  }
  // And each time by somebody who gave up by himself.
  for (const atMs of [100_000, 200_000, 300_000]) {
    nowMs = atMs
    ;(await tries(locked)).toBe('store_unavailable')
  }
  expect(told).toEqual([])
  for (const atMs of [300_500, 301_100]) {
    nowMs = atMs
    ;(await tries(locked)).toBe('store_unavailable')
  }
  expect(told).toEqual([expect.stringContaining('cannot be reached: It is locked')])
  ;(await tries(new Moved())).toBe('stale_revision')
  expect(told.at(-1)).toContain('reachable again')
  // By one that tries again and again, a second each time, it is seen that it lasts.
  for (const atMs of [400_000, 406_100]) {
    nowMs = atMs
    ;(await tries(locked)).toBe('store_unavailable')
  }
  expect(told.at(-1)).toContain('It is locked')
  ;(await tries(new Moved())).toBe('stale_revision')
  // That it is full is another matter: what is out of date was not written. Nor was it where it is locked beside that.
  ;(await tries(new TurnoutError('store_unavailable', 'The disk is full.'))).toBe('store_unavailable')
  ;(await tries(new Moved())).toBe('stale_revision')
  for (const atMs of [500_000, 502_000]) {
    nowMs = atMs
    ;(await tries(locked)).toBe('store_unavailable')
  }
  ;(await tries(new Moved())).toBe('stale_revision')
  expect(told.at(-1)).toContain('disk is full')
})
