/** What was stored of rollouts is not believed: by earlier versions, by newer ones, by hand. None of it stops the start, or another rollout. */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { TurnoutError } from '../../src/errors.ts'
import { eachAlone } from '../../src/rollout/each-alone.ts'
import type { Kept } from '../../src/rollout/kept.ts'
import { soundKept } from '../../src/rollout/stored.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { sqliteStore } from '../../src/store/sqlite.ts'
import { NOWHERE, type Store } from '../../src/store/store.ts'
import { bulk } from '../helpers/bulk.ts'
import { drivenUntil } from '../helpers/raw.ts'
import { answer, begun, type Stand, stand, watching } from './stand.ts'

const KEY = 'rollout:shop'
/** How the rollouts here go back. */
const BEFORE = { blue: 95, green: 5 }

const splitOf = ({ control }: Stand) => control.snapshot().services['shop'].split
const trialOf = ({ control }: Stand) => control.snapshot().status['shop'].trial
const keptIn = async (store: Store) => JSON.parse((await store.get(KEY))!) as Kept[]

/** A store in which a process has left a rollout that watches 10 % and has judged something, and what it has left of it. */
async function left(): Promise<{ store: Store; kept: Kept }> {
  const stood = await begun()
  for (let at = 0; at < 20; at++) await answer(stood, 0.05, 0.05)
  await stood.rollouts.command('shop', 'r-1', 'pause', 'bob')
  await stood.rollouts.command('shop', 'r-1', 'resume', 'bob')
  await stood.rollouts.close()
  const [kept] = await keptIn(stood.store)
  return { store: stood.store, kept }
}

/** A process that starts with it. */
async function started(store: Store): Promise<Stand> {
  const stood = await stand(store)
  onTestFinished(() => stood.rollouts.close())
  await stood.rollouts.start()
  return stood
}

/** The record with this piece at the place; undefined: without it. */
function withPiece(kept: Kept, place: string, piece: unknown): object {
  const copy = structuredClone(kept) as never
  const keys = place.split('/')
  const holder = keys.slice(0, -1).reduce((value: Record<string, never>, key) => value[key], copy)
  if (piece === undefined) delete holder[keys.at(-1)!]
  else holder[keys.at(-1)!] = piece as never
  return copy
}

/** Another store with the same document, in which this stands of the rollout. */
async function copyOf(store: Store, text: string): Promise<Store> {
  const copy = memoryStore()
  const { services, releaseLast } = await store.load()
  const entries = Object.entries(services).map(([name, after]) => [name, { before: null, after }])
  const commit = { atMs: 1, actor: 'test', change: { kind: 'file' }, releaseLast }
  await copy.commit(NOWHERE, { ...commit, services: Object.fromEntries(entries), named: { [KEY]: text } })
  return copy
}

const UNSOUND: [string, unknown][] = [
  ['rollout/plan', undefined],
  ['rollout/plan/steps', []],
  ['rollout/plan/batches', undefined],
  ['rollout/plan/batches', [['http://127.0.0.1:3001']]],
  ['rollout/work', 'flying'],
  ['rollout/at', 7],
  ['rollout/weight', 37],
  ['rollout/before', { blue: -1 }],
  ['rollout/policy', null],
  ['wish', 'canary'],
  ['wish/verdict/alpha', 0],
  ['wish/spec', { notify: [{ url: 'no address' }] }],
  ['wish/spec', { hooks: [{ at: 'Someday', url: 'http://127.0.0.1:9/', timeout: '1s' }] }],
  ['wish/given', [{ kind: 'guessed', name: 'x' }]],
  ['tests/0/origin/wealth', [1, 1]],
  ['live', {}],
  ['history', 9],
  ['startedAtMs', 1e300],
]

test.each(UNSOUND)(
  'one that is under way and of which %s is %j counts as lost: that is told, its split goes back, and another may begin',
  async (place, piece) => {
    const { store, kept } = await left()
    await store.put(KEY, JSON.stringify([withPiece(kept, place, piece)]))
    const stood = await started(store)
    expect([splitOf(stood), trialOf(stood), stood.rollouts.running('shop')]).toEqual([BEFORE, undefined, null])
    expect(stood.told).toContainEqual(expect.stringContaining('cannot be read, and counts as lost'))
    expect(stood.events).toEqual([
      expect.stringContaining('is rolled back: aborted by turnout, since its record is lost'),
    ])
    await stood.rollouts.begin('shop', { to: 'green' }, 'alice')
  },
)

