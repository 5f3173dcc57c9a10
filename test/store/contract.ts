/** What every store must do, run on each of them: `describeStore(name, open)` with a fresh, empty store for each test. */
import { afterEach, describe, expect, test } from 'vitest'
import { isTurnoutError } from '../../src/errors.ts'
import {
  AUDIT_KEPT,
  NOWHERE,
  type Position,
  REVISIONS_KEPT,
  type Store,
  type WrittenService,
} from '../../src/store/store.ts'
import { commitAll, document, entry, revision, service, serviceSpec } from './entry.ts'

/** Rejects with this code, which is how every expected failure shows. */
export async function expectCode(work: Promise<unknown>, code: string): Promise<void> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  expect(isTurnoutError(error) ? error.code : error).toBe(code)
}

const rules = Array.from({ length: 50 }, (_, n) => ({ name: `r${n}`, when: { visitor: [`u${n}`] }, to: 'blue' }))
const withRules: WrittenService = { ...service(1), spec: { ...serviceSpec(), rules } }

const seen = { blue: { 'http://a:1': { '10.0.0.1': { health: 'unhealthy', ejectedUntilMs: 7 } } } } as const

/** Without `isBulk` the two that write thousands of revisions are left out. */
export function describeStore(name: string, open: () => Promise<Store>, isBulk = true): void {
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
      expect(await store.load()).toEqual({
        position: NOWHERE,
        releaseLast: 0,
        services: {},
        unchanged: [],
        hasLost: false,
      })
      expect(await store.position()).toEqual(NOWHERE)
      expect(await store.revisions(10)).toEqual([])
      expect(await store.revision(0)).toBeNull()
      expect(await store.revision(1)).toBeNull()
      expect(await store.observed()).toEqual({})
      expect(await store.get('nothing')).toBeNull()
    })

    test('one whose place another process takes counts as the other until it is told otherwise', async () => {
      const store = await fresh()
      // Nobody else can have one in memory.
      if (name === 'the memory store') return
      expect(await store.isShared()).toBe(false)
      await store.saveObserved({ shop: seen })
      await store.yield(true)
      expect(await store.isShared()).toBe(true)
      await store.saveObserved({ shop: null })
      expect(await store.observed()).toEqual({})
      expect(await store.observed(true)).toEqual({ shop: seen })
      await store.yield(false)
      expect(await store.isShared()).toBe(false)
      expect(await store.observed()).toEqual({ shop: seen })
    })

    test('a value that is kept where there is none is that of whoever came first', async () => {
      const store = await fresh()
      const both = await Promise.all(['a', 'b'].map((value) => store.putIfAbsent('key', value)))
      expect(both[1]).toBe(both[0])
      expect(await store.putIfAbsent('key', 'c')).toBe(both[0])
      expect(await store.get('key')).toBe(both[0])
    })

    test('a document that was lost can be written again as the very position that it was', async () => {
      const store = await fresh()
      const lost = { revision: 7, mark: 'of then' }
      expect(await store.replace(NOWHERE, { ...entry(7), ...lost, services: { shop: service(7) } })).toEqual(lost)
      expect(await store.position()).toEqual(lost)
      expect((await store.load(lost)).unchanged).toEqual(['shop'])
      expect((await store.commit(lost, entry(8))).revision).toBe(8)
    })

    test('counts revisions up from 1 and loads the last one', async () => {
      const store = await fresh()
      expect(await store.commit(NOWHERE, entry(1))).toMatchObject({ revision: 1 })
      const position = await store.commit(await store.position(), entry(2))
      expect(position.revision).toBe(2)
      expect(await store.position()).toEqual(position)
      expect(await store.load()).toEqual({ position, ...document(2) })
    })

    test('refuses a commit on another position than where it stands, and keeps nothing of it', async () => {
      const store = await fresh()
      await expectCode(store.commit({ revision: 1, mark: '' }, entry(1)), 'stale_revision')
      const position = await store.commit(NOWHERE, entry(1))
      await expectCode(store.commit(NOWHERE, entry(2)), 'stale_revision')
      await expectCode(store.commit({ revision: 2, mark: position.mark }, entry(2)), 'stale_revision')
      await expectCode(store.commit({ revision: 1, mark: 'another' }, entry(2)), 'stale_revision')
      await expectCode(store.replace(NOWHERE, { ...entry(2), revision: 5, services: {} }), 'stale_revision')
      expect(await store.load()).toEqual({ position, ...document(1) })
      expect(await store.revisions(10)).toHaveLength(1)
    })

    test('lets exactly one of many racing commits win', async () => {
      const store = await fresh()
      const race = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => store.commit(NOWHERE, entry(n, null))))
      expect(race.filter((result) => result.status === 'fulfilled')).toHaveLength(1)
      expect((await store.position()).revision).toBe(1)
    })

    test('lists the audit newest first, by pages', async () => {
      const store = await fresh()
      await commitAll(store, 5)
      const { services: _services, ...audit } = revision(5)
      const page = await store.revisions(2)
      expect(page[0]).toEqual(audit)
      expect(page.map((line) => line.revision)).toEqual([5, 4])
      expect((await store.revisions(2, 4)).map((line) => line.revision)).toEqual([3, 2])
      expect((await store.revisions(10, 2)).map((line) => line.revision)).toEqual([1])
      expect(await store.revisions(10, 1)).toEqual([])
      expect(await store.revisions(0)).toEqual([])
    })

    test('gives back one revision in full', async () => {
      const store = await fresh()
      await commitAll(store, 3)
      expect(await store.revision(2)).toEqual(revision(2))
      expect(await store.revision(4)).toBeNull()
    })

    test('knows every revision as it was, whatever came and went since', async () => {
      const store = await fresh()
      const shop = (n: number) => ({ ...service(n), spec: { ...serviceSpec(`${n}`), rules: n % 2 === 0 ? rules : [] } })
      const states: Record<string, WrittenService>[] = [{}]
      let position: Position = NOWHERE
      for (let n = 1; n <= 40; n++) {
        const before = states[n - 1]
        const after: Record<string, WrittenService> = { ...before, [`s${n % 7}`]: shop(n) }
        if (n % 3 === 0) delete after[`s${(n + 2) % 7}`]
        if (n % 5 === 0) after['s0'] = { ...after['s0'], ...service(n), spec: after['s0']?.spec ?? serviceSpec() }
        const names = new Set([...Object.keys(before), ...Object.keys(after)])
        const changed = [...names].filter((name) => before[name] !== after[name])
        const services = changed.map((name) => [name, { before: before[name] ?? null, after: after[name] ?? null }])
        position = await store.commit(position, { ...entry(n), services: Object.fromEntries(services) })
        states.push(after)
      }
      for (let n = 1; n <= 40; n++) expect((await store.revision(n))?.services, `revision ${n}`).toEqual(states[n])
    })

    test.runIf(isBulk)(`keeps ${REVISIONS_KEPT} revisions in full and the audit beyond`, async () => {
      const store = await fresh()
      const last = REVISIONS_KEPT + 3
      await commitAll(store, last)
      expect(await store.revision(3)).toBeNull()
      expect(await store.revision(4)).toEqual(revision(4))
      expect(await store.revision(last)).toEqual(revision(last))
      expect(await store.revisions(last + 10)).toHaveLength(last)
    })

    test.runIf(isBulk)(`keeps ${AUDIT_KEPT} lines of the audit and no more`, async () => {
      const store = await fresh()
      const position = await commitAll(store, 5)
      const revision = AUDIT_KEPT + 2
      const services = { shop: service(1) }
      await store.replace(position, { ...entry(6), services, revision })
      expect((await store.revisions(10)).map((line) => line.revision)).toEqual([revision, 5, 4, 3])
    })

    test('writes of a service what is new of it, and reads it back whole', async () => {
      const store = await fresh()
      let position = await store.commit(NOWHERE, {
        ...entry(1),
        services: { shop: { before: null, after: withRules } },
      })
      const split = { ...withRules, spec: { ...withRules.spec, split: { blue: 7 } } }
      position = await store.commit(position, { ...entry(2), services: { shop: { before: withRules, after: split } } })
      expect((await store.load()).services).toEqual({ shop: { ...split, revision: 2 } })
      const none = { ...split, spec: { ...split.spec, rules: [] } }
      await store.commit(position, { ...entry(3), services: { shop: { before: split, after: none } } })
      expect((await store.load()).services).toEqual({ shop: { ...none, revision: 3 } })
      expect((await store.revision(2))?.services).toEqual({ shop: split })
      expect((await store.revision(1))?.services).toEqual({ shop: withRules })
    })

    test('tells of a position that it came from what was written since, and names the rest', async () => {
      const store = await fresh()
      const add = (n: number, name: string, after: WrittenService | null, before: WrittenService | null = null) => ({
        ...entry(n),
        services: { [name]: { before, after } },
      })
      let position = await store.commit(NOWHERE, add(1, 'one', service(1)))
      position = await store.commit(position, add(2, 'two', service(2)))
      const since = await store.commit(position, add(3, 'three', service(3)))
      expect(await store.load(since)).toMatchObject({ services: {}, unchanged: ['one', 'two', 'three'] })
      position = await store.commit(since, add(4, 'one', null, service(1)))
      position = await store.commit(position, add(5, 'two', service(5), service(2)))
      expect(await store.load(since)).toEqual({
        position,
        releaseLast: 5,
        services: { two: { ...service(5), revision: 5 } },
        unchanged: ['three'],
        hasLost: false,
      })
      const lost = await store.load({ ...since, mark: 'another line' })
      expect([Object.keys(lost.services), lost.hasLost]).toEqual([['two', 'three'], true])
    })

    test('takes a whole document in the place of its own, and still knows its own', async () => {
      const store = await fresh()
      const old = await commitAll(store, 2)
      const services = { shop: service(9), api: service(8) }
      const position = await store.replace(old, { ...entry(3), revision: 50, releaseLast: 70, services })
      expect(position.revision).toBe(50)
      expect(await store.load()).toMatchObject({
        position,
        releaseLast: 70,
        services: { shop: { ...service(9), revision: 50 }, api: { ...service(8), revision: 50 } },
      })
      expect((await store.revision(50))?.services).toEqual(services)
      expect(await store.revision(2)).toEqual(revision(2))
      expect(await store.revision(1)).toEqual(revision(1))
      expect(await store.revision(30)).toBeNull()
      expect((await store.load(old)).unchanged).toEqual([])
      // Nothing is known of what a document was before it was put there.
      expect((await store.load({ revision: 30, mark: 'of then' })).hasLost).toBe(false)
      expect(await store.commit(position, entry(51, service(9)))).toMatchObject({ revision: 51 })
    })

    test('writes named values with a commit, or not at all', async () => {
      const store = await fresh()
      await expectCode(store.commit({ revision: 9, mark: '' }, { ...entry(1), named: { file: 'a' } }), 'stale_revision')
      expect(await store.get('file')).toBeNull()
      await store.commit(NOWHERE, { ...entry(1), named: { file: 'b' } })
      expect(await store.get('file')).toBe('b')
    })

    test('holds named values, replaces and forgets them', async () => {
      const store = await fresh()
      await store.put('keys', 'a')
      await store.put('keys', 'b — ü\n')
      await store.put('__proto__', 'c')
      expect(await store.get('keys')).toBe('b — ü\n')
      expect(await store.get('__proto__')).toBe('c')
      await store.put('keys', null)
      await store.put('never', null)
      expect([await store.get('keys'), await store.get('__proto__')]).toEqual([null, 'c'])
      expect(await store.position()).toEqual(NOWHERE)
    })

    test('keeps what was observed by service, apart from the document', async () => {
      const store = await fresh()
      await store.saveObserved({ shop: seen, api: { ...seen } })
      await store.saveObserved({ api: null, gone: null })
      expect(await store.observed()).toEqual({ shop: seen })
      expect(await store.position()).toEqual(NOWHERE)
    })

    test('keeps copies: later changes of what was handed over or given out do not reach it', async () => {
      const store = await fresh()
      const handed = structuredClone(entry(1)) as { services: { shop: { after: WrittenService } } } & ReturnType<
        typeof entry
      >
      await store.commit(NOWHERE, handed)
      handed.services.shop.after.spec.pools['blue'].version = 'changed'
      handed.services.shop.after.intent.release = 'changed'
      const given = await store.load()
      expect(given.services).toEqual(document(1).services)
      ;(given.services['shop'].spec as typeof handed.services.shop.after.spec).pools['blue'].version = 'changed'
      expect((await store.load()).services).toEqual(document(1).services)
    })

    test('takes the names that JavaScript objects are born with as plain names', async () => {
      const store = await fresh()
      const both = ['__proto__', 'constructor'].map((key) => [key, { before: null, after: service(1) }] as const)
      await store.commit(NOWHERE, { ...entry(1), services: Object.fromEntries(both) })
      expect(Object.keys((await store.load()).services)).toEqual(['__proto__', 'constructor'])
      expect(Object.keys((await store.revision(1))!.services)).toEqual(['__proto__', 'constructor'])
    })
  })
}
