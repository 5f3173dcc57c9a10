import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Plan, planOf, type StrategySpec, weightAt } from '../../src/config/strategy.ts'

function plan(spec: StrategySpec): Plan {
  const planned = planOf(spec)
  if ('message' in planned) throw new Error(planned.message)
  return planned
}
const weights = (strategy: string) => plan({ strategy }).steps.map(({ weight }) => weight)
const fault = (spec: StrategySpec) => {
  const planned = planOf(spec)
  return 'message' in planned ? planned.message : null
}
const MINUTE_MS = 60_000
const TENTHS = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]

describe('names of ours', () => {
  test.each([
    ['blue-green', [100]],
    ['all-at-once', [100]],
    ['canary', [5, 10, 25, 50, 100]],
    ['linear', [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]],
    ['5-10-25-50-100', [5, 10, 25, 50, 100]],
    ['10-50', [10, 50, 100]],
    ['20-percent-steps', [20, 40, 60, 80, 100]],
    ['30-percent-steps', [30, 60, 90, 100]],
    ['100-percent-steps', [100]],
  ])('%s', (strategy, expected) => {
    expect(weights(strategy)).toEqual(expected)
  })

  test('the verdict decides, and canary and linear keep something to compare with', () => {
    for (const strategy of ['canary', 'linear', '5-50', '20-percent-steps']) {
      expect(plan({ strategy })).toMatchObject({ advance: 'verdict', keep: 5, batches: null })
    }
    for (const strategy of ['blue-green', 'all-at-once']) expect(plan({ strategy }).keep).toBe(0)
  })
})

describe("CodeDeploy's names", () => {
  test.each([
    'Canary10Percent5Minutes',
    'LambdaCanary10Percent5Minutes',
    'ECSCanary10Percent5Minutes',
    'CodeDeployDefault.LambdaCanary10Percent5Minutes',
    'CodeDeployDefault.ECSCanary10Percent5Minutes',
  ])('%s: a tenth for five minutes, then all', (strategy) => {
    expect(plan({ strategy })).toEqual({
      steps: [
        { weight: 10, forMs: 5 * MINUTE_MS, requests: 0, untilPromoted: false },
        { weight: 100, forMs: 0, requests: 0, untilPromoted: false },
      ],
      advance: 'time',
      keep: 0,
      batches: null,
    })
  })

  test.each(['Linear10PercentEvery1Minute', 'LambdaLinear10PercentEvery1Minute', 'ECSLinear10PercentEvery1Minutes'])(
    '%s: another tenth each minute',
    (strategy) => {
      const { steps, advance } = plan({ strategy })
      expect(steps.map(({ weight }) => weight)).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
      expect(steps.map(({ forMs }) => forMs)).toEqual([...Array.from({ length: 9 }, () => MINUTE_MS), 0])
      expect(advance).toBe('time')
    },
  )

  test.each(['AllAtOnce', 'LambdaAllAtOnce', 'ECSAllAtOnce', 'CodeDeployDefault.AllAtOnce'])('%s', (strategy) => {
    expect(plan({ strategy })).toMatchObject({
      advance: 'time',
      keep: 0,
      batches: null,
      steps: [{ weight: 100, forMs: 0 }],
    })
  })

  // All that CodeDeploy has itself: weights, and minutes from one to the next.
  test.each<[string, number[], number]>([
    ...[5, 10, 15, 30].map((n): [string, number[], number] => [`LambdaCanary10Percent${n}Minutes`, [10, 100], n]),
    ['LambdaLinear10PercentEvery1Minute', TENTHS, 1],
    ...[2, 3, 10].map((n): [string, number[], number] => [`LambdaLinear10PercentEvery${n}Minutes`, TENTHS, n]),
    ['ECSCanary10Percent5Minutes', [10, 100], 5],
    ['ECSCanary10Percent15Minutes', [10, 100], 15],
    ['ECSLinear10PercentEvery1Minutes', TENTHS, 1],
    ['ECSLinear10PercentEvery3Minutes', TENTHS, 3],
    ['LambdaAllAtOnce', [100], 0],
    ['ECSAllAtOnce', [100], 0],
    ['AllAtOnce', [100], 0],
  ])('%s', (name, expected, minutes) => {
    for (const strategy of [name, `CodeDeployDefault.${name}`]) {
      // Whatever a service says of steps in general: once all traffic is there nothing is waited for.
      const { steps, advance, keep } = plan({ strategy, step: { forMs: 1, requests: 0 } })
      expect(steps.map(({ weight }) => weight)).toEqual(expected)
      const before = steps.slice(0, -1)
      expect(before.map(({ forMs }) => forMs)).toEqual(before.map(() => minutes * MINUTE_MS))
      expect(plan({ strategy, step: { requests: 50 } }).steps.at(-1)).toMatchObject({ forMs: 0, requests: 0 })
      expect([advance, keep]).toEqual(['time', 0])
    }
  })

  test.each([
    'LambdaOneAtATime',
    'ECSHalfAtATime',
    'Lambdacanary',
    'ECSblue-green',
    'CodeDeployDefault.rolling',
    'CodeDeployDefault.5-10',
    'CodeDeployDefault.',
    'LambdaECSAllAtOnce',
    'lambdaAllAtOnce',
  ])('%s is none', (strategy) => {
    expect(planOf({ strategy, targets: ['a', 'b'] })).toMatchObject({ message: expect.stringContaining('no strategy') })
  })

  test('OneAtATime and HalfAtATime replace targets', () => {
    const targets = ['a', 'b', 'c', 'd', 'e']
    const batches = (strategy: string, more: Partial<StrategySpec> = {}) => plan({ strategy, targets, ...more }).batches
    expect(batches('OneAtATime')).toEqual([['a'], ['b'], ['c'], ['d'], ['e']])
    // Fractions are rounded down, as there: of nine at most four at once.
    const nine = Array.from('abcdefghi')
    expect(batches('HalfAtATime', { targets: nine })!.map(({ length }) => length)).toEqual([4, 4, 1])
    expect(batches('CodeDeployDefault.HalfAtATime')).toEqual([['a', 'b'], ['c', 'd'], ['e']])
    expect(batches('rolling', { batch: { targets: 4 } })).toEqual([['a', 'b', 'c', 'd'], ['e']])
    expect(batches('rolling', { batch: { share: 0.1 } })).toHaveLength(5)
    expect(plan({ strategy: 'OneAtATime', targets })).toMatchObject({ advance: 'time', keep: 0 })
    expect(plan({ strategy: 'rolling', targets })).toMatchObject({ advance: 'verdict', keep: 0 })
    expect(plan({ strategy: 'rolling', targets: ['a', 'b', 'c'] }).steps.map(({ weight }) => weight)).toEqual([
      33, 67, 100,
    ])
  })

  test.each([
    ['one target', { targets: ['a'] }, /1 of 1 targets at a time would leave nobody to answer/],
    ['a batch of all', { targets: ['a', 'b'], batch: { targets: 2 } }, /2 of 2 targets at a time/],
    ['no target', {}, /1 of 0 targets/],
    ['steps', { targets: ['a', 'b'], steps: [10] }, /no steps of weight/],
    ['something kept back', { targets: ['a', 'b'], keep: 5 }, /keeps nothing back/],
    ['too many steps', { targets: Array.from({ length: 101 }, String) }, /at most 100 steps: take more/],
  ])('a rolling release of %s is refused', (_, more: Partial<StrategySpec>, message) => {
    expect(planOf({ strategy: 'rolling', ...more })).toMatchObject({ message: expect.stringMatching(message) })
  })

  test('a percentage that does not divide 100 ends at 100, not before and not beyond', () => {
    expect(weights('Linear30PercentEvery1Minute')).toEqual([30, 60, 90, 100])
    expect(weights('Canary33Percent2Minutes')).toEqual([33, 100])
  })
})