test('one with more hooks in all its steps than one list may have is sound, and each hook is looked at', async () => {
  const { kept } = await left()
  const hook = (at: number) => ({
    name: `h-${at}`,
    at: 'BeforeStep',
    step: at % 4,
    url: 'http://127.0.0.1:9/',
    timeout: '1s',
  })
  const hooks = Array.from({ length: 120 }, (_, at) => hook(at))
  const faults: string[] = []
  const soundWith = (list: readonly unknown[]) =>
    soundKept(withPiece(kept, 'wish/spec/hooks', list), 'shop', ({ message }) => void faults.push(message))
  expect(soundWith(hooks)).toMatchObject({ wish: { spec: { hooks } } })
  expect(faults).toEqual([])
  expect(soundWith([...hooks, { ...hook(120), url: 'no address' }])).toBeNull()
  expect(faults).toEqual([expect.stringContaining('wish/spec/hooks/20/url')])
})

test('of which metrics were not known then, more is known from now on', async () => {
  const { store, kept } = await left()
  const stood = await stand(
    await copyOf(store, JSON.stringify([withPiece(kept, 'live', { histories: [], clumps: [] })])),
  )
  await stood.rollouts.start()
  stood.clock.move(200)
  expect(stood.rollouts.running('shop')).toMatchObject({ id: 'r-1', state: 'shifting' })
  await stood.rollouts.close()
})

test('whatever a piece of it is, the start succeeds, and the rollout is driven or taken back', async () => {
  const { store, kept } = await left()
  const text = JSON.stringify([kept])
  const places: string[] = []
  const walk = (value: unknown, at: string) => {
    if (at !== '') places.push(at)
    if (typeof value !== 'object' || value === null) return
    for (const [key, member] of Object.entries(value)) walk(member, at === '' ? key : `${at}/${key}`)
  }
  walk(kept, '')
  const driven = { yes: 0, no: 0 }
  const piece = fc.oneof(fc.constantFrom(undefined, null, 0, -1, 1e300, '', [], {}), fc.jsonValue())
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...places), piece, async (place, value) => {
      const other = withPiece(kept, place, value)
      const faults: string[] = []
      const sound = soundKept(structuredClone(other), 'shop', ({ message }) => void faults.push(message))
      expect(faults).toHaveLength(sound === null ? 1 : 0)
      driven[sound === null ? 'no' : 'yes']++
      if (sound === null) return
      // What is sound can be driven, and told of.
      const stood = await stand(await copyOf(store, JSON.stringify([other])))
      await stood.rollouts.start()
      expect(stood.told).toEqual([])
      JSON.stringify([stood.rollouts.list('shop'), stood.rollouts.figures()])
      stood.clock.move(200)
      await stood.rollouts.close()
      expect(stood.told).toEqual([])
    }),
    { numRuns: bulk(150, 600) },
  )
  expect(driven.no).toBeGreaterThan(driven.yes)
  expect(JSON.stringify([kept])).toBe(text)
})

test('one that another service has left, and that makes no sense, hinders no other, and neither does one that has ended', async () => {
  const { store, kept } = await left()
  const standby = { untilMs: kept.startedAtMs, isOver: false }
  const done = { ...kept.rollout, id: 'r-0', state: 'done', weight: 100, at: 1, work: 'afterBake', phase: 'moving' }
  const ended = { ...kept, rollout: done, standby, gates: 7, verdict: 'fine' }
  await store.put('rollouts', '["gone","shop"]')
  await store.put('rollout:gone', JSON.stringify([{ ...kept, service: 'gone', wish: 1 }]))
  await store.put('rollouts-before:shop', JSON.stringify([ended, { ...ended, rollout: { ...done, plan: 3 } }]))
  const stood = await started(store)
  expect(stood.rollouts.list('shop')).toMatchObject([
    { id: 'r-1', state: 'shifting', weight: 10 },
    { id: 'r-0', state: 'done', verdict: null, gates: [], standbyUntilMs: null },
  ])
  expect(stood.told).toHaveLength(5)
  await stood.rollouts.command('shop', 'r-1', 'promote', 'bob')
  await watching(stood, 50)
})

