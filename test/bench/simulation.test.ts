/**
 * The simulator itself: that every stream and rule still says what it is there to say. A few seeds of each; the figures are those of
 * `npm run simulate`, and of test/rollout/figures.test.ts.
 */
import { describe, expect, test } from 'vitest'
import { backOf, JUDGES, judge } from '../../bench/simulation/beside.ts'
import { Chance } from '../../bench/simulation/chance.ts'
import { dotPlot, gridPlot, linePlot } from '../../bench/simulation/plot.ts'
import { simulateMany } from '../../bench/simulation/rollouts.ts'
import { RULES } from '../../bench/simulation/rules.ts'
import { looksOf, WEIGHT } from '../../bench/simulation/settings.ts'
import { Source } from '../../bench/simulation/source.ts'
import { equal, FAULTS, RATES, type Stream, WEATHER, worse } from '../../bench/simulation/streams.ts'

const SCENE = { strategy: { strategy: '5-10-25-50', step: { forMs: 60_000 } }, bakeMs: 60_000, secondsMax: 400 }
const titled = (streams: readonly Stream[]) => streams.map((stream) => [stream.title, stream] as const)

describe('streams', () => {
  test.each(titled(FAULTS))('a fault is caught: %s', (_, stream) => {
    const rows = judge(stream, { runs: 2, seed: 5, looks: looksOf(stream.rate, 25) })
    // Some faults are seen only by some, and where each user counts once, ours may take longer than the half hour.
    expect(Math.max(...rows.map(backOf))).toBe(1)
    if (stream.isSticky !== true) expect(backOf(rows[0])).toBe(1)
  })

  test.each(titled(WEATHER))('weather is borne: %s', (_, stream) => {
    expect(simulateMany({ ...SCENE, stream }, 2, 5).filter(({ end }) => end === 'rolledBack')).toEqual([])
  })

  test.each(RATES)('at %d requests a second as many come, and a tenth of them to the canary', (rate) => {
    const source = new Source(equal(rate, 0.01, ''), new Chance(5))
    const seconds = Math.max(10, Math.ceil(1_000 / rate))
    let [canary, all] = [0, 0]
    for (let second = 0; second < seconds; second += seconds / 10) {
      const came = source.take(second, seconds / 10, WEIGHT)
      canary += came.canary
      all += came.canary + came.judged[0].control
    }
    expect(all / (rate * seconds)).toBeCloseTo(1, 0)
    expect(canary / all).toBeCloseTo(WEIGHT, 1)
  })

  test('slow answers are told by quantile, those of cold targets not at all', () => {
    const took = (stream: Stream) => new Source(stream, new Chance(5)).take(0, 100, WEIGHT).judged
    const shares = (stream: Stream) => took(stream).map(({ canary, canaryBad }) => canaryBad / canary)
    const source = new Source({ ...equal(100, 0, ''), slower: 2 }, new Chance(5))
    expect(source.take(0, 1, WEIGHT).judged[1].canary).toBe(0)
    source.take(1, 99, WEIGHT)
    const [failures, p75, p95, p99] = source.take(100, 100, WEIGHT).judged
    expect(failures.canaryBad).toBe(0)
    expect(p75.canaryBad / p75.canary).toBeGreaterThan((1.5 * p75.controlBad) / p75.control)
    expect(p95.canaryBad).toBeLessThan(p75.canaryBad)
    expect(p99.canaryBad).toBeLessThan(p95.canaryBad)
    expect(shares(worse(100, 0.5, ''))[0]).toBeCloseTo(0.5, 1)
  })

  test('users who stay are harmed once, and those of a segment are few', () => {
    const source = new Source({ ...equal(100, 0, ''), segment: 0.05, isSticky: true }, new Chance(5))
    let [failed, counted] = [0, 0]
    for (let second = 0; second < 100; second++) {
      const { canaryBad, judged } = source.take(second, 1, WEIGHT)
      failed += canaryBad
      counted += judged[0].canaryBad
    }
    // 200 users of the canary are there at a time, ten of them in the segment.
    expect(failed).toBeGreaterThan(30)
    expect(counted).toBeLessThan(failed / 2)
    expect(source.usersHarmed).toBeLessThanOrEqual(failed)
  })
})

describe('rules of others', () => {
  const ends = (name: string, badAt: (second: number) => number, canary = 10, canaryLate = 0) => {
    const check = RULES.find((rule) => rule.name === name)!.start()
    for (let second = 0; ; second++) {
      const decided = check({ canary, canaryBad: badAt(second), canaryLate }, second)
      if (decided !== null) return [decided, second + 1]
    }
  }

  test('Flagger goes back at the check after the fifth that failed, whatever that one says', () => {
    expect(ends('Flagger', (second) => (second < 300 ? 1 : 0))).toEqual(['back', 360])
    expect(ends('Flagger', (second) => (second < 240 ? 1 : 0))).toEqual(['advanced', 1_800])
    expect(ends('Flagger', () => 0, 0)).toEqual(['back', 360])
    expect(ends('Flagger', () => 0, 10, 1)).toEqual(['back', 360])
  })

  test('Argo goes back when more have failed than its limit, and on when it has counted enough', () => {
    expect(ends('Argo, example', () => 1)).toEqual(['back', 1_200])
    expect(ends('Argo, example', (second) => (second < 900 ? 1 : 0))).toEqual(['advanced', 1_800])
    expect(ends('Argo, strict', (second) => (second === 1_000 ? 10 : 0))).toEqual(['advanced', 1_800])
    expect(ends('Argo, strict', (second) => (second < 50 ? 1 : 0))).toEqual(['back', 60])
    expect(ends('Argo, strict', () => 0, 0)).toEqual(['advanced', 1_800])
  })

  test('the script goes back when more than 5 % of 300 s have failed', () => {
    expect(ends('script', () => 1)).toEqual(['back', 15])
    expect(ends('script', (second) => (second >= 300 && second < 330 ? 5 : 0))).toEqual(['advanced', 1_800])
    expect(ends('script', (second) => (second >= 300 && second < 345 ? 5 : 0))).toEqual(['back', 345])
  })
})

test('plots are whole, and the same for the same data', () => {
  const words = { title: 'a < b', subtitle: ['one', 'two'] as const }
  const axis = { label: 'x', ticks: [[1, '1'] as const, [10, '10'] as const], min: 1, max: 10 }
  const point = { x: 2, y: 3, to: 4, isHollow: false }
  const series = JUDGES.map((name, at) => ({
    name,
    points: at === 0 ? [] : [point, { ...point, y: null }, { ...point, isHollow: true }],
  }))
  const all = () => [
    linePlot(words, axis, axis, series),
    dotPlot(words, JUDGES, ['a row'], [{ axis, rows: [[1, 2, null, 4, 5]] }], 'none'),
    gridPlot(words, ['a row'], ['a', 'b'], [{ title: 'panel', shares: [[0.001, 1]] }], 'x'),
  ]
  expect(all()).toEqual(all())
  for (const svg of all()) {
    expect(svg).not.toMatch(/NaN|undefined|Infinity|a < b/)
    expect(svg).toMatch(/^<svg [\s\S]*<\/svg>\n$/)
  }
})
