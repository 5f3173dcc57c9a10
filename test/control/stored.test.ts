/** What was stored is not believed: by earlier versions, by newer ones, by hand. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { packed } from '../../src/control/stored.ts'
import { Archive } from '../../src/rollout/archive.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { sqliteStore } from '../../src/store/sqlite.ts'
import { NOWHERE, type Store, type StoredContent } from '../../src/store/store.ts'
import { bulk } from '../helpers/bulk.ts'
import { BLUE, BLUE2, codeOf, contentOf, put, shop, split, standingClock, startControl } from './stand-in.ts'

const FIXTURES = join(import.meta.dirname, '../store/fixtures')

/** A store that has these services at revision 1, whatever they are. */
async function storeOf(
  services: Record<string, Partial<StoredContent>>,
  named: Record<string, string> = {},
): Promise<Store> {
  const store = memoryStore()
  const commit = { atMs: 1, actor: 'test', change: { kind: 'file' }, releaseLast: 40 }
  await store.commit(NOWHERE, { ...commit, services: {} })
  const entries = Object.entries(services).map(([name, content]) => {
    return [name, { before: null, after: { spec: shop(), intent: { release: 'r1' }, ...content } as never }]
  })
  await store.commit(await store.position(), { ...commit, services: Object.fromEntries(entries), named })
  return store
}

const told = ({ control }: Awaited<ReturnType<typeof startControl>>): string[] =>
  control.events().flatMap(({ type, message }) => (type === 'store' ? [message] : []))

/** With a hold, maintenance, a rollout in its first step, and a rule by a file. */
const UNDER_WAY = 'layout-2-under-way'

interface Answered {
  readonly revision: number
  readonly services: { readonly name: string; readonly spec: object; readonly status: object }[]
  readonly audit: { readonly atMs: number }[]
  readonly revisions: Readonly<Record<string, object>>
  readonly rollouts?: readonly { readonly id: string; readonly state: string }[]
}

/** Ends the rollouts that were under way. */
async function goBack({ control, make }: Pick<Awaited<ReturnType<typeof startControl>>, 'control' | 'make'>) {
  for (const [service, { trial }] of Object.entries(control.snapshot().status)) {
    if (trial === undefined) continue
    const { rollout = '', before = {} } = trial
    await make({ kind: 'shift', service, weights: before, before, trial: null, ends: 'back', rollout })
  }
}

