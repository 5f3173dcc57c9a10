/** What is sent lies over the settings of the service, key by key, but for what belongs together. */
import { expect, test } from 'vitest'
import type { RolloutSpec } from '../../src/config/schema-rollout.ts'
import { wishOf } from '../../src/rollout/wish.ts'

const SETTINGS: RolloutSpec = { steps: [20, 50], step: { for: '3s' }, bake: '3s' }
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
