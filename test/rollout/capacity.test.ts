/** Whether what a step gives fits into the new version: asked again before each, by what is measured then. */
import { setImmediate } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { SHOP } from '../admin/stand-in.ts'
import { startHook } from '../helpers/hook.ts'
import { type Measured, measuredTraffic } from '../helpers/measured-traffic.ts'
import { until } from '../helpers/raw.ts'
import { type Stand, stand } from './stand.ts'

interface Loaded extends Stand {
  readonly blue: Measured
  readonly green: Measured
  readonly begin: (sent?: object) => Promise<unknown>
}

/** A hundred requests a second of 20 ms each, which one target that carries three at once carries. */
async function loaded(shop?: object): Promise<Loaded> {
  const blue = { perSecond: 100, eachMs: 20 }
  const green = { perSecond: 0, eachMs: 0 }
  const service = () => measuredTraffic(blue, green)
  const stood = await stand(undefined, { traffic: { service } }, shop)
  onTestFinished(() => stood.rollouts.close())
  await stood.rollouts.start()
  const begin = (sent = {}) =>
    stood.rollouts.begin(
      'shop',
      {
        to: 'green',
        capacity: { requestsPerTarget: 3 },
        steps: [10, 50],
        step: { for: '1s' },
        advance: 'time',
        bake: '1s',
        ...sent,
      } as never,
      'test',
    )
  return { ...stood, blue, green, begin }
}

const moving = ({ clock }: Stand, what: string, is: () => boolean) =>
  until(what, () => {
    clock.move(50)
    return is()
  })

const now = ({ rollouts }: Stand) => rollouts.list('shop')[0]
const waits = (stood: Stand) => now(stood).next?.waitsFor.startsWith('capacity: ') === true
const weightIn = (stood: Stand) => stood.control.snapshot().services['shop'].split
const capacities = (stood: Stand) =>
  now(stood).gates.flatMap(({ gate, state, reason }) => (gate === 'capacity' ? [`${state}: ${reason}`] : []))

const TOO_LITTLE =
  'too little capacity: at 50 % 50 requests a second take 70 ms each as green answers, so 3.5 are under way at once, and 1 healthy targets of green carry 3'

/** One whose new version has turned out slower than the live one. */
async function slower(sent = {}): Promise<Loaded> {
  const stood = await loaded()
  await stood.begin(sent)
  await moving(stood, 'it has its first share', () => now(stood).weight === 10)
  Object.assign(stood.blue, { perSecond: 90 })
  Object.assign(stood.green, { perSecond: 10, eachMs: 70 })
  await moving(stood, 'it waits', () => waits(stood))
  return stood
}

test('a step waits while what it gives does not fit by the time that the new version itself takes, says so with its numbers, and goes on when it fits', async () => {
  const stood = await slower()
  expect(now(stood)).toMatchObject({
    state: 'shifting',
    weight: 10,
    next: { weight: 50, waitsFor: `capacity: ${TOO_LITTLE}` },
  })
  expect(weightIn(stood)).toEqual({ blue: 9, green: 1 })
  expect(stood.events.at(-1)).toBe(`rollout r-1 of shop waits: it is given no more yet: ${TOO_LITTLE}`)
  stood.clock.move(10_000)
  expect(now(stood)).toMatchObject({ state: 'shifting', weight: 10 })
  stood.green.eachMs = 40
  await moving(stood, 'it goes on', () => now(stood).weight === 50)
  expect(capacities(stood)).toEqual([
    'passed: now 100 requests a second take 20 ms each, so 2 are under way at once; 1 healthy targets of green carry 3',
    'passed: at 10 % 10 requests a second take 20 ms each, so 0.2 are under way at once; 1 healthy targets of green carry 3',
    'passed: at 50 % 50 requests a second take 40 ms each as green answers, so 2 are under way at once; 1 healthy targets of green carry 3',
  ])
  await moving(stood, 'the next one waits', () => waits(stood))
  expect(now(stood)).toMatchObject({
    weight: 50,
    next: { waitsFor: expect.stringMatching(/at 95 % 95 requests .* so 3.8/) },
  })
})