describe.each(['layout-1', 'layout-1-allotment', UNDER_WAY])('a store of an earlier version (%s)', (name) => {
  const answered = JSON.parse(readFileSync(join(FIXTURES, `${name}.json`), 'utf8')) as Answered

  async function start() {
    const folder = mkdtempSync(join(tmpdir(), 'turnout-fixture-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    copyFileSync(join(FIXTURES, `${name}.db`), join(folder, 'turnout.db'))
    const store = sqliteStore(join(folder, 'turnout.db'))
    onTestFinished(() => store.close())
    // When it was stored: by an earlier clock what is under way would begin later than now.
    const { clock } = standingClock(answered.audit[0].atMs)
    return { ...(await startControl({ store, clock })), store }
  }

  test('is found again as it was: specs, states, health, releases and cookie keys', async () => {
    const { control, store } = await start()
    const { revision, services, status } = control.snapshot()
    expect(revision).toBe(answered.revision)
    expect(Object.keys(services).sort()).toEqual(answered.services.map((one) => one.name).sort())
    for (const one of answered.services) {
      expect(services[one.name]).toEqual(one.spec)
      expect(status[one.name]).toMatchObject(one.status)
    }
    expect(JSON.parse((await store.get('cookieKeys'))!)).toHaveLength(1)
    expect(control.events()).toEqual([])
  })

  test('knows every revision as it was, with its audit, and each can be made the present one', async () => {
    const { control, make, store } = await start()
    expect(await store.revisions(100)).toEqual(answered.audit)
    for (const [revision, services] of Object.entries(answered.revisions)) {
      expect((await control.revision(Number(revision)))?.services, `revision ${revision}`).toEqual(services)
    }
    await goBack({ control, make })
    for (const [revision, services] of Object.entries(answered.revisions)) {
      await make({ kind: 'restore', from: Number(revision) })
      expect(control.snapshot().services, `revision ${revision}`).toEqual(services)
    }
  })

  if (name === UNDER_WAY)
    test('has what was under way: who waits, who sees a page, who is tried, and the rollouts', async () => {
      const { control, make, store } = await start()
      const { held, away, tried } = control.snapshot().status
      expect(held.hold).toMatchObject({ only: 'writes', queueMax: 7 })
      expect(away.maintenance?.sinceMs).toBeGreaterThan(0)
      expect(tried.trial).toMatchObject({ pool: 'green', before: { blue: 100, green: 0 } })
      const archive = new Archive(store, () => true)
      const open = await archive.read()
      const kept = [...open, ...archive.ended('tried')].map(({ rollout }) => rollout)
      expect(kept).toMatchObject(answered.rollouts!.map(({ id, state }) => ({ id, state })))
      expect(kept.map(({ state }) => state)).toEqual(['shifting', 'rolledBack'])
      expect(tried.trial!.rollout).toBe(open[0].rollout.id)
      await expect(make(split(1, 1, 'tried'))).rejects.toThrow('A rollout of tried is running.')

      await goBack({ control, make })
      await make({ kind: 'release', services: ['held'] })
      await make({ kind: 'maintenance', service: 'away', on: false })
      const { services, status } = control.snapshot()
      expect(services['tried'].split).toEqual({ blue: 100, green: 0 })
      expect([status['tried'].trial, status['held'].hold, status['away'].maintenance]).toEqual([
        undefined,
        undefined,
        undefined,
      ])
    })

  test('gives out no release again that it has given out', async () => {
    const { make, control } = await start()
    const before = JSON.stringify(answered)
    await make({ kind: 'switch', to: { api: 'b' } })
    await make({ kind: 'service.put', service: 'new', spec: shop() })
    for (const service of ['api', 'new'])
      expect(before).not.toContain(`"${control.snapshot().status[service].release}"`)
  })

  test('takes the config file up where it was: what people changed stays, what changes in the file is applied', async () => {
    const { make, control } = await start()
    const { shop: live, api } = control.snapshot().services
    const first = answered.revisions['1'] as Record<string, never>
    const file = { ...first, api: { ...(first['api'] as object), debugHeaders: true } } as never
    expect(await make({ kind: 'file', services: file })).toMatchObject({ changed: false })
    const edited = {
      ...(file as object),
      api: { ...(file as Record<string, object>)['api'], balance: 'hash' },
    } as never
    await make({ kind: 'file', services: edited })
    expect(control.snapshot().services).toEqual({
      ...control.snapshot().services,
      shop: live,
      api: { ...api, balance: 'hash' },
    })
  })
})

describe('a stored spec', () => {
  test('that lacks keys which have defaults by now is completed, in the document and in its revisions', async () => {
    const { drain: _drain, timeouts: _timeouts, sticky: _sticky, debugHeaders: _debug, rules: _rules, ...old } = shop()
    const store = await storeOf({ shop: { spec: old } })
    const started = await startControl({ store })
    expect(started.control.snapshot().services['shop']).toEqual(shop())
    expect((await started.control.revision(2))?.services).toEqual({ shop: shop() })
    await started.make(split(1, 1))
    await started.make({ kind: 'restore', from: 2 })
    expect(started.control.snapshot().services['shop']).toEqual(shop())
    expect(told(started)).toEqual([])
  })

  test('with keys that a newer version knew is served without them, and says so', async () => {
    const newer = { ...shop(), xFuture: { pool: 'green' }, drain: { timeout: '30s', xToo: {} } }
    const started = await startControl({ store: await storeOf({ shop: { spec: newer } }) })
    expect(started.control.snapshot().services['shop']).toEqual(shop())
    expect(told(started)).toEqual([expect.stringContaining('/drain/xToo, /xFuture not known to this version')])
  })

  test.each([
    ['a weight for a pool that is not there', { ...shop(), split: { red: 1 } }],
    ['a balance that does not exist', { ...shop(), balance: 'best' }],
    ['nothing', null],
    ['a number', 7],
    ['no pools', { ...shop(), pools: {} }],
  ])('that cannot be served (%s) is left out and kept, and all others are served', async (_what, spec) => {
    const store = await storeOf({
      api: { spec: shop({}, 'api.test') },
      shop: { spec },
      web: { spec: shop({}, 'web.test') },
    })
    const started = await startControl({ store })
    expect(Object.keys(started.control.snapshot().services)).toEqual(['api', 'web'])
    expect(told(started)).toEqual([expect.stringContaining('service shop is left out, since it cannot be served: ')])
    await started.make(split(7, 3, 'api'))
    expect((await store.load()).services['shop'].spec).toEqual(spec)
    const again = await startControl({ store })
    expect(again.control.snapshot().services).toEqual(started.control.snapshot().services)
  })

  test('whose route another service has is left out, and not both of them', async () => {
    const started = await startControl({ store: await storeOf({ shop: {}, twin: {} }) })
    expect(Object.keys(started.control.snapshot().services)).toEqual(['shop'])
    expect(told(started)[0]).toContain('service twin is left out')
  })

  test('that is left out can be put anew, or removed, and what it was can still be read', async () => {
    const bad = { ...shop(), balance: 'best' }
    const store = await storeOf({ shop: { spec: bad }, api: { spec: { ...bad, routes: [{ host: 'api.test' }] } } })
    const { make, control } = await startControl({ store })
    await make(put())
    await make({ kind: 'service.delete', service: 'api' })
    expect(await codeOf(() => make({ kind: 'service.delete', service: 'api' }))).toBe('not_found')
    expect(Object.keys(control.snapshot().services)).toEqual(['shop'])
    expect(Object.keys((await store.load()).services)).toEqual(['shop'])
    expect((await control.revision(2))?.services['shop']).toEqual(bad)
    const error = await make({ kind: 'restore', from: 2 }).catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'invalid' })
    expect(error.faults.map(({ pointer }: { pointer: string }) => pointer)).toContain('/shop/balance')
  })

  test('that is left out goes with the whole document when that is written anew', async () => {
    const bad = { ...shop(), balance: 'best' }
    const store = await storeOf({ shop: { spec: bad }, api: { spec: shop({}, 'api.test') } })
    const { make } = await startControl({ store })
    const older = memoryStore()
    Object.assign(store, { position: () => older.position(), replace: older.replace.bind(older) })
    await make(split(1, 1, 'api'))
    expect((await older.load()).services).toMatchObject({ shop: { spec: bad }, api: {} })
  })

  test('that is left out comes back by the config file, though the file has not changed', async () => {
    const file = JSON.stringify({ shop: shop() })
    const { make, control } = await startControl({
      store: await storeOf({ shop: { spec: { ...shop(), balance: 'best' } } }, { file }),
    })
    await make({ kind: 'file', services: { shop: shop() } })
    expect(control.snapshot().services['shop']).toEqual(shop())
  })
})