test('one that Turnout has begun before there were rolling releases goes on as the canary that it is', async () => {
  const { store, kept } = await left()
  const { wish, rollout, tests: _tests, live: _live, gates: _gates, answers: _answers, askedBy: _by, ...older } = kept
  const { batches: _batches, ...plan } = { ...rollout.plan, batch: null }
  const { given: _given, ...verdict } = wish.verdict
  const { begun: _begun, ...value } = { ...rollout, plan }
  const record = { ...older, wish: { ...wish, plan, verdict, given: undefined }, rollout: value, origins: null }
  await store.put(KEY, JSON.stringify([record]))
  const stood = await started(store)
  expect(stood.told).toEqual([])
  expect(stood.rollouts.running('shop')).toMatchObject({ id: 'r-1', state: 'shifting', weight: 10 })
  await stood.rollouts.command('shop', 'r-1', 'promote', 'bob')
  await watching(stood, 50)
  expect(splitOf(stood)).toEqual({ blue: 1, green: 1 })
  expect(stood.rollouts.isLeftBy('shop', 'blue')).toBe(true)
  await stood.rollouts.command('shop', 'r-1', 'abort', 'bob')
  expect(splitOf(stood)).toEqual(BEFORE)
})

test('what an earlier version has left under way is driven to its end, and what had ended is told', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-fixture-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'turnout.db')
  copyFileSync(join(import.meta.dirname, '../store/fixtures/layout-2-under-way.db'), file)
  const store = sqliteStore(file)
  onTestFinished(() => store.close())
  const stood = await started(store)
  expect(stood.told).toEqual([])
  const { id, weight, state, step } = stood.rollouts.running('tried')!
  expect({ weight, state, step }).toEqual({ weight: 20, state: 'shifting', step: 0 })
  expect(stood.rollouts.list('tried')).toMatchObject([{ id }, { state: 'rolledBack' }])
  await stood.rollouts.command('tried', id, 'promote', 'bob')
  await drivenUntil('it has its next step', async () => {
    stood.clock.move(100)
    return stood.rollouts.running('tried')?.step === 1
  })
  await stood.rollouts.command('tried', id, 'abort', 'bob')
  await drivenUntil('it is over', async () => {
    stood.clock.move(100)
    return stood.rollouts.running('tried') === null
  })
  expect(stood.rollouts.list('tried')).toMatchObject([{ id, state: 'rolledBack' }, { state: 'rolledBack' }])
  const { services, status } = stood.control.snapshot()
  expect([services['tried'].split, status['tried'].trial]).toEqual([{ blue: 100, green: 0 }, undefined])
})

test('a way back in the document that leads to a pool which is not there is not gone, and hinders no other', async () => {
  const stood = await stand()
  onTestFinished(() => stood.rollouts.close())
  const spec = { ...stood.control.snapshot().services['shop'], routes: [{ host: 'zoo.example.com', path: '/' }] }
  await stood.control.change({ kind: 'service.put', service: 'zoo', spec }, { actor: 'test' })
  for (const [service, before] of [
    ['shop', { red: 1 }],
    ['zoo', BEFORE],
  ] as const) {
    const rollout = `r-${service}`
    const trial = { pool: 'green', step: 1, rollout }
    const shift = { kind: 'shift', service, weights: { blue: 9, green: 1 }, trial, before, rollout } as const
    await stood.control.change(shift, { actor: 'test' })
  }
  await stood.rollouts.start()
  expect([splitOf(stood), trialOf(stood)]).toEqual([{ blue: 9, green: 0 }, undefined])
  expect(stood.control.snapshot().services['zoo'].split).toEqual(BEFORE)
})

test('a bug that one rollout meets keeps no other from being taken up; a store that is away does', async () => {
  const all = ['a', 'b', 'c'].map((service) => ({ kept: { service, rollout: { id: `r-${service}` } } as Kept }))
  const [said, done, lost]: string[][] = [[], [], []]
  const log = { error: (_about: object, text: string) => void said.push(text) } as never
  const work =
    (error: Error) =>
    ({ kept }: { kept: Kept }) => {
      if (kept.service === 'b') throw error
      done.push(kept.service)
    }
  await eachAlone({ log }, all, work(new TypeError('a bug')), (service) => void lost.push(service))
  expect([said, done, lost]).toEqual([['rollout r-b of b cannot be taken up'], ['a', 'c'], ['b']])
  const away = new TurnoutError('store_unavailable')
  await expect(eachAlone({ log }, all, work(away))).rejects.toBe(away)
})
