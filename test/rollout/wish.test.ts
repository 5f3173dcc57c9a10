/** What is sent lies over the settings of the service, key by key, but for what belongs together. */
import { expect, test } from 'vitest'
import type { RolloutSpec } from '../../src/config/schema-rollout.ts'
import { wishOf } from '../../src/rollout/wish.ts'

const SETTINGS: RolloutSpec = { steps: [20, 50], step: { for: '3s' }, bake: '3s' }
const update = { at: 'UpdateTarget', url: 'http://127.0.0.1:1/', timeout: '1s' } as const
const stepsOf = (sent: RolloutSpec) =>
  wishOf(SETTINGS, sent, []).plan.steps.map(({ weight, forMs }) => [weight, forMs / 1_000])

test('a strategy that is sent brings its own steps, and without one those of the settings stand', () => {
  expect(stepsOf({})).toEqual([
    [20, 3],
    [50, 3],
    [100, 3],
  ])
  expect(stepsOf({ strategy: '25-75' })).toEqual([
    [25, 3],
    [75, 3],
    [100, 3],
  ])
  expect(stepsOf({ strategy: 'canary', steps: [1] })).toEqual([
    [1, 3],
    [100, 3],
  ])
  expect(wishOf(SETTINGS, { strategy: '25-75' }, []).policy.bakeMs).toBe(3_000)
})

test('a name with a time in it means what it says, whatever the time of steps in the settings', () => {
  expect(stepsOf({ strategy: 'Canary10Percent5Minutes' })).toEqual([
    [10, 300],
    [100, 0],
  ])
})

test('the strategy of the settings, sent once more, changes nothing; another one brings steps of its own, and replaces targets without keep', () => {
  expect(stepsOf({ strategy: 'canary' })).toEqual(stepsOf({}))
  const linear: RolloutSpec = { ...SETTINGS, strategy: 'linear', keep: 10, hooks: [update] }
  const weights = (sent: RolloutSpec) => wishOf(linear, sent, ['a', 'b']).plan.steps.map(({ weight }) => weight)
  expect(weights({ strategy: 'linear' })).toEqual([20, 50, 100])
  expect(weights({ strategy: 'canary' })).toEqual([5, 10, 25, 50, 100])
  expect(wishOf(linear, { strategy: 'canary' }, []).plan.keep).toBe(10)
  for (const strategy of ['rolling', 'CodeDeployDefault.OneAtATime']) {
    expect(wishOf(linear, { strategy }, ['a', 'b']).plan).toMatchObject({ keep: 0, batches: [['a'], ['b']] })
  }
  // Whoever sends it himself is told that it makes no sense.
  expect(() => wishOf(linear, { strategy: 'rolling', keep: 5 }, ['a', 'b'])).toThrow('keeps nothing back')
})

test('a metric of the settings that a rolling release cannot compare is refused with the way out, which leaves it out', () => {
  const verdict = {
    metrics: [{ name: 'conversion' }, { name: 'orders' }],
    margin: 0.3,
    rate: { above: 0.05, over: '5m' },
  } as RolloutSpec['verdict']
  const settings: RolloutSpec = { ...SETTINGS, verdict, hooks: [update] }
  const wish = (without: string[]) => wishOf(settings, { strategy: 'rolling' }, ['a', 'b'], without)
  expect(() => wish([])).toThrow('deploy --without conversion, in the API "without": ["conversion"]')
  expect(() => wish(['conversion'])).toThrow('--without orders')
  expect(wish(['conversion', 'orders']).given).toEqual([])
  // Only the metrics are left out.
  expect(wish(['conversion', 'orders']).verdict.margin).toBe(0.3)
  expect(() => wish(['sales'])).toThrow('there is no metric sales to be left out')
})