describe('the config file as it was last applied', () => {
  test('is completed too, so that a new default in the file undoes nothing', async () => {
    const { debugHeaders: _debug, ...old } = shop()
    const live = { ...shop(), debugHeaders: true }
    const store = await storeOf({ shop: { spec: live } }, { file: JSON.stringify({ shop: old }) })
    const { make, control } = await startControl({ store })
    expect(await make({ kind: 'file', services: { shop: shop() } })).toMatchObject({ changed: false })
    expect(control.snapshot().services['shop']).toEqual(live)
  })

  test('of a service that makes no sense any more leaves what runs', async () => {
    const live = { ...shop(), debugHeaders: true }
    const store = await storeOf(
      { shop: { spec: live } },
      { file: JSON.stringify({ shop: { ...shop(), balance: 'best' } }) },
    )
    const { make, control } = await startControl({ store })
    await make({ kind: 'file', services: { shop: shop() } })
    expect(control.snapshot().services['shop']).toEqual(live)
    await make({ kind: 'file', services: { shop: { ...shop(), balance: 'hash' } as ReturnType<typeof shop> } })
    expect(control.snapshot().services['shop']).toEqual({ ...live, balance: 'hash' })
  })

  test('that is no JSON stops the start', async () => {
    const store = await storeOf({}, { file: '{"shop":' })
    await expect(startControl({ store })).rejects.toMatchObject({
      code: 'store_unavailable',
      message: expect.stringContaining('the config file as it was last applied is not JSON'),
    })
  })
})

