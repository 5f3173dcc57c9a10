/** What the schedule of a rollout holds back after a pause, and what it never does. */
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../helpers/raw.ts'
import { startUpstream } from '../helpers/upstream.ts'
import { type Stand, stand } from './stand.ts'

// The clock of these tests begins on 2023-11-14T22:13:20Z.
const FREEZE = [{ from: '2023-11-14T23:00', to: '2023-11-20' }]
const HOUR_MS = 3_600_000

interface Frozen extends Stand {
  /** Steps whose hook was called. */
  readonly calls: number[]
}

const moving = ({ clock }: Stand, what: string, is: () => boolean) =>
  until(what, () => {
    clock.move(50)
    return is()
  })

const weightOf = ({ control }: Stand) => control.snapshot().services['shop'].split
const waitsFor = ({ rollouts }: Stand) => rollouts.running('shop')?.next?.waitsFor ?? ''

/** One whose hook before the second step has not answered yet; then it is paused, and the freeze begins. */
async function frozen(): Promise<Frozen> {
  const calls: number[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const hook = await startUpstream(async (request, response) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    const { step } = JSON.parse(Buffer.concat(pieces).toString()) as { step: number }
    calls.push(step)
    if (step === 1) await promise
    response.end()
  })
  const stood = await stand()
  onTestFinished(() => stood.rollouts.close())
  await stood.rollouts.start()
  const sent = {
    steps: [10, 50],
    step: { for: '1s' },
    advance: 'time',
    schedule: { freeze: FREEZE },
    hooks: [{ at: 'BeforeStep', url: hook.url, timeout: '30s' }],
  } as const
  await stood.rollouts.begin('shop', { to: 'green', ...sent } as never, 'test')
  await moving(stood, 'the second step begins', () => calls.includes(1))
  await stood.rollouts.command('shop', 'current', 'pause', 'bob')
  resolve()
  await until('its hook has passed', () => stood.rollouts.list('shop')[0].gates.at(-1)?.state === 'passed')
  stood.clock.move(HOUR_MS)
  return { ...stood, calls }
}

test('one that is resumed within a freeze is held before its next shift and says until when; who insists is recorded', async () => {
  const stood = await frozen()
  const { rollouts, clock, calls, store } = stood
  const resumed = await rollouts.command('shop', 'current', 'resume', 'bob')
  expect(resumed.next?.waitsFor).toBe('schedule: a freeze, until mon 2023-11-20 00:00 UTC')
  clock.move(24_000)
  expect([rollouts.running('shop')?.weight, weightOf(stood)]).toEqual([10, { blue: 9, green: 1 }])
  const refused = await rollouts.command('shop', 'current', 'promote', 'bob').catch((error: Error) => error.message)
  expect(refused).toBe(
    'Not now: a rollout that is shifting takes no promote. It waits for schedule: a freeze, until mon 2023-11-20 00:00 UTC. ' +
      'With force it is promoted all the same.',
  )
  await rollouts.command('shop', 'current', 'promote', 'alice', { force: true })
  await moving(stood, 'it goes on', () => rollouts.running('shop')?.weight === 50)
  expect(calls).toEqual([0, 1])
  const { history } = rollouts.running('shop')!
  expect(history.at(-1)).toMatchObject({ weight: 50, reason: 'promoted by alice, whatever its schedule says' })
  const [shift] = await store.revisions(1)
  expect(shift.change).toMatchObject({ kind: 'shift', hurriedBy: 'alice' })
  // The force was for that step alone.
  await moving(stood, 'the next one is held', () => waitsFor(stood).startsWith('schedule: a freeze'))
  expect(rollouts.running('shop')?.weight).toBe(50)
})

test('within a freeze an abort is not held', async () => {
  const stood = await frozen()
  const { rollouts } = stood
  await rollouts.command('shop', 'current', 'resume', 'bob')
  await rollouts.command('shop', 'current', 'abort', 'bob')
  expect(weightOf(stood)).toEqual({ blue: 95, green: 5 })
})

test('a hook that lasts into a freeze lets no share through', async () => {
  const stood = await stand()
  onTestFinished(() => stood.rollouts.close())
  await stood.rollouts.start()
  const called: (() => void)[] = []
  const { url } = await startUpstream((request, response) => {
    request.resume()
    called.push(() => void response.end())
  })
  const hooks = [{ at: 'BeforeStep', url, timeout: '30s' }]
  const schedule = { freeze: FREEZE }
  await stood.rollouts.begin('shop', { to: 'green', schedule, hooks } as never, 'test')
  await moving(stood, 'the hook is called', () => called.length === 1)
  stood.clock.move(HOUR_MS)
  called[0]()
  await moving(stood, 'it is held', () => waitsFor(stood).startsWith('schedule: a freeze'))
  expect(weightOf(stood)).toEqual({ blue: 95, green: 5 })
  expect(stood.rollouts.running('shop')).toMatchObject({ state: 'shifting', weight: 0 })
})

test('one that was paused before its first share and is resumed outside its window waits for the next one', async () => {
  const stood = await stand()
  const { rollouts, clock } = stood
  onTestFinished(() => rollouts.close())
  await rollouts.start()
  const schedule = { window: [{ from: '22:00', to: '23:00' }] }
  await rollouts.begin('shop', { to: 'green', schedule } as never, 'test')
  await rollouts.command('shop', 'current', 'pause', 'bob')
  clock.move(HOUR_MS)
  await rollouts.command('shop', 'current', 'resume', 'bob')
  await moving(stood, 'it waits', () => waitsFor(stood).startsWith('schedule: outside its window, until wed'))
  expect(rollouts.running('shop')?.weight).toBe(0)
  expect(rollouts.running('shop')?.state).toBe('shifting')
})

test('one that has watched a step without a share outside its window waits with its first share for the next one', async () => {
  const stood = await stand()
  const { rollouts } = stood
  onTestFinished(() => rollouts.close())
  await rollouts.start()
  const schedule = { window: [{ from: '22:00', to: '22:14' }] }
  const steps = [{ weight: 0, for: '45s' }, 25]
  await rollouts.begin('shop', { to: 'green', steps, advance: 'time', schedule } as never, 'test')
  await moving(stood, 'it waits', () => waitsFor(stood).startsWith('schedule: outside its window, until wed'))
  expect(rollouts.running('shop')?.weight).toBe(0)
})
