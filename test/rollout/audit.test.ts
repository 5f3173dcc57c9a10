/** What of a rollout stands in the audit: who has asked for what, and what it has come to by itself. */
import { expect, test } from 'vitest'
import type { RolloutLine } from '../../src/change.ts'
import { TurnoutError } from '../../src/errors.ts'
import { startHook } from '../helpers/hook.ts'
import { drivenUntil } from '../helpers/raw.ts'
import { answer, begun, type Stand, watching } from './stand.ts'

/** The lines of rollouts, the oldest first. */
const lines = async ({ store }: Stand) =>
  (await store.revisions(100))
    .reverse()
    .filter(({ change }) => change.kind === 'rollout')
    .map(({ actor, change }) => ({ actor, ...(change as unknown as RolloutLine) }))

test('what people ask of a rollout is a line of its own each, with who, what and when, and a count', async () => {
  const stood = await begun()
  const { rollouts, store, control, clock } = stood
  await rollouts.command('shop', 'current', 'pause', 'bob')
  const atMs = clock.nowMs()
  clock.move(5_000)
  await rollouts.command('shop', 'current', 'resume', 'carol')
  await rollouts.command('shop', 'current', 'promote', 'dan')
  await watching(stood, 50)
  await rollouts.command('shop', 'r-1', 'abort', 'erin')
  await drivenUntil('it is over', async () => {
    clock.move(100)
    return rollouts.running('shop') === null
  })
  const whole = { actor: 'rollout r-1', kind: 'rollout', service: 'shop', rollout: 'r-1', to: 'green' }
  expect(await lines(stood)).toEqual([
    {
      ...whole,
      verb: 'pause',
      askedBy: 'bob',
      state: 'paused',
      weight: 10,
      reason: 'paused by bob',
      sinceMs: atMs,
    },
    {
      ...whole,
      verb: 'resume',
      askedBy: 'carol',
      state: 'shifting',
      weight: 10,
      reason: 'resumed by carol',
      sinceMs: atMs + 5_000,
    },
    expect.objectContaining({ verb: 'promote', askedBy: 'dan', state: 'shifting', reason: 'promoted by dan' }),
    expect.objectContaining({ verb: 'abort', askedBy: 'erin', state: 'rollingBack', reason: 'aborted by erin' }),
    // Green had so much before.
    expect.objectContaining({ state: 'rolledBack', weight: 5, reason: 'aborted by erin' }),
  ])
  const begin = (await store.revisions(100)).find(({ change }) => change['verb'] === 'begin')
  expect(begin?.change).toMatchObject({ kind: 'shift', service: 'shop', rollout: 'r-1', askedBy: 'alice' })
  const asked = { begin: 1, pause: 1, resume: 1, promote: 1, abort: 1 }
  expect(rollouts.figures()).toMatchObject([{ asked }])
  // Each is a revision, but nothing of the service was changed by it.
  const [{ revision }] = await store.revisions(1)
  expect(control.snapshot().revision).toBe(revision)
  expect(control.snapshot().revisions['shop']).toBeLessThan(revision)
})

test('what is refused is no line, and no count', async () => {
  const stood = await begun()
  await expect(stood.rollouts.command('shop', 'current', 'resume', 'bob')).rejects.toThrow('takes no resume')
  expect(await lines(stood)).toEqual([])
  expect(stood.rollouts.figures()).toMatchObject([{ asked: { begin: 1, resume: 0 } }])
})

test('a hold and its end, and a pause and a way back by the verdict, are lines that nobody has asked for', async () => {
  const stood = await begun({ onFailure: 'pause' })
  const { rollouts } = stood
  const state = () => rollouts.running('shop')?.state
  for (let n = 0; n < 50; n++) await answer(stood, 0, 0)
  for (const [is, canary, live] of [
    ['holding', 0.5, 0.5],
    ['shifting', 0, 0],
    ['paused', 0.5, 0],
  ] as const) {
    await drivenUntil(`it is ${is}`, async () => {
      await answer(stood, canary, live)
      return state() === is
    })
  }
  const said = await lines(stood)
  expect(said.map(({ state, verb, askedBy }) => [state, verb, askedBy])).toEqual([
    ['holding', undefined, undefined],
    ['shifting', undefined, undefined],
    ['paused', undefined, undefined],
  ])
  expect(said[0].reason).toMatch(/^blue itself fails more than it used to/)
  expect(said[2].reason).toMatch(/answers of green failed/)
})

