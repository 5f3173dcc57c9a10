import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type OriginState, OriginTest, type Stratum } from '../../src/rollout/origin-test.ts'
import { bulk } from '../helpers/bulk.ts'

const options = { alpha: 0.001, tolerance: 1 }
const stratum = (canary: number, canaryBad: number, control: number, controlBad: number): Stratum => ({
  canary,
  canaryBad,
  control,
  controlBad,
})
const wealthOf = ({ wealth }: OriginState) => wealth.reduce((sum, part) => sum + part, 0)

/** Chances of 0, 1 … bad answers of the canary, given `bad` in all, by counting them out. */
function hypergeometric(canary: number, control: number, bad: number): Map<number, number> {
  const choose = (n: number, k: number): number => (k === 0 ? 1 : (choose(n - 1, k - 1) * n) / k)
  const whole = choose(canary + control, bad)
  const chances = new Map<number, number>()
  for (let k = Math.max(0, bad - control); k <= Math.min(canary, bad); k++) {
    chances.set(k, (choose(canary, k) * choose(control, bad - k)) / whole)
  }
  return chances
}

/** Strata of both sides with a few bad answers. */
const sizes = fc
  .record({ canary: fc.integer({ min: 1, max: 12 }), control: fc.integer({ min: 1, max: 30 }) })
  .chain(({ canary, control }) =>
    fc.record({ canary: fc.constant(canary), control: fc.constant(control), bad: fc.nat(canary + control) }),
  )

describe('if the version does not matter', () => {
  /** What the wealth is worth on the mean after a stratum, of what it was before; an outcome that fails is worth the target. */
  function meanOf(
    state: OriginState | undefined,
    { canary, control, bad }: { canary: number; control: number; bad: number },
  ) {
    let mean = 0
    for (const [k, chance] of hypergeometric(canary, control, bad)) {
      const next = new OriginTest(options, state)
      next.take(stratum(canary, k, control, bad - k))
      mean += chance * (next.failed ? 1 / options.alpha : wealthOf(next.state))
    }
    return mean
  }
  /** The wealth with what the reserve has added for the answers of the stratum. */
  function stakeOf(state: OriginState | undefined, canary: number): number {
    const next = new OriginTest(options, state)
    next.take(stratum(canary, 0, 1, 0))
    return wealthOf(next.state)
  }

  test('a bet is worth on the mean at most what was staked, and never more', () => {
    fc.assert(
      fc.property(sizes, (size) => {
        expect(meanOf(undefined, size)).toBeLessThanOrEqual(stakeOf(undefined, size.canary) * (1 + 1e-9))
      }),
      { numRuns: bulk(100, 300) },
    )
  })

  test('near the target the cap takes nothing away: all is worth what it was, but for the slack of the smallest bet', () => {
    const rich: OriginState = { wealth: [300, 200, 200, 100, 0], seen: 500, peak: 800, failed: false }
    fc.assert(
      fc.property(sizes, (size) => {
        const stake = stakeOf(rich, size.canary)
        const mean = meanOf(rich, size)
        expect(mean).toBeLessThanOrEqual(stake * (1 + 1e-9))
        expect(mean).toBeGreaterThan(stake * 0.9)
      }),
      { numRuns: bulk(100, 300) },
    )
  })
})

test('more bad answers of the canary among as many in all never speak for it', () => {
  fc.assert(
    fc.property(sizes, ({ canary, control, bad }) => {
      const worth = [...hypergeometric(canary, control, bad).keys()].map((k) => {
        const next = new OriginTest(options)
        next.take(stratum(canary, k, control, bad - k))
        return next.failed ? Infinity : wealthOf(next.state)
      })
      expect(worth).toEqual(worth.toSorted((a, b) => a - b))
    }),
    { numRuns: bulk(100, 300) },
  )
})

test('a batch without bad answers may be split as one likes', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 8 }), (parts) => {
      const [whole, split] = [new OriginTest(options), new OriginTest(options)]
      const sum = parts.reduce((total, part) => total + part, 0)
      whole.take(stratum(sum, 0, sum * 9, 0))
      for (const part of parts) split.take(stratum(part, 0, part * 9, 0))
      expect(wealthOf(split.state)).toBeCloseTo(wealthOf(whole.state), 9)
    }),
  )
})

