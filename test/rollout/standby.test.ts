/** What becomes of what a rollout has replaced, when the hook that retires it fails. */
import { setImmediate } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { TurnoutError } from '../../src/errors.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'
import { until } from '../helpers/raw.ts'
import { startUpstream } from '../helpers/upstream.ts'
import { type Stand, stand } from './stand.ts'

interface Heard {
  readonly key?: string
  readonly text?: string
}

/** Somebody who is called, and answers by this status. */
async function startHeard(): Promise<{ url: string; heard: Heard[]; answers: { status: number } }> {
  const heard: Heard[] = []
  const answers = { status: 409 }
  const { url } = await startUpstream(async (request, response) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    heard.push(JSON.parse(Buffer.concat(pieces).toString()) as Heard)
    response.writeHead(answers.status).end()
  })
  return { url, heard, answers }
}

const moving = ({ clock }: Stand, stepMs: number, what: string, is: () => boolean) =>
  until(what, () => {
    clock.move(stepMs)
    return is()
  })

const retireOf = ({ rollouts }: Stand, at = 0) => rollouts.list('shop')[at].retire

async function started(store: Store): Promise<Stand> {
  const stood = await stand(store)
  onTestFinished(() => stood.rollouts.close())
  await stood.rollouts.start()
  return stood
}

/** One that is done, and whose standby ends in a minute; the wall clock was set back by `aheadMs` before. */
async function done(store: Store, hook: string, notify: string, aheadMs = 0): Promise<Stand> {
  const stood = await started(store)
  const { clock } = stood
  Object.assign(clock, { steadyMs: () => clock.nowMs() + aheadMs })
  await stood.rollouts.begin(
    'shop',
    {
      to: 'green',
      strategy: 'AllAtOnce',
      bake: '1s',
      standby: '1m',
      hooks: [{ at: 'Retire', url: hook, timeout: '5s' }],
      notify: [{ url: notify, format: 'json' }],
    } as never,
    'test',
  )
  await moving(stood, 50, 'it is done', () => stood.rollouts.running('shop') === null)
  return stood
}

test('a hook that does not retire is called again, ever later and under the same key, and people are told when it is given up', async () => {
  const [retire, chat] = [await startHeard(), await startHeard()]
  chat.answers.status = 200
  const stood = await done(memoryStore(), retire.url, chat.url)
  expect(retireOf(stood)).toBe(null)
  const gapsMs: number[] = []
  for (let tries = 1; tries <= 5; tries++) {
    await moving(stood, 10_000, 'it is tried', () => retireOf(stood)?.tries === tries)
    const { againAtMs, reason } = retireOf(stood)!
    expect(reason).toContain('answered 409')
    gapsMs.push(Math.round((againAtMs! - stood.clock.nowMs()) / 60_000))
    // Not before its time.
    expect(retire.heard).toHaveLength(tries)
    stood.clock.move(Math.max(0, againAtMs! - stood.clock.nowMs() - 20_000))
  }
  expect(gapsMs).toEqual([1, 5, 15, 60, 240])
  expect(chat.heard.map(({ text }) => text)).toEqual([expect.stringMatching(/is done$/)])
  await moving(stood, 10_000, 'it is given up', () => retireOf(stood)?.againAtMs === null)
  const given =
    /the standby of rollout r-1 of shop has ended, but blue was not retired: .*409; tried 6 times, and given up$/
  await until('people are told', () => chat.heard.length === 2)
  expect(chat.heard[1].text).toMatch(given)
  expect(stood.events.at(-1)).toMatch(given)
  expect(stood.rollouts.list('shop')[0]).toMatchObject({ standbyUntilMs: null, retire: { tries: 6 } })
  expect(new Set(retire.heard.map(({ key }) => key)).size).toBe(1)
  stood.clock.move(86_400_000)
  expect(retire.heard).toHaveLength(6)
})

test('after a restart it goes on where it was, and is over once the hook says yes', async () => {
  const [retire, chat] = [await startHeard(), await startHeard()]
  const store = memoryStore()
  const first = await done(store, retire.url, chat.url)
  await moving(first, 10_000, 'it has failed', () => retireOf(first)?.tries === 1)
  await until('that is kept', async () => ((await store.get('rollout:shop')) ?? '').includes('"tries":1'))
  await first.rollouts.close()
  retire.answers.status = 200
  const second = await started(store)
  expect(retireOf(second)).toEqual(retireOf(first))
  await moving(second, 10_000, 'it is retired', () => retireOf(second) === null)
  expect(second.events.at(-1)).toMatch(/has ended: blue is free to be retired$/)
  expect(retire.heard).toHaveLength(2)
})