describe('a stored intent', () => {
  const started = async (intent: unknown) => startControl({ store: await storeOf({ shop: { intent } }) })

  test('that is malformed is mended piece by piece, and says so; the rest of it stays', async () => {
    const one = await started({
      release: 'r7',
      previous: { weights: { blue: -1 }, release: 'r3' },
      pools: {
        blue: {
          admin: 'asleep',
          drainUntilMs: 'soon',
          born: 4,
          bornBy: 'no mark',
          targets: { [BLUE]: { admin: 'maint' }, [BLUE2]: 9 },
        },
        green: null,
      },
      // A number, and no time that a date can tell.
      maintenance: { sinceMs: 1e300 },
      allotment: { salt: 'r7', weights: { blue: 1 }, ranges: [{ pool: 'blue', end: 17 }] },
    })
    const { release, previous, pools, maintenance } = one.control.snapshot().status['shop']
    expect([release, previous, maintenance]).toEqual(['r7', null, undefined])
    expect(pools['blue']).toMatchObject({
      admin: 'ready',
      drainUntilMs: 0,
      targets: { [BLUE]: { admin: 'maint' }, [BLUE2]: { admin: 'ready' } },
    })
    expect(told(one)).toHaveLength(1)
    for (const part of [
      'previous',
      'pools/blue/admin',
      'pools/blue/drainUntilMs',
      'pools/blue/bornBy',
      `pools/blue/targets/${BLUE2}`,
      'pools/green',
      'allotment',
      'maintenance',
    ])
      expect(told(one)[0]).toContain(part)
  })

  test('without a release that can be named gets the next one of the document', async () => {
    for (const intent of [{}, null, 'x', { release: 'a b' }, { release: 9 }]) {
      const one = await started(intent)
      expect(one.control.snapshot().status['shop'].release).toBe('r41')
    }
  })

  test('that was mended is stored as mended with the next change, whatever that is', async () => {
    const store = await storeOf({ shop: { intent: {} }, api: { spec: shop({}, 'api.test') } })
    await (await startControl({ store })).make(split(1, 1, 'api'))
    const again = await startControl({ store })
    expect(again.control.snapshot().status['shop'].release).toBe('r41')
    expect(told(again)).toEqual([])
  })

  test('of whatever kind never stops the start', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), fc.jsonValue(), async (intent, part) => {
        const pools = { blue: part, green: { targets: part } } as never
        for (const each of [intent, { release: 'r1', pools }, { release: 'r1', previous: part, allotment: part }]) {
          const { control } = await started(each)
          expect(Object.keys(control.snapshot().status['shop'].pools)).toEqual(['blue', 'green'])
        }
      }),
      { numRuns: bulk(20, 60) },
    )
  })

  test('has the numbers of its pools as they were given out, whoever did', async () => {
    const { control } = await started({
      release: 'r7',
      pools: { blue: { born: 4 }, green: { born: 5, bornBy: 'abcde' } },
    })
    const { blue, green } = control.snapshot().status['shop'].pools
    expect([blue.born, blue.bornBy, green.born, green.bornBy]).toEqual([4, undefined, 5, 'abcde'])
    expect(told({ control } as Awaited<ReturnType<typeof startControl>>)).toEqual([])
  })

  test('is packed to what people have set, and is the same again', async () => {
    const content = contentOf({ shop: shop() })
    expect(packed(content.intents['shop']).pools).toEqual({})
    const { make, control, store } = await startControl()
    await make(put())
    await make({ kind: 'target.state', service: 'shop', pool: 'blue', target: BLUE, state: 'drain' })
    await make({ kind: 'pool.put', service: 'shop', pool: 'red', spec: { version: '3', targets: [] } })
    await make({ kind: 'pool.state', service: 'shop', pool: 'green', state: 'standby' })
    expect((await startControl({ store })).control.snapshot()).toEqual({ ...control.snapshot(), epoch: 1 })
  })
})

test('a memory of where nothing was stored is no store at all', async () => {
  expect((await startControl({ store: memoryStore() })).control.snapshot().revision).toBe(NOWHERE.revision)
})