test('where nothing is held back and nothing near the target, the order of batches does not matter', () => {
  // All of the stake is in, and the target is out of reach, so there is neither reserve nor cap.
  const whole: OriginState = { wealth: [0.35, 0.2, 0.2, 0.2, 0.05], seen: Number.MAX_VALUE, peak: 1, failed: false }
  const strata = fc.array(
    sizes.chain(({ canary, control, bad }) => {
      const [low, high] = [Math.max(0, bad - control), Math.min(canary, bad)]
      return fc.integer({ min: low, max: high }).map((k) => stratum(canary, k, control, bad - k))
    }),
    { minLength: 2, maxLength: 6 },
  )
  const after = (batches: readonly Stratum[]): readonly number[] => {
    const test = new OriginTest({ alpha: 1e-280, tolerance: 1 }, whole)
    for (const batch of batches) test.take(batch)
    return test.state.wealth
  }
  fc.assert(
    fc.property(strata, (batches) => {
      const [there, back] = [after(batches), after(batches.toReversed())]
      for (const [at, wealth] of there.entries()) expect(Math.abs(wealth - back[at])).toBeLessThanOrEqual(wealth * 1e-9)
    }),
  )
})

test('a test goes on from what was kept of it, through JSON, as though it had not stopped', () => {
  const strata = Array.from({ length: 60 }, (_, at) =>
    stratum(1 + (at % 3), at % 7 === 0 ? 1 : 0, 18, at % 5 === 0 ? 1 : 0),
  )
  const whole = new OriginTest(options)
  for (const each of strata) whole.take(each)
  const first = new OriginTest(options)
  for (const each of strata.slice(0, 23)) first.take(each)
  const second = new OriginTest(options, JSON.parse(JSON.stringify(first.state)) as OriginState)
  for (const each of strata.slice(23)) second.take(each)
  expect(second.state).toEqual(whole.state)
})

test('what it says of chance only falls: one by the greatest wealth that there was, and at most alpha once it has failed', () => {
  const test = new OriginTest(options)
  expect(test.p).toBe(1)
  test.take(stratum(1, 1, 9, 0))
  const once = test.p
  expect(once).toBeCloseTo(1 / test.state.peak, 12)
  for (let n = 0; n < 5; n++) test.take(stratum(1, 0, 9, 1))
  expect(test.p).toBe(once)
  for (let n = 0; n < 20; n++) test.take(stratum(1, 1, 9, 0))
  expect(test.failed).toBe(true)
  expect(test.p).toBeLessThanOrEqual(options.alpha)
})

test('a failure latches, whatever comes after it', () => {
  const origin = new OriginTest(options)
  for (let at = 0; at < 5; at++) origin.take(stratum(1, 1, 9, 0))
  expect(origin.failed).toBe(true)
  for (let at = 0; at < 100; at++) origin.take(stratum(1, 0, 9, 3))
  expect(origin.failed).toBe(true)
  expect(origin.evidence).toBe(1)
})

test('all bad in both, and one side empty, teach nothing', () => {
  const origin = new OriginTest(options)
  const before = new OriginTest(options)
  origin.take(stratum(5, 5, 45, 45))
  before.take(stratum(5, 0, 45, 0))
  expect(origin.state).toEqual(before.state)
  origin.take(stratum(0, 0, 45, 40))
  expect(origin.state).toEqual(before.state)
})

test('ten thousand answers with thousands bad stay within the range of numbers', () => {
  const origin = new OriginTest(options)
  origin.take(stratum(1_000, 100, 9_000, 4_900))
  for (const part of origin.state.wealth) expect(part).toBeGreaterThanOrEqual(0)
  origin.take(stratum(1_000, 900, 9_000, 4_000))
  expect(origin.failed).toBe(true)
  for (const part of origin.state.wealth) expect(Number.isFinite(part)).toBe(true)
})