test('it is retired after a restart too where the clock was set back a little before', async () => {
  const [retire, chat] = [await startHeard(), await startHeard()]
  retire.answers.status = 200
  const store = memoryStore()
  await (await done(store, retire.url, chat.url, 900)).rollouts.close()
  const second = await started(store)
  await moving(second, 100, 'its standby is over', () => second.events.length > 0)
  expect(second.events.at(-1)).toMatch(/has ended: blue is free to be retired$/)
  expect(retire.heard).toHaveLength(1)
})

test.each([600_000, -30_000])(
  'it is retired when control keeps it no more where the clock was set by %i ms meanwhile, also after a restart',
  async (setMs) => {
    const [retire, chat] = [await startHeard(), await startHeard()]
    retire.answers.status = 200
    const store = memoryStore()
    const first = await done(store, retire.url, chat.url)
    const { nowMs: steadyMs } = first.clock
    Object.assign(first.clock, { steadyMs, nowMs: () => steadyMs() + setMs })
    const lastKind = async () => (await store.revisions(1))[0].change.kind
    await until('its end is stored by the clock as it is now', async () => {
      first.clock.move(500)
      return (await lastKind()) === 'clock'
    })
    await first.rollouts.close()
    const { clock, control, ...second } = await started(store)
    const untilMs = control.snapshot().status['shop'].pools['blue'].keptUntilMs!
    while (clock.steadyMs() < untilMs - 1) {
      clock.move(Math.min(5_000, untilMs - 1 - clock.steadyMs()))
      await setImmediate()
    }
    expect([retire.heard, second.events]).toEqual([[], []])
    clock.move(1)
    await until('its standby is over', () => second.events.length > 0)
    expect(second.events.at(-1)).toMatch(/has ended: blue is free to be retired$/)
    expect(retire.heard).toHaveLength(1)
  },
)

test('a pool that a rollout tries when its time is over is retired once that is back', async () => {
  const [retire, chat] = [await startHeard(), await startHeard()]
  const stood = await done(memoryStore(), retire.url, chat.url)
  const { rollouts, clock, events } = stood
  const steps = [{ weight: 0, until: 'promoted' }]
  await rollouts.begin('shop', { to: 'blue', steps } as never, 'test')
  await moving(stood, 100, 'it is tried', () => rollouts.running('shop')?.state === 'paused')
  const ofStandby = () => events.filter((told) => told.includes('the standby of'))
  const tried = async () => {
    const before = ofStandby()
    clock.move(60_000)
    await setImmediate()
    await setImmediate()
    expect([retire.heard, ofStandby()]).toEqual([[], before])
  }
  await tried()
  await rollouts.command('shop', 'current', 'abort', 'bob')
  await moving(stood, 100, 'its hook is called', () => retireOf(stood, 1)?.tries === 1)
  // Nor is it when it is called again.
  retire.heard.length = 0
  retire.answers.status = 200
  await rollouts.begin('shop', { to: 'blue', steps } as never, 'test')
  await moving(stood, 100, 'it is tried again', () => rollouts.running('shop')?.state === 'paused')
  await tried()
  await rollouts.command('shop', 'current', 'abort', 'bob')
  await moving(stood, 100, 'it is retired', () => ofStandby().at(-1)?.endsWith('blue is free to be retired') === true)
  expect(retire.heard).toHaveLength(1)
})

test('a pool that a rollout would go back to is not retired by an earlier one while all traffic is with the new version', async () => {
  const [retire, chat] = [await startHeard(), await startHeard()]
  const stood = await done(memoryStore(), retire.url, chat.url)
  const { rollouts, clock, events, control } = stood
  const atOnce = { strategy: 'AllAtOnce', bake: '1s' }
  await rollouts.begin('shop', { ...atOnce, to: 'blue' } as never, 'test')
  await moving(stood, 50, 'blue is back', () => rollouts.running('shop') === null)
  await rollouts.begin('shop', { ...atOnce, to: 'green', bake: '1h' } as never, 'test')
  await moving(stood, 50, 'green has all', () => rollouts.running('shop')?.state === 'baking')
  expect(control.snapshot().services['shop'].split?.['blue'] ?? 0).toBe(0)
  clock.move(60_000)
  await setImmediate()
  await rollouts.command('shop', 'current', 'abort', 'bob')
  await moving(stood, 100, 'its standby is over', () => events.some((told) => told.includes('the standby of')))
  expect(events.find((told) => told.includes('the standby of'))).toMatch(/has ended: what was kept has traffic again/)
  expect(retire.heard).toEqual([])
})