test('a wait that lasts a minute is told once to those who are to be notified', async () => {
  const hook = await startHook<{ text: string; state: string }>()
  const stood = await slower({ notify: [{ url: hook.url }] })
  const pass = async (seconds: number) => {
    for (let n = 0; n < seconds * 2; n++) {
      stood.clock.move(500)
      await setImmediate()
    }
  }
  await pass(55)
  expect(hook.heard).toEqual([])
  await pass(10)
  await until('they have heard', () => hook.heard.length > 0)
  await pass(120)
  expect(waits(stood)).toBe(true)
  stood.green.eachMs = 40
  await moving(stood, 'it goes on', () => now(stood).weight === 50)
  expect(hook.heard).toEqual([
    expect.objectContaining({ text: `shop: rollout r-1 to green waits: ${TOO_LITTLE}`, state: 'shifting' }),
  ])
})

test('a few answers of the new version say nothing yet of its time', async () => {
  const stood = await loaded()
  await stood.begin()
  Object.assign(stood.green, { perSecond: 1.9, eachMs: 100 })
  await moving(stood, 'it is measured before its first share', () => capacities(stood).length === 2)
  expect(capacities(stood)[1]).not.toContain('as green answers')
})

test('what more there is to carry counts as it is then, and so does a target that is not healthy any more', async () => {
  const stood = await loaded()
  await stood.begin({ bake: '2s' })
  await moving(stood, 'it bakes', () => now(stood).state === 'baking')
  stood.blue.perSecond = 160
  await moving(stood, 'it waits before all the traffic', () => waits(stood))
  expect(now(stood)).toMatchObject({ state: 'baking', weight: 95, next: { weight: 100 } })
  expect(now(stood).next?.waitsFor).toMatch(/at 100 % 160 requests a second take 20 ms each, so 3.2 are under way/)
  stood.blue.perSecond = 100
  const [url] = stood.control.snapshot().services['shop'].pools['green'].targets
  await stood.control.observe([
    { service: 'shop', pool: 'green', target: url, ejectedUntilMs: stood.clock.steadyMs() + 3_000 },
  ])
  stood.clock.move(1_000)
  await until('it still waits', () => now(stood).next?.waitsFor.includes('0 healthy targets of green carry 0') === true)
  await moving(stood, 'it is done', () => now(stood).state === 'done')
})

test('promote is refused while it waits; with force it goes over it, for that step alone and by name', async () => {
  const stood = await slower()
  const { rollouts, store } = stood
  await expect(rollouts.command('shop', 'current', 'promote', 'bob')).rejects.toThrow(
    `It waits for capacity: ${TOO_LITTLE}. With force it is promoted all the same.`,
  )
  await rollouts.command('shop', 'current', 'promote', 'alice', { force: true })
  await moving(stood, 'it goes on', () => now(stood).weight === 50)
  expect(now(stood).history.at(-1)).toMatchObject({ reason: 'promoted by alice, whatever its capacity says' })
  expect(capacities(stood).at(-1)).toBe(`skipped: ${TOO_LITTLE}; promoted by alice all the same`)
  expect((await store.revisions(1))[0].change).toMatchObject({ kind: 'shift', hurriedBy: 'alice' })
  await moving(stood, 'the next one waits', () => waits(stood))
})

test('one that was paused asks again when it goes on', async () => {
  const stood = await slower()
  const { rollouts, green } = stood
  await rollouts.command('shop', 'current', 'pause', 'bob')
  green.eachMs = 10
  await moving(stood, 'it fits', () => capacities(stood).at(-1)?.startsWith('passed') === true)
  expect(now(stood)).toMatchObject({ state: 'paused', weight: 10 })
  green.eachMs = 70
  await rollouts.command('shop', 'current', 'resume', 'bob')
  await moving(stood, 'it waits', () => waits(stood))
  expect(weightIn(stood)).toEqual({ blue: 9, green: 1 })
})

test('too little capacity holds up no way back', async () => {
  const stood = await slower()
  await stood.rollouts.command('shop', 'current', 'abort', 'bob')
  expect(weightIn(stood)).toEqual({ blue: 95, green: 5 })
  await moving(stood, 'it is back', () => now(stood).state === 'rolledBack')
})

/** One that has half of the traffic, while what had all of it before could carry three quarters of it now. */
async function grown(shop?: object): Promise<Loaded> {
  const stood = await loaded(shop)
  await stood.begin()
  await moving(stood, 'it has half', () => now(stood).weight === 50)
  Object.assign(stood.blue, { perSecond: 100 })
  Object.assign(stood.green, { perSecond: 100, eachMs: 20 })
  return stood
}

/** A second of looks, each of which may wait for others. */
async function pass(stood: Stand): Promise<void> {
  for (let n = 0; n < 20; n++) {
    stood.clock.move(50)
    await setImmediate()
  }
}

