/** What every store must do, run on each of them: `describeStore(name, open)` with a fresh, empty store for each test. */
import { afterEach, describe, expect, test } from 'vitest'
import { isTurnoutError } from '../../src/errors.ts'
import { REVISIONS_KEPT, type Store } from '../../src/store/store.ts'
import { entry, serviceIntent, serviceSpec } from './entry.ts'

/** Rejects with this code, which is how every expected failure shows. */
export async function expectCode(work: Promise<unknown>, code: string): Promise<void> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  expect(isTurnoutError(error) ? error.code : error).toBe(code)
}

export function describeStore(name: string, open: () => Promise<Store>): void {
  describe(name, () => {
    const opened: Store[] = []
    const fresh = async () => {
      const store = await open()
      opened.push(store)
      return store
    }
    afterEach(async () => {
      for (const store of opened.splice(0)) await store.close()
    })

    test('is empty before the first commit', async () => {
      const store = await fresh()
      expect(await store.load()).toBeNull()
      expect(await store.revisions(10)).toEqual([])
      expect(await store.revision(0)).toBeNull()
      expect(await store.revision(1)).toBeNull()
      expect(await store.get('nothing')).toBeNull()
    })

    test('counts revisions up from 1 and loads the last one', async () => {
      const store = await fresh()
      expect(await store.commit(0, entry(1))).toBe(1)
      expect(await store.commit(1, entry(2))).toBe(2)
      expect(await store.load()).toEqual({ revision: 2, services: entry(2).services, intents: entry(2).intents })
    })

    test('refuses a commit on another revision than the stored one, and keeps nothing of it', async () => {
      const store = await fresh()
      await expectCode(store.commit(1, entry(1)), 'stale_revision')
      await store.commit(0, entry(1))
      await expectCode(store.commit(0, entry(2)), 'stale_revision')
      await expectCode(store.commit(2, entry(2)), 'stale_revision')
      expect(await store.load()).toEqual({ revision: 1, services: entry(1).services, intents: entry(1).intents })
      expect(await store.revisions(10)).toHaveLength(1)
    })

    test('lets exactly one of many racing commits win', async () => {
      const store = await fresh()
      const race = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => store.commit(0, entry(n))))
      expect(race.filter((result) => result.status === 'fulfilled')).toHaveLength(1)
      expect((await store.load())?.revision).toBe(1)
    })

    test('lists the audit newest first, by pages', async () => {
      const store = await fresh()
      for (let n = 0; n < 5; n++) await store.commit(n, entry(n + 1))
      const { services: _services, intents: _intents, ...audit } = entry(5)
      const page = await store.revisions(2)
      expect(page[0]).toEqual({ revision: 5, ...audit })
      expect(page.map((line) => line.revision)).toEqual([5, 4])
      expect((await store.revisions(2, 4)).map((line) => line.revision)).toEqual([3, 2])
      expect((await store.revisions(10, 2)).map((line) => line.revision)).toEqual([1])
      expect(await store.revisions(10, 1)).toEqual([])
      expect(await store.revisions(0)).toEqual([])
    })

    test('gives back one revision in full', async () => {
      const store = await fresh()
      for (let n = 0; n < 3; n++) await store.commit(n, entry(n + 1))
      expect(await store.revision(2)).toEqual({ revision: 2, ...entry(2) })
      expect(await store.revision(4)).toBeNull()
    })

    test(`keeps ${REVISIONS_KEPT} revisions in full and the audit beyond`, async () => {
      const store = await fresh()
      const last = REVISIONS_KEPT + 3
      for (let n = 0; n < last; n++) await store.commit(n, entry(n + 1))
      expect(await store.revision(3)).toBeNull()
      expect((await store.revision(4))?.services).toEqual(entry(4).services)
      expect((await store.revision(last))?.services).toEqual(entry(last).services)
      expect(await store.revisions(last + 10)).toHaveLength(last)
    }, 60_000)

    test('holds named values and replaces them', async () => {
      const store = await fresh()
      await store.put('keys', 'a')
      await store.put('keys', 'b — ü\n')
      await store.put('__proto__', 'c')
      expect(await store.get('keys')).toBe('b — ü\n')
      expect(await store.get('__proto__')).toBe('c')
      expect(await store.load()).toBeNull()
    })

    test('keeps copies: later changes of what was handed over or given out do not reach it', async () => {
      const store = await fresh()
      const handed = entry(1)
      await store.commit(0, handed)
      handed.services['shop'].pools['blue'].version = 'changed'
      handed.intents['shop'].release = 'changed'
      const given = await store.load()
      expect(given?.services).toEqual(entry(1).services)
      given!.services['shop'].pools['blue'].version = 'changed'
      given!.intents['shop'].release = 'changed'
      expect(await store.load()).toEqual({ revision: 1, services: entry(1).services, intents: entry(1).intents })
    })

    test('takes the names that JavaScript objects are born with as plain names', async () => {
      const store = await fresh()
      const services = JSON.parse(`{"__proto__":${JSON.stringify(serviceSpec())}}`)
      const intents = JSON.parse(`{"constructor":${JSON.stringify(serviceIntent())}}`)
      await store.commit(0, { ...entry(1), services, intents })
      const loaded = await store.load()
      expect(Object.keys(loaded!.services)).toEqual(['__proto__'])
      expect(Object.keys(loaded!.intents)).toEqual(['constructor'])
    })
  })
}
