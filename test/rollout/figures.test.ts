/** The figures of VERDICT.md 9, by seeded simulation: how soon a worse version is caught, and how seldom an equal one is. */
import { describe, expect, test } from 'vitest'
import { quantile } from '../../bench/measure.ts'
import { Chance } from '../../bench/simulation/chance.ts'
import { type Assignment, power } from '../../bench/simulation/power.ts'
import { type Scene, simulateMany } from '../../bench/simulation/rollouts.ts'

const RATES = [1, 0.5, 0.2, 0.1, 0.05]
const PLAN = { seed: 7, weight: 0.1, alpha: 0.0007, control: () => 0.01 }

describe.each<[Assignment, number[], number[]]>([
  ['picker', [4, 8, 26, 70, 230], [4, 5, 6, 8, 13]],
  ['hash', [5, 10, 30, 75, 250], [5, 6, 7, 9, 14]],
])('assigned by %s, a canary that fails is caught', (assignment, answersMax, badMax) => {
  test.each(RATES.map((rate, at) => [rate, at]))('at a share of %d', (rate, at) => {
    const found = power({ ...PLAN, assignment, canary: () => rate, answersMax: 20_000, runs: 1_000 })
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
  const found = power({ ...plan, answersMax: 2_000, runs: 3_000 })
  expect(found.answers.length).toBeLessThanOrEqual(5)
})

describe('whole rollouts', () => {
  const scene: Scene = {
    strategy: { strategy: '5-10-25-50', step: { forMs: 60_000 } },
    rate: 100,
    control: () => 0.01,
    canary: () => 0.01,
    secondsMax: 7_200,
    bakeMs: 60_000,
  }
  const ends = (changes: Partial<Scene>, runs = 40) =>
    simulateMany({ ...scene, ...changes }, runs, 3).map(({ end }) => end)

  test('equal versions go through; an outage that both share holds them up, and no more', () => {
    expect(ends({}).filter((end) => end !== 'done')).toEqual([])
    const outage = (second: number) => (second > 90 && second < 150 ? 0.5 : 0.01)
    expect(ends({ control: outage, canary: outage }).filter((end) => end !== 'done')).toEqual([])
  })

  test('one that fails a fifth goes back', () => {
    expect(ends({ canary: () => 0.2 }).filter((end) => end !== 'rolledBack')).toEqual([])
  })

  test('with one request a minute nothing advances and nothing goes back', () => {
    expect(ends({ rate: 1 / 60 }, 10).filter((end) => end !== 'undecided')).toEqual([])
  })
})

test('chance is the same for the same seed, and even', () => {
  const [one, two] = [new Chance(5), new Chance(5)]
  expect(Array.from({ length: 10 }, () => one.next())).toEqual(Array.from({ length: 10 }, () => two.next()))
  const draws = Array.from({ length: 20_000 }, () => one.binomial(50, 0.02))
  expect(draws.reduce((sum, hits) => sum + hits, 0) / draws.length).toBeCloseTo(1, 1)
  const events = Array.from({ length: 20_000 }, () => one.poisson(3))
  expect(events.reduce((sum, count) => sum + count, 0) / events.length).toBeCloseTo(3, 1)
})
