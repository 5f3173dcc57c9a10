/** The small parts of a verdict and of a rollout, each by itself. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BINS, binOf } from '../../src/metrics/bins.ts'
import { ControlHealth } from '../../src/rollout/control-health.ts'
import { wouldNotice } from '../../src/rollout/notice.ts'
import { OriginTest, type Stratum } from '../../src/rollout/origin-test.ts'
import { sharesAt } from '../../src/rollout/shares.ts'
import { SlowEdge } from '../../src/rollout/slow-edge.ts'
import { Strata } from '../../src/rollout/strata.ts'
import { metricsOf, Verdict, type VerdictOptions } from '../../src/rollout/verdict.ts'
import { AnswerWindow } from '../../src/rollout/window.ts'

describe('shares', () => {
  test('the others keep what they had among themselves', () => {
    expect(sharesAt({ blue: 100, green: 0 }, 'green', 10)).toEqual({ blue: 9, green: 1 })
    expect(sharesAt({ blue: 3, grey: 1, green: 0 }, 'green', 20)).toEqual({ blue: 3, grey: 1, green: 1 })
    expect(sharesAt({ blue: 100 }, 'green', 0)).toEqual({ blue: 1, green: 0 })
    expect(sharesAt({ blue: 7, green: 3 }, 'green', 100)).toEqual({ blue: 0, green: 1 })
  })

  test('are exact to a thousandth, whole, and within what a split may say', () => {
    const weight = fc.nat(1_000_000)
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('a', 'b', 'c'), weight), fc.nat(100), (before, percent) => {
        const others = Object.values(before).reduce((sum, each) => sum + each, 0)
        fc.pre(others > 0)
        const shares = sharesAt(before, 'new', percent)
        const all = Object.values(shares)
        for (const each of all) expect(Number.isInteger(each) && each >= 0 && each <= 1_000_000).toBe(true)
        const sum = all.reduce((total, each) => total + each, 0)
        expect(shares['new'] / sum).toBeCloseTo(percent / 100, 3)
      }),
    )
  })
})

describe('a stratum', () => {
  test('closes with ten answers of both, and more where one side has little, whatever went bad', () => {
    const strata = new Strata()
    strata.add({ canary: 0, canaryBad: 0, control: 50, controlBad: 0 })
    expect(strata.close(0.1)).toBe(null)
    strata.add({ canary: 1, canaryBad: 1, control: 0, controlBad: 0 })
    expect(strata.close(0.01)).toBe(null)
    expect(strata.close(0.1)).toEqual({ canary: 1, canaryBad: 1, control: 50, controlBad: 0 })
    expect(strata.close(0.1)).toBe(null)
  })

  test('is dropped when the weight changes', () => {
    const strata = new Strata()
    strata.add({ canary: 5, canaryBad: 5, control: 50, controlBad: 0 })
    strata.drop()
    strata.add({ canary: 1, canaryBad: 0, control: 9, controlBad: 0 })
    expect(strata.close(0.1)).toEqual({ canary: 1, canaryBad: 0, control: 9, controlBad: 0 })
  })
})

test('a stratum of millions is thinned to what can be judged in a moment, in proportion', () => {
  const strata = new Strata()
  strata.add({ canary: 1_000, canaryBad: 10, control: 4_000_000, controlBad: 40_000 })
  const stratum = strata.close(0.1)!
  expect(stratum).toEqual({ canary: 1_000, canaryBad: 10, control: 20_000, controlBad: 200 })
  const origin = new OriginTest({ alpha: 1e-4, tolerance: 1 })
  const before = process.cpuUsage()
  origin.take({ canary: 20_000, canaryBad: 10_000, control: 20_000, controlBad: 10_000 })
  // It was the square of it once, and took seconds of the processor.
  expect(process.cpuUsage(before).user / 1_000).toBeLessThan(500)
  expect(origin.failed).toBe(false)
})

test('what is slow is said by the answers of the live pool: at most the rest of the quantile lies beyond', () => {
  const edge = new SlowEdge()
  expect(edge.edgeMs(0.95)).toBe(Infinity)
  const bins = new Float64Array(BINS)
  for (let ms = 1; ms <= 1_000; ms++) bins[binOf(ms)]++
  edge.add(bins)
  for (const quantile of [0.75, 0.95, 0.99]) {
    const ms = edge.edgeMs(quantile)
    const beyond = Array.from({ length: 1_000 }, (_, at) => at + 1).filter((each) => binOf(each) >= binOf(ms)).length
    expect(beyond / 1_000).toBeLessThanOrEqual(1 - quantile)
    expect(ms).toBeLessThanOrEqual(1_280)
  }
})

test('a window forgets what is older than it, however long nobody looked', () => {
  const window = new AnswerWindow(10_000, 10)
  window.add(500, 10, 1)
  window.add(5_500, 10, 2)
  expect(window.sums(9_999)).toEqual({ answers: 20, bad: 3 })
  expect(window.sums(10_500)).toEqual({ answers: 10, bad: 2 })
  expect(window.sums(1_000_000)).toEqual({ answers: 0, bad: 0 })
})

test('a window without length is of this moment, and ends', () => {
  const window = new AnswerWindow(0, 30)
  window.add(500, 10, 1)
  expect(window.sums(500)).toEqual({ answers: 10, bad: 1 })
  expect(window.sums(1_000)).toEqual({ answers: 0, bad: 0 })
})

test('the live pool is ill while it fails far more than it used to, and for 30 s after', () => {
  const health = new ControlHealth({ bad: 10, all: 1_000 })
  health.add(1_000, 100, 4)
  expect(health.isIll(1_000)).toBe(false)
  health.add(2_000, 100, 40)
  expect(health.isIll(2_000)).toBe(true)
  // Too few to say anything.
  const quiet = new ControlHealth({ bad: 10, all: 1_000 })
  quiet.add(1_000, 19, 19)
  expect(quiet.isIll(1_000)).toBe(false)
  for (let nowMs = 3_000; nowMs <= 12_000; nowMs += 1_000) health.add(nowMs, 1_000, 10)
  expect(health.isIll(12_000)).toBe(true)
  expect(health.isIll(50_000)).toBe(false)
})

test('what would have been noticed falls with every answer, and is nothing where nothing is compared', () => {
  const found = [10, 100, 1_000, 10_000].map((answers) => wouldNotice(answers, 0.01, 0.1, 0.0007) ?? Infinity)
  expect(found).toEqual(found.toSorted((a, b) => b - a))
  expect(found[3]).toBeLessThan(0.02)
  expect(wouldNotice(1, 0.01, 0.1, 0.0007)).toBe(null)
  expect(wouldNotice(1_000, 0.01, 1, 0.0007)).toBe(null)
})

describe('the verdict', () => {
  const options: VerdictOptions = {
    alpha: 0.001,
    beta: 0.05,
    margin: 0.05,
    tolerance: 1,
    harmMax: Number.MAX_SAFE_INTEGER,
    rate: { above: 0.05, overMs: 300_000 },
    given: [],
  }
  const none = { canary: 0, canaryBad: 0, control: 0, controlBad: 0 }
  function verdictOf(changes: Partial<VerdictOptions> = {}): Verdict {
    const all = { ...options, ...changes }
    const metrics = metricsOf(all)
    return new Verdict(all, {
      histories: metrics.map(() => ({ bad: 10, all: 1_000 })),
      clumps: metrics.map(() => ({ x2: 0, dof: 0 })),
    })
  }
  const look = (verdict: Verdict, nowMs: number, failures = none, more: { harm?: number; allOut?: boolean } = {}) =>
    verdict.look({ nowMs, came: [failures, none, none, none], harm: 0, allOut: false, ...more })

  test('passes by failures and by slow answers, and by each step anew', () => {
    const verdict = verdictOf()
    verdict.beginStep(0.5)
    const good = { canary: 500, canaryBad: 0, control: 500, controlBad: 0 }
    expect(look(verdict, 0, good)).toEqual({ outcome: 'insufficient', cause: 'slow p95' })
    const all = { nowMs: 1, came: [good, good, good, good], harm: 0, allOut: false }
    expect(verdict.look(all).outcome).toBe('pass')
    verdict.beginStep(0.8)
    expect(look(verdict, 2).outcome).toBe('insufficient')
  })

  test('a failure latches, through the steps as well', () => {
    const verdict = verdictOf()
    verdict.beginStep(0.5)
    expect(look(verdict, 0, { canary: 50, canaryBad: 40, control: 50, controlBad: 0 })).toEqual({
      outcome: 'fail',
      cause: 'failures',
    })
    verdict.beginStep(0.8)
    expect(look(verdict, 1)).toEqual({ outcome: 'fail', cause: 'failures' })
  })

  test('while the live pool is ill it holds, but finds out one that is worse even so', () => {
    const verdict = verdictOf()
    verdict.beginStep(0.5)
    const ill = { canary: 100, canaryBad: 50, control: 100, controlBad: 50 }
    expect(look(verdict, 1_000, ill).outcome).toBe('hold')
    expect(look(verdict, 2_000, { ...ill, canaryBad: 100 }).outcome).toBe('fail')
  })

  test('waits in each step for a metric that is given from outside, unless it is optional, and fails by either', () => {
    const good = { canary: 500, canaryBad: 0, control: 500, controlBad: 0 }
    const bad = { canary: 50, canaryBad: 40, control: 50, controlBad: 0 }
    const at = (verdict: Verdict, nowMs: number, given: Stratum) =>
      verdict.look({ nowMs, came: [good, good, good, good, given], harm: 0, allOut: false })
    for (const isOptional of [false, true]) {
      const verdict = verdictOf({ given: [{ name: 'orders', margin: 0.05, isOptional }] })
      verdict.beginStep(0.5)
      const waits = { outcome: 'insufficient', cause: 'orders' }
      const passes = { outcome: 'pass', cause: 'failures' }
      expect(at(verdict, 0, none)).toEqual(isOptional ? passes : waits)
      expect(at(verdict, 1, good)).toEqual(passes)
      verdict.beginStep(0.8)
      expect(at(verdict, 2, none)).toEqual(isOptional ? passes : waits)
      expect(at(verdict, 3, bad)).toEqual({ outcome: 'fail', cause: 'orders' })
    }
  })

  test('a value out of bounds fails it, but not while the live pool is ill; one that is not known lets no step pass', () => {
    const good = { canary: 500, canaryBad: 0, control: 500, controlBad: 0 }
    const ill = { canary: 100, canaryBad: 50, control: 100, controlBad: 50 }
    const verdict = verdictOf()
    verdict.beginStep(0.5)
    const at = (nowMs: number, failures: Stratum, broken: string | null, missing: string | null) =>
      verdict.look({
        nowMs,
        came: [failures, good, good, good],
        harm: 0,
        allOut: false,
        bounds: { broken, missing },
      })
    expect(at(0, good, null, 'p99')).toEqual({ outcome: 'insufficient', cause: 'p99' })
    expect(at(1, good, null, null).outcome).toBe('pass')
    expect(at(20_000, ill, 'p99', 'p99').outcome).toBe('hold')
    expect(at(60_000, good, 'p99', 'p99')).toEqual({ outcome: 'fail', cause: 'p99' })
  })

  test('guards: the harm budget, targets that are all out for 5 s, and failures where nothing is compared', () => {
    expect(look(verdictOf({ harmMax: 3 }), 0, none, { harm: 4 })).toEqual({ outcome: 'fail', cause: 'harm' })
    const out = verdictOf()
    expect(look(out, 0, none, { allOut: true }).outcome).toBe('insufficient')
    expect(look(out, 4_999, none, { allOut: true }).outcome).toBe('insufficient')
    expect(look(out, 5_000, none, { allOut: true })).toEqual({ outcome: 'fail', cause: 'targets out' })
    const alone = verdictOf()
    alone.beginStep(1)
    expect(look(alone, 0, { canary: 100, canaryBad: 9, control: 0, controlBad: 0 }).outcome).toBe('insufficient')
    expect(look(alone, 1, { canary: 20, canaryBad: 1, control: 0, controlBad: 0 })).toEqual({
      outcome: 'fail',
      cause: 'rate',
    })
  })
})