test.each([
  ['its verdict', /answers of green failed/],
  ['a hook', /answered 409/],
])('one that %s lets fail while it is paused is told, with an event and a line of its own', async (by, why) => {
  const chat = await startHook<{ text: string }>()
  const answered = Promise.withResolvers<number>()
  const hook = await startHook(() => answered.promise)
  const steps = [
    { weight: 50, for: '1h' },
    { weight: 75, for: '1h', hooks: [{ url: hook.url, timeout: '30s' }] },
  ]
  const stood = await begun({ onFailure: 'pause', steps, notify: [{ url: chat.url, format: 'json' }] }, 50)
  const { rollouts, events } = stood
  const command = (verb: 'pause' | 'promote') => rollouts.command('shop', 'current', verb, 'bob')
  if (by === 'a hook') {
    await command('promote')
    await drivenUntil('the hook is called', async () => hook.heard.length === 1)
  }
  await command('pause')
  answered.resolve(409)
  await drivenUntil('that is told', async () => {
    await answer(stood, by === 'its verdict' ? 0.5 : 0, 0)
    return chat.heard.some(({ text }) => why.test(text))
  })
  const reason = expect.stringMatching(why)
  const stands = { state: 'paused', weight: 50, reason }
  expect(events.at(-1)).toEqual(reason)
  expect(rollouts.running('shop')).toMatchObject(stands)
  expect(rollouts.running('shop')?.history.at(-1)).toMatchObject(stands)
  const said = await lines(stood)
  expect(said.at(-1)).toMatchObject(stands)
  expect(said.at(-1)?.askedBy).toBe(undefined)
})

test('a commit that was reported as failed and had happened is done, and one line', async () => {
  const stood = await begun()
  const { rollouts, store } = stood
  const commit = store.commit.bind(store)
  store.commit = async (...what) => {
    await commit(...what)
    throw new TurnoutError('store_unavailable')
  }
  await rollouts.command('shop', 'current', 'pause', 'bob')
  store.commit = commit
  await rollouts.command('shop', 'current', 'resume', 'bob')
  expect((await lines(stood)).map(({ verb }) => verb)).toEqual(['pause', 'resume'])
})

test('it is one line too where others have changed something before it was tried again', async () => {
  const stood = await begun()
  const { rollouts, store, control, clock } = stood
  const { commit, get } = store
  const spec = { ...control.snapshot().services['shop'], routes: [{ host: 'other.example.com', path: '/' }] }
  const away = new TurnoutError('store_unavailable')
  const inDoubt: unknown[] = []
  let isAway = true
  Object.assign(store, {
    commit: async (...what: Parameters<typeof commit>) => {
      const done = await commit.apply(store, what)
      const { change } = what[1]
      if (!isAway || change.kind !== 'rollout') return done
      inDoubt.push(change['state'])
      throw away
    },
    get: (key: string) => (isAway && key === 'rollout:shop' ? Promise.reject(away) : get.call(store, key)),
  })
  const aborted = rollouts.command('shop', 'current', 'abort', 'bob')
  await drivenUntil('a line is in doubt', async () => inDoubt.length > 0)
  await control.change({ kind: 'service.put', service: 'other', spec }, { actor: 'carol' })
  isAway = false
  await drivenUntil('it is over', async () => {
    clock.move(100)
    return rollouts.running('shop') === null
  })
  await aborted
  expect(inDoubt).toEqual(['rollingBack'])
  expect((await lines(stood)).map(({ state }) => state)).toEqual(['rollingBack', 'rolledBack'])
})
