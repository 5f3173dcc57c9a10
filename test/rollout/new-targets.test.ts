/** From when on the targets of a new version count as new, whatever their URLs have answered before. */
import { expect, onTestFinished, test } from 'vitest'
import { FIELD, laneOffset } from '../../src/metrics/layout.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { startHook } from '../helpers/hook.ts'
import { drivenUntil } from '../helpers/raw.ts'
import { startNamed } from '../helpers/upstream.ts'
import { begun, rollingShop, type Stand, stand } from './stand.ts'

const slotOf = ({ control }: Stand, pool: string, url: string) =>
  control.snapshot().status['shop'].pools[pool].targets[url].slots[0]

const start = ({ memory }: Stand, slot: number, attempts: number) => {
  memory.targets[laneOffset(0, slot) + FIELD.attemptsStarted] = attempts
}

test('a canary at URLs that had the version before is new when it is first given traffic, and not again at the next step', async () => {
  const stood = await stand()
  const { control, rollouts, memory, clock } = stood
  onTestFinished(() => rollouts.close())
  const [url] = Object.keys(control.snapshot().status['shop'].pools['green'].targets)
  const slot = slotOf(stood, 'green', url)
  start(stood, slot, 500)
  await rollouts.start()
  const steps = [
    { weight: 10, for: '10s' },
    { weight: 50, for: '1h' },
  ]
  await rollouts.begin('shop', { to: 'green', advance: 'time', steps }, 'test')
  await drivenUntil('it has 10 %', async () => memory.newFrom[slot] === 500)
  start(stood, slot, 700)
  await drivenUntil('it has 50 %', async () => {
    clock.move(500)
    return rollouts.list('shop')[0].weight === 50
  })
  expect(memory.newFrom[slot]).toBe(500)
})

test('one that has no weight yet is as new as before', async () => {
  const stood = await begun({ steps: [{ weight: 0, for: '1h' }] }, 0)
  const [url] = Object.keys(stood.control.snapshot().status['shop'].pools['green'].targets)
  expect(stood.memory.newFrom[slotOf(stood, 'green', url)]).toBe(0)
})

test('a target is not replaced while the process before this one still has requests under way, for as long as a drain may last', async () => {
  const urls = [(await startNamed('one')).url, (await startNamed('two')).url]
  const replaced: string[] = []
  const hook = await startHook(async ({ target }: { target: string }) => {
    replaced.push(target)
    return 200
  })
  let predecessor: number | null = 17
  const drain = { timeout: '20s' }
  const shop = { ...rollingShop(urls, hook.url, { advance: 'time' }), drain }
  const stood = await stand(memoryStore(), { busyPredecessor: () => predecessor }, shop)
  const { rollouts, clock, control } = stood
  onTestFinished(() => rollouts.close())
  await rollouts.start()
  await rollouts.begin('shop', { to: 'blue', version: '2.0' }, 'test')
  const states = () => urls.map((url) => control.snapshot().status['shop'].pools['blue'].targets[url].admin)
  await drivenUntil('the first drains', async () => states()[0] === 'drain')
  for (let looks = 0; looks < 100; looks++) {
    clock.move(100)
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(replaced).toEqual([])
  predecessor = null
  await drivenUntil('it is replaced', async () => {
    clock.move(50)
    return replaced.length > 0
  })
  predecessor = 18
  await drivenUntil('the second drains', async () => {
    clock.move(100)
    return states()[1] === 'drain'
  })
  const sinceMs = clock.steadyMs()
  await drivenUntil('it is replaced after the time of a drain', async () => {
    clock.move(100)
    return replaced.length === 2
  })
  expect(clock.steadyMs() - sinceMs).toBeGreaterThanOrEqual(19_000)
})

test('a target is not replaced while another instance is busy there, which its gates name, for as long as a drain may last', async () => {
  const urls = [(await startNamed('one')).url, (await startNamed('two')).url]
  const replaced: string[] = []
  const hook = await startHook(async ({ target }: { target: string }) => {
    replaced.push(target)
    return 200
  })
  const shop = { ...rollingShop(urls, hook.url, { advance: 'time' }), drain: { timeout: '20s' } }
  let others = ['web-2:7']
  const asked = new Set<string>()
  const busyElsewhere = (...place: string[]) => {
    asked.add(place.join(' '))
    return others
  }
  const stood = await stand(memoryStore(), { busyElsewhere }, shop)
  const { rollouts, clock } = stood
  onTestFinished(() => rollouts.close())
  await rollouts.start()
  await rollouts.begin('shop', { to: 'blue', version: '2.0' }, 'test')
  const waits = () => rollouts.list('shop')[0].gates.filter(({ gate }) => gate === 'idle')
  await drivenUntil('the first waits', async () => {
    clock.move(100)
    return waits().length > 0
  })
  const sentence = 'something may be under way there through web-2:7'
  expect(waits()).toMatchObject([{ at: urls[0], state: 'waiting', reason: sentence }])
  for (let looks = 0; looks < 100; looks++) {
    clock.move(100)
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect([replaced, [...asked]]).toEqual([[], [`shop blue ${urls[0]}`]])
  others = []
  await drivenUntil('it is replaced', async () => {
    clock.move(50)
    return replaced.length > 0
  })
  expect(waits()).toMatchObject([{ state: 'passed', reason: null }])
  others = ['web-2:7']
  await drivenUntil('the second waits', async () => {
    clock.move(100)
    return waits().length > 1
  })
  const sinceMs = clock.steadyMs()
  await drivenUntil('it is replaced after the time of a drain', async () => {
    clock.move(100)
    return replaced.length === 2
  })
  expect(clock.steadyMs() - sinceMs).toBeGreaterThanOrEqual(18_000)
  expect(waits()[1]).toMatchObject({ at: urls[1], state: 'passed', reason: `its time is over, and ${sentence}` })
})

test('a target that was replaced is new when it comes back, and the others are not', async () => {
  const urls = [(await startNamed('one')).url, (await startNamed('two')).url]
  const hook = await startHook(async ({ target }: { target: string }) => {
    // What was under way until then.
    start(stood, slotOf(stood, 'blue', target), 900)
    return 200
  })
  const stood = await stand(memoryStore(), {}, rollingShop(urls, hook.url))
  const { rollouts, clock, memory } = stood
  onTestFinished(() => rollouts.close())
  await rollouts.start()
  await rollouts.begin('shop', { to: 'blue', version: '2.0' }, 'test')
  const newFrom = () => urls.map((url) => memory.newFrom[slotOf(stood, 'blue', url)])
  await drivenUntil('the first is back', async () => {
    clock.move(100)
    return newFrom()[0] > 0
  })
  expect(newFrom()).toEqual([900, 0])
})
