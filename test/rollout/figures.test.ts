/** The figures of VERDICT.md 9, by seeded simulation: how soon a worse version is caught, and how seldom an equal one is. */
import { describe, expect, test } from 'vitest'
import { quantile } from '../../bench/measure.ts'
import { Chance } from '../../bench/simulation/chance.ts'
import { type Assignment, power } from '../../bench/simulation/power.ts'
import { simulateMany } from '../../bench/simulation/rollouts.ts'
import { ALPHA, WEIGHT } from '../../bench/simulation/settings.ts'
import { equal, outage, type Stream, worse } from '../../bench/simulation/streams.ts'
import { bulk } from '../helpers/bulk.ts'

const RATES = [1, 0.5, 0.2, 0.1, 0.05]
const PLAN = { seed: 7, weight: WEIGHT, alpha: ALPHA, control: () => 0.01 }

describe.each<[Assignment, number[], number[]]>([
  ['picker', [4, 8, 26, 70, 230], [4, 5, 6, 8, 13]],
  ['hash', [5, 10, 30, 75, 250], [5, 6, 7, 9, 14]],
])('assigned by %s, a canary that fails is caught', (assignment, answersMax, badMax) => {
  test.each(RATES.map((rate, at) => [rate, at]))('at a share of %d', (rate, at) => {
    const found = power({ ...PLAN, assignment, canary: () => rate, answersMax: 20_000, runs: bulk(400, 1_000) })
    expect(found.undecided).toBe(0)
    expect(quantile(found.answers, 0.5)).toBeLessThanOrEqual(answersMax[at])
    expect(quantile(found.bad, 0.5)).toBeLessThanOrEqual(badMax[at])
  })
})

test.each([
  ['steady', () => 0.01],
  ['an outage', (moment: number) => (moment > 0.5 && moment < 0.6 ? 0.5 : 0.01)],
])('an equal version is hardly ever taken for worse: %s', (_, base) => {
  const plan = { ...PLAN, assignment: 'picker', control: base, canary: base } as const
  const runs = bulk(1_200, 3_000)
  const found = power({ ...plan, answersMax: 2_000, runs })
  expect(found.answers.length).toBeLessThanOrEqual(runs / 600)
})

describe('whole rollouts', () => {
  const scene = {
    strategy: { strategy: '5-10-25-50', step: { forMs: 60_000 } },
    secondsMax: 7_200,
    bakeMs: 60_000,
  }
  const ends = (stream: Stream, runs = bulk(15, 40)) =>
    simulateMany({ ...scene, stream }, runs, 4).map(({ end }) => end)

  test('equal versions go through; an outage that both share holds them up, and no more', () => {
    expect(ends(equal(100, 0.01, '')).filter((end) => end !== 'done')).toEqual([])
    expect(ends(equal(100, outage(60), '')).filter((end) => end !== 'done')).toEqual([])
  })

  test('one that fails a fifth goes back', () => {
    expect(ends(worse(100, 0.2, '')).filter((end) => end !== 'rolledBack')).toEqual([])
  })

  test('with one request a minute nothing advances and nothing goes back', () => {
    expect(ends(equal(1 / 60, 0.01, ''), 10).filter((end) => end !== 'undecided')).toEqual([])
  })
})

test('chance is the same for the same seed, and even', () => {
  const [one, two] = [new Chance(5), new Chance(5)]
  expect(Array.from({ length: 10 }, () => one.next())).toEqual(Array.from({ length: 10 }, () => two.next()))
  const mean = (draw: () => number, times: number) =>
    Array.from({ length: times }, draw).reduce((sum, value) => sum + value, 0) / times
  expect(mean(() => one.binomial(50, 0.02), 20_000)).toBeCloseTo(1, 1)
  expect(mean(() => one.poisson(3), 20_000)).toBeCloseTo(3, 1)
  // Where many are expected, another way is taken: it has to have the same mean and spread.
  for (const share of [0.3, 0.9]) {
    expect(mean(() => one.binomial(400, share), 20_000) / (400 * share)).toBeCloseTo(1, 2)
    const spread = mean(() => (one.binomial(400, share) - 400 * share) ** 2, 20_000)
    expect(spread / (400 * share * (1 - share))).toBeCloseTo(1, 1)
  }
})