test('a pool that a rollout has needed and keeps now is retired by that one alone', async () => {
  const [retire, later, chat] = [await startHeard(), await startHeard(), await startHeard()]
  later.answers.status = 200
  const stood = await done(memoryStore(), retire.url, chat.url)
  const { rollouts, clock, events } = stood
  const atOnce = { strategy: 'AllAtOnce', bake: '1s' }
  await rollouts.begin('shop', { ...atOnce, to: 'blue' } as never, 'test')
  await moving(stood, 50, 'blue is back', () => rollouts.running('shop') === null)
  const hooks = [{ at: 'Retire', url: later.url, timeout: '5s' }]
  await rollouts.begin('shop', { ...atOnce, to: 'green', bake: '1h', standby: '1m', hooks } as never, 'test')
  await moving(stood, 50, 'green has all', () => rollouts.running('shop')?.state === 'baking')
  clock.move(60_000)
  await setImmediate()
  await rollouts.command('shop', 'current', 'promote', 'bob')
  const ofStandby = (id: string) => events.filter((told) => told.includes(`the standby of rollout ${id} `))
  await moving(stood, 50, 'the first is over', () => ofStandby('r-1').length > 0)
  expect(ofStandby('r-1')).toEqual([expect.stringContaining('has ended: what was kept has traffic again')])
  await moving(stood, 1_000, 'it is retired', () => ofStandby('r-3').length > 0)
  expect(ofStandby('r-3')).toEqual([expect.stringMatching(/blue is free to be retired$/)])
  expect([retire.heard.length, later.heard.length, ofStandby('r-1').length]).toEqual([0, 1, 1])
})

test('the end of a standby is kept once a store that was away is there again', async () => {
  const [retire, chat] = [await startHeard(), await startHeard()]
  retire.answers.status = 200
  const store = memoryStore()
  const stood = await done(store, retire.url, chat.url)
  const put = store.put.bind(store)
  store.put = () => Promise.reject(new TurnoutError('store_unavailable'))
  await moving(stood, 10_000, 'it is called', () => retire.heard.length === 1)
  await moving(stood, 500, 'it cannot be kept', () => stood.told.includes('the end of a standby cannot be kept'))
  store.put = put
  await until('it is kept', async () => {
    stood.clock.move(500)
    return ((await store.get('rollout:shop')) ?? '').includes('"isOver":true')
  })
  expect(stood.told.filter((told) => told === 'the end of a standby cannot be kept')).toHaveLength(1)
})

test('a service that is removed ends the standby of its rollout at once, and so does what takes the pool away by force', async () => {
  const [retire, chat] = [await startHeard(), await startHeard()]
  const removals: [change: object, why: string][] = [
    [{ kind: 'service.delete', service: 'shop' }, 'the service was removed, and with it what was kept'],
    [{ kind: 'pool.delete', service: 'shop', pool: 'blue' }, 'what was kept was removed, or holds something else'],
    [{ kind: 'file', services: {}, wins: true, prune: true }, 'the service was removed, and with it what was kept'],
  ]
  for (const [change, why] of removals) {
    const store = memoryStore()
    const stood = await done(store, retire.url, chat.url)
    await stood.control.change(change as never, { actor: 'bob', force: true, prune: true })
    await until('that is told', () => stood.events.at(-1)?.includes('ended early') === true)
    expect(stood.events.at(-1)).toBe(`the standby of rollout r-1 of shop has ended early: ${why}`)
    expect(stood.rollouts.list('shop')[0]).toMatchObject({ standbyUntilMs: null, retire: null })
    await until('and kept', async () => ((await store.get('rollout:shop')) ?? '').includes('"isOver":true'))
    stood.clock.move(86_400_000)
  }
  expect(retire.heard).toEqual([])
})