test('a way back to those who do not carry all of it any more goes as far as they do at once, and the rest as there is room', async () => {
  const stood = await grown()
  const aborted = stood.rollouts.command('shop', 'current', 'abort', 'bob')
  await until('the first step is made', () => weightIn(stood)?.['blue'] === 3)
  expect(weightIn(stood)).toEqual({ blue: 3, green: 1 })
  expect(now(stood)).toMatchObject({ state: 'rollingBack' })
  expect(capacities(stood).at(-1)).toBe(
    'waiting: blue would get about 4 requests at once and its 1 healthy target carries 3, so green keeps 25 % for the moment',
  )
  expect(stood.control.snapshot().status['shop'].trial).toMatchObject({ pool: 'green' })
  await expect(
    stood.control.change({ kind: 'split', service: 'shop', weights: { blue: 1, green: 1 } }, { actor: 'eve' }),
  ).rejects.toThrow(/rollout of shop is running/)
  stood.blue.eachMs = 16
  await pass(stood)
  expect(weightIn(stood)).toEqual({ blue: 47, green: 3 })
  stood.blue.eachMs = 17
  await pass(stood)
  // What it has gone back it keeps.
  expect(weightIn(stood)).toEqual({ blue: 47, green: 3 })
  stood.blue.eachMs = 15
  await pass(stood)
  expect(weightIn(stood)).toEqual({ blue: 95, green: 5 })
  expect((await aborted).state).toMatch(/rollingBack|rolledBack/)
  expect(stood.control.snapshot().status['shop'].trial).toBeUndefined()
})

test('after ten seconds all of it is back, whoever carries it', async () => {
  const stood = await grown()
  const aborted = stood.rollouts.command('shop', 'current', 'abort', 'bob')
  await until('the first step is made', () => weightIn(stood)?.['blue'] === 3)
  for (let second = 0; second < 9; second++) await pass(stood)
  expect(weightIn(stood)).toEqual({ blue: 3, green: 1 })
  for (let second = 0; second < 2; second++) await pass(stood)
  expect(weightIn(stood)).toEqual({ blue: 95, green: 5 })
  await aborted
})

test('what is no more than a quarter goes back at once, whatever is said to be carried', async () => {
  const stood = await loaded()
  await stood.begin()
  await moving(stood, 'it has a tenth', () => now(stood).weight === 10)
  Object.assign(stood.blue, { perSecond: 1_000 })
  await stood.rollouts.command('shop', 'current', 'abort', 'bob')
  expect(weightIn(stood)).toEqual({ blue: 95, green: 5 })
})

test('a way back to a pool of which nobody is healthy waits for nothing', async () => {
  const stood = await grown()
  const [url] = stood.control.snapshot().services['shop'].pools['blue'].targets
  const ejectedUntilMs = stood.clock.steadyMs() + 60_000
  await stood.control.observe([{ service: 'shop', pool: 'blue', target: url, ejectedUntilMs }])
  await stood.rollouts.command('shop', 'current', 'abort', 'bob')
  expect(weightIn(stood)).toEqual({ blue: 95, green: 5 })
})

test('what is back already is not moved again, whatever people have set since', async () => {
  const stood = await grown()
  const { control, rollouts } = stood
  const weights = { blue: 95, green: 5 }
  const back = { kind: 'shift', service: 'shop', weights, trial: null, ends: 'back', before: weights } as const
  await control.change({ ...back, rollout: 'r-1' }, { actor: 'test', force: true })
  await control.change({ kind: 'split', service: 'shop', weights: { blue: 1, green: 9 } }, { actor: 'eve' })
  await rollouts.command('shop', 'current', 'abort', 'bob')
  expect(weightIn(stood)).toEqual({ blue: 1, green: 9 })
})

test('a target of weight 0 carries nothing of what goes back', async () => {
  const [one, rest] = ['http://127.0.0.1:3001', 'http://127.0.0.1:3009']
  const blue = { version: '1.0', targets: [one, rest], weights: { [rest]: 0 } }
  const stood = await grown({ ...SHOP, pools: { ...SHOP.pools, blue } })
  const aborted = stood.rollouts.command('shop', 'current', 'abort', 'bob')
  await until('the first step is made', () => weightIn(stood)?.['blue'] !== 1)
  expect(capacities(stood).at(-1)).toContain('its 1 healthy target carries 3, so green keeps 25 %')
  stood.blue.eachMs = 15
  await pass(stood)
  await aborted
})
