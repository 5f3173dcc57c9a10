/** Control when the store fails, waits, or has another writer; and with a real file. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { SAVE_GAP_MS, SAVE_RETRY_MS } from '../../src/control/saver.ts'
import { TurnoutError } from '../../src/errors.ts'
import { sqliteStore } from '../../src/store/sqlite.ts'
import type { Store } from '../../src/store/store.ts'
import type { Health } from '../../src/table/types.ts'
import { BLUE, BLUE2, codeOf, fragileStore, gate, put, shop, split, startControl } from './stand-in.ts'

const away = () => new TurnoutError('store_unavailable', 'The disk is full.')
const sick = { service: 'shop', pool: 'blue', target: BLUE, health: 'unhealthy' } as const

/** Health of BLUE as the store has it. */
async function storedHealth(store: Store): Promise<Health | undefined> {
  const observed = JSON.parse((await store.get('observed')) ?? '{}')
  return observed['shop']?.['blue'][BLUE]['127.0.0.1'].health
}

async function start() {
  const fragile = fragileStore()
  const started = await startControl({ store: fragile.store })
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
    expect(storeEvents()).toMatchObject([{ message: expect.stringContaining('disk is full'), data: { away: true } }])
    fault.failing = null
    expect(await make(split(3, 3))).toEqual({ revision: 2, epoch: 3, appliedInMs: 0, changed: true })
    expect(storeEvents().at(-1)).toMatchObject({ data: { away: false } })
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
    expect((await inner.load())?.revision).toBe(2)
    expect(target(BLUE).health).toBe('healthy')
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
  test('is noticed: the change is refused, its document is taken over, and then changes are made on it', async () => {
    const { make, inner, control, deltas } = await start()
    const other = await startControl({ store: inner })
    await other.make(split(60, 40))
    await other.make(put(shop({}, 'api.test'), 'api'))

    expect(await codeOf(() => make(split(1, 1)))).toBe('stale_revision')
    expect(control.snapshot()).toMatchObject({ revision: 3, services: other.control.snapshot().services })
    expect(deltas.at(-1)).toMatchObject({ revision: 3, epoch: 3 })
    expect(control.events().at(-1)).toMatchObject({ type: 'change', data: { revision: 3, kind: 'reload' } })
    expect(await make(split(1, 1))).toMatchObject({ revision: 4 })
    expect((await inner.load())?.services['api']).toBeDefined()
  })

  test('costs the workers only what it changed', async () => {
    const { make, inner, deltas } = await start()
    const other = await startControl({ store: inner })
    await other.make(put(shop({}, 'api.test'), 'api'))
    await codeOf(() => make(split(1, 1)))
    expect(Object.keys(deltas.at(-1)!.services)).toEqual(['api'])
  })

  test('that has gone back to an older document does not empty the tables', async () => {
    const { make, control, store } = await start()
    const before = control.snapshot()
    store.load = async () => null
    store.commit = async () => {
      throw new TurnoutError('stale_revision')
    }
    expect(await codeOf(() => make(split(1, 1)))).toBe('stale_revision')
    expect(control.snapshot()).toBe(before)
  })

  test('may be ourselves: a commit that was reported as failed and had happened is taken over', async () => {
    const { make, control, store } = await start()
    const { commit } = store
    store.commit = async (...given) => {
      await commit(...given)
      throw away()
    }
    expect(await codeOf(() => make(split(1, 1)))).toBe('store_unavailable')
    expect(control.snapshot().revision).toBe(1)
    store.commit = commit
    expect(await codeOf(() => make(split(2, 2)))).toBe('stale_revision')
    expect(control.snapshot()).toMatchObject({ revision: 2, services: { shop: { split: { blue: 1, green: 1 } } } })
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
  const { services, status, revision } = before.control.snapshot()
  expect(after.control.snapshot()).toEqual({ revision, epoch: 1, services, status })
  expect(revision).toBe(52)
  expect((await second.revisions(100)).map((line) => line.revision)).toEqual(
    Array.from({ length: 52 }, (_, n) => 52 - n),
  )
  await store.close()
  await second.close()
})
