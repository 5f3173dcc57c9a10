/** What a verdict says of itself: a sentence with its numbers, and what would have been noticed by now. */
import { expect, test } from 'vitest'
import type { Kept } from '../../src/rollout/kept.ts'
import { metricsOf, Verdict, type VerdictOptions } from '../../src/rollout/verdict.ts'
import { sentenceOf } from '../../src/rollout/words.ts'

const OPTIONS: VerdictOptions = {
  alpha: 0.001,
  beta: 0.05,
  margin: 0.02,
  tolerance: 1,
  harmMax: 7,
  rate: { above: 0.05, overMs: 300_000 },
  given: [{ name: 'orders', margin: 0.05, isOptional: false }],
}
const KEPT = {
  from: 'blue',
  wish: { verdict: OPTIONS },
  rollout: { to: 'green', before: { blue: 100, green: 0 }, plan: { batches: null } },
} as unknown as Kept
const GIVEN = [{ name: 'orders', lastError: null, bound: null }]
const NONE = { canary: 0, canaryBad: 0, control: 0, controlBad: 0 }
type Counts = readonly [canary: number, canaryBad: number, control: number, controlBad: number]

/** The sentence after one look: failures, what is slow, what is given. */
function said(
  share: number,
  counts: readonly Counts[],
  more: { harm?: number; allOut?: boolean } = {},
  kept = KEPT,
): string {
  const names = metricsOf(OPTIONS)
  const histories = names.map(() => ({ bad: 10, all: 1_000 }))
  const verdict = new Verdict(OPTIONS, { histories, clumps: names.map(() => ({ x2: 0, dof: 0 })) })
  verdict.beginStep(share)
  const came = names.map((_, at) => {
    const [canary, canaryBad, control, controlBad] = counts[Math.min(at, counts.length - 1)]
    return { ...NONE, canary, canaryBad, control, controlBad }
  })
  verdict.look({ nowMs: 0, came, harm: 0, allOut: false, ...more })
  const finding = verdict.look({ nowMs: 5_000, came: names.map(() => NONE), harm: 0, allOut: false, ...more })
  return `${finding.outcome}: ${sentenceOf(finding, verdict, kept, GIVEN)}`
}

test('no sentence of traffic that is compared is without its numbers and what would have been noticed', () => {
  expect(said(0.1, [[100, 0, 900, 9]])).toBe(
    'insufficient: no difference so far: 0 of 100 answers of green failed, 9 of 900 of blue; 8.5 % would have been noticed',
  )
  expect(said(0.5, [[2_000, 20, 2_000, 20]])).toMatch(
    /^pass: green is not worse than blue by more than 2 %: 20 of 2,000 .*, 20 of 2,000 of blue; 2\.\d % would have been noticed$/,
  )
  expect(said(0.5, [[400, 200, 400, 200]])).toMatch(
    /^hold: blue itself fails more than it used to: 200 of 400 .*; \d+ % would have been noticed$/,
  )
})

test('of several live pools no single one is named for what all of them have answered', () => {
  const before = { blue: 50, red: 50, green: 0 }
  const kept = { ...KEPT, rollout: { ...KEPT.rollout, before } }
  expect(said(0.5, [[400, 200, 400, 200]], {}, kept)).toMatch(
    /^hold: the live pools themselves fail more than they used to: .*, 200 of 400 of the live pools;/,
  )
})

test('what is slow, or bad by a metric, has its own share that would have been noticed', () => {
  const slow = said(0.1, [
    [2_000, 0, 18_000, 0],
    [60, 15, 540, 135],
  ])
  expect(slow).toMatch(
    /^insufficient: no difference so far: 15 of 60 .* slow \(p95\), .*; 56 % would have been noticed$/,
  )
  const good: Counts = [2_000, 0, 18_000, 0]
  expect(said(0.1, [good, good, good, good, [60, 1, 540, 9]])).toMatch(
    /^insufficient: too little for a verdict on orders: 1 of 60 of green were bad by orders, .*; 16 % would have been noticed$/,
  )
})

test('a version that seems worse is not said to show no difference', () => {
  expect(said(0.1, [[10, 3, 90, 1]])).toMatch(
    /^insufficient: green seems worse, but chance might do as much: 3 of 10 answers of green failed/,
  )
})

test('where one version has all the traffic, it is that which is said, however many answers there are', () => {
  expect(said(1, [[5_000, 3, 0, 0]])).toBe(
    'insufficient: nothing to compare with while all traffic goes to green: 3 of 5,000 answers of green failed, 0 of 0 of blue',
  )
  expect(said(0, [[0, 0, 900, 9]])).toMatch(/^insufficient: nothing to compare with while no traffic goes to green: /)
  expect(said(0.1, [[1, 0, 9, 0]])).toMatch(/^insufficient: too few answers for a verdict: 0 of 1 /)
})

test('guards say that they are guards', () => {
  expect(said(1, [[100, 20, 0, 0]])).toMatch(
    /^fail: more than 5 % of the answers of green failed, with nothing to compare/,
  )
  expect(said(0.1, [[1, 0, 9, 0]], { harm: 8 })).toMatch(
    /^fail: more than 7 answers of green failed, which is its harm/,
  )
  expect(said(0.1, [[1, 0, 9, 0]], { allOut: true })).toMatch(/^fail: all targets of green were out for 5 s: 0 of 1/)
})