describe("steps of one's own", () => {
  test('say what they wait for, and what they do not say is that of every step', () => {
    const { steps } = plan({
      strategy: 'canary',
      steps: [{ weight: 0, until: 'promoted' }, 10, { weight: 50, forMs: 1_000, requests: 5 }],
      step: { forMs: 60_000, requests: 100 },
    })
    expect(steps).toEqual([
      { weight: 0, forMs: 60_000, requests: 100, untilPromoted: true },
      { weight: 10, forMs: 60_000, requests: 100, untilPromoted: false },
      { weight: 50, forMs: 1_000, requests: 5, untilPromoted: false },
      { weight: 100, forMs: 60_000, requests: 100, untilPromoted: false },
    ])
  })

  test('what is kept back is kept back at the last step, too', () => {
    const canary = plan({ strategy: 'canary', keep: 20, steps: [10, 90] })
    expect(canary.steps.map((_, at) => weightAt(canary, at))).toEqual([10, 80, 80])
  })
})

describe('what cannot be is refused with a reason', () => {
  test.each<[StrategySpec, RegExp]>([
    [{ strategy: 'canari' }, /no strategy is called "canari" \(did you mean "canary"\?\): /],
    [{ strategy: '' }, /no strategy is called ""/],
    [{ strategy: 'Lambda' }, /no strategy/],
    [{ strategy: 'Canary0Percent5Minutes' }, /no strategy/],
    [{ strategy: 'Linear10PercentEvery10000000Minutes' }, /no strategy/],
    [{ strategy: 'Canary100Percent5Minutes' }, /have to rise/],
    [{ strategy: 'Canary110Percent5Minutes' }, /no whole number/],
    [{ strategy: 'Linear0PercentEvery1Minute' }, /no strategy/],
    [{ strategy: '0-percent-steps' }, /no strategy/],
    [{ strategy: '50-10' }, /have to rise, and 10 comes after 50/],
    [{ strategy: 'canary', steps: [] }, /at least one step/],
    [{ strategy: 'canary', steps: [10, 0] }, /only the first/],
    [{ strategy: 'canary', steps: [10.5] }, /10.5 is no whole number/],
    [{ strategy: 'canary', steps: [-1] }, /no whole number/],
    [{ strategy: 'canary', steps: [0, 50] }, /at 0 needs/],
    [{ strategy: 'rolling', steps: [50] }, /no steps of weight/],
  ])('%j', (spec, message) => {
    expect(fault(spec)).toMatch(message)
  })
})

test('whatever the name, weights rise to 100', () => {
  const number = fc.nat(120)
  const name = fc.oneof(
    fc.tuple(number, number).map(([a, b]) => `Canary${a}Percent${b}Minutes`),
    fc.tuple(number, number).map(([a, b]) => `Linear${a}PercentEvery${b}Minute`),
    number.map((a) => `${a}-percent-steps`),
    fc.array(number, { minLength: 2, maxLength: 6 }).map((list) => list.join('-')),
  )
  fc.assert(
    fc.property(name, fc.nat(50), (strategy, keep) => {
      const planned = planOf({ strategy, keep })
      if ('message' in planned) return
      const given = planned.steps.map(({ weight }) => weight)
      expect(given).toEqual([...new Set(given)].toSorted((a, b) => a - b))
      expect(given.at(-1)).toBe(100)
      for (const at of given.keys()) expect(weightAt(planned, at)).toBeLessThanOrEqual(100 - keep)
    }),
  )
})
