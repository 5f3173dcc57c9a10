/** Counts of several instances, pooled: nothing is lost for good, nothing counts twice, and nothing goes down, whatever comes between them. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Batch } from '../../src/rollout/feed.ts'
import { Ledger, type Said, STRETCH_MS } from '../../src/rollout/ledger.ts'
import { Pooled, saidOf, type TakenByRun } from '../../src/rollout/pooled.ts'
import { bulk } from '../helpers/bulk.ts'

const NOTHING = { canary: 0, canaryBad: 0, control: 0, controlBad: 0 }
const OWN = { run: 'own', name: 'here:1' }

const batch = (atMs: number, canary: number, canaryBad: number, control: number, harm = 0): Batch => ({
  atMs,
  came: [{ canary, canaryBad, control, controlBad: 0 }, NOTHING, NOTHING, NOTHING],
  harm,
})

const hear = (pooled: Pooled, run: string, said: Said, atMs = 0) =>
  // As it comes out of the store.
  pooled.hear({
    run,
    name: run,
    said: saidOf(JSON.stringify({ name: run, trials: { shop: said } }))!.trials['shop'],
    atMs,
  })

/** Answers of failures, harm, and answers by rules, that were taken so far. */
function takenFrom(pooled: Pooled, step: number) {
  const sum = { canary: 0, canaryBad: 0, control: 0, harm: 0, byRules: 0 }
  for (const { came, harm, byRules } of pooled.take(step)) {
    sum.canary += came[0]?.canary ?? 0
    sum.canaryBad += came[0]?.canaryBad ?? 0
    sum.control += came[0]?.control ?? 0
    sum.harm += harm
    sum.byRules += byRules
  }
  return sum
}

test('each stretch of time that another instance tells of is a batch of its own', () => {
  const ledger = new Ledger('r-1', 1)
  const pooled = new Pooled('r-1', OWN, 0)
  for (let at = 0; at < 3; at++) ledger.add(batch(100 + at * STRETCH_MS, 1, 1, 9, 1))
  // The last is not over yet, and nobody may end it because of what is in it.
  hear(pooled, 'two', ledger.said(100 + 2 * STRETCH_MS + 1))
  expect(pooled.take(1).map(({ came, harm }) => [came[0].canary, came[0].control, harm])).toEqual([
    [1, 9, 1],
    [1, 9, 1],
  ])
  hear(pooled, 'two', ledger.said(200))
  expect(pooled.take(1)).toHaveLength(1)
  expect(pooled.take(1)).toEqual([])
  expect(pooled.told(0)).toMatchObject([{ name: 'two', canary: { requests: 3, failed: 3 }, control: { requests: 27 } }])
})

test('answers of another step do not count, and the harm that they did does', () => {
  const ledger = new Ledger('r-1', 1)
  const pooled = new Pooled('r-1', OWN, 0)
  ledger.add(batch(0, 5, 5, 5, 5))
  hear(pooled, 'two', ledger.said(50))
  expect(takenFrom(pooled, 2)).toEqual({ canary: 0, canaryBad: 0, control: 0, harm: 5, byRules: 0 })
  ledger.beginStep(2)
  ledger.addHarm(1)
  ledger.add(batch(60, 2, 0, 8))
  hear(pooled, 'two', ledger.said(100))
  expect(takenFrom(pooled, 2)).toEqual({ canary: 2, canaryBad: 0, control: 8, harm: 1, byRules: 0 })
  // Of another rollout nothing counts.
  hear(pooled, 'three', new Ledger('r-2', 2).said(100))
  expect(pooled.told(0)).toHaveLength(1)
})

test('whoever takes a rollout up goes on where the tests that are kept have come to, with what was said meanwhile', () => {
  const [ours, others] = [new Ledger('r-1', 1), new Ledger('r-1', 1)]
  const first = new Pooled('r-1', OWN, 0)
  hear(first, 'two', others.said(0))
  for (const [at, ledger] of [ours, others].entries()) ledger.add(batch(10, 1 + at, 0, 9, 1))
  first.addOwn({ ...NOTHING, canary: 1, control: 9 })
  hear(first, 'two', others.said(30))
  expect(takenFrom(first, 1)).toMatchObject({ canary: 2, harm: 1 })
  const kept = JSON.parse(JSON.stringify(first.taken(1, ours))) as TakenByRun
  // Both count on until the first one is gone; then the other one takes it up.
  ours.add(batch(50, 4, 0, 6, 2))
  ours.addByRules(8)
  others.add(batch(50, 3, 0, 7, 4))
  const second = new Pooled('r-1', { run: 'two', name: 'two' }, 60, kept)
  hear(second, 'two', { ...others.said(60), readings: [others.total] })
  hear(second, 'own', ours.said(60))
  expect(takenFrom(second, 1)).toEqual({ canary: 7, canaryBad: 0, control: 13, harm: 6, byRules: 8 })
  expect(takenFrom(second, 1).canary).toBe(0)
  expect(second.told(60).map(({ canary }) => canary.requests)).toEqual([5, 5])
})

test('what an instance has itself counted by rules is not taken once more by whoever takes the rollout up', () => {
  const ours = new Ledger('r-1', 1)
  ours.addByRules(5)
  const kept = JSON.parse(JSON.stringify(new Pooled('r-1', OWN, 0).taken(1, ours))) as TakenByRun
  ours.addByRules(2)
  const second = new Pooled('r-1', { run: 'two', name: 'two' }, 60, kept)
  hear(second, 'own', ours.said(60))
  expect(takenFrom(second, 1).byRules).toBe(2)
  // An older Turnout says nothing of it, and of a step before nothing counts.
  const { byRules: _none, ...older } = ours.said(70)
  hear(second, 'own', older)
  expect(takenFrom(second, 1).byRules).toBe(0)
  ours.beginStep(2)
  ours.addByRules(1)
  hear(second, 'own', ours.said(80))
  expect(takenFrom(second, 2).byRules).toBe(1)
})

test('what may not be believed is left out', () => {
  const said = new Ledger('r-1', 1).said(0)
  for (const byRules of [-1, 0.5, '1']) {
    const text = JSON.stringify({ name: 'two', trials: { shop: { ...said, byRules } } })
    expect(saidOf(text)?.trials).toEqual({})
  }
  for (const readings of [[], [[1, 2]], [said.readings[0].map(() => -1)], [said.readings[0].map(() => 0.5)], 'all']) {
    const text = JSON.stringify({ name: 'two', trials: { shop: { ...said, readings } } })
    expect(saidOf(text)?.trials).toEqual({})
  }
  expect([saidOf('{'), saidOf('null'), saidOf('{"name":1}')]).toEqual([null, null, null])
  // Sums that fall, as no instance says them.
  const pooled = new Pooled('r-1', OWN, 0)
  const [one, less] = [9, 3].map((value) => ({
    ...said,
    readings: [said.readings[0].map((_, at) => (at === 0 ? 20 - value : value))],
  }))
  hear(pooled, 'two', one)
  expect(takenFrom(pooled, 1)).toMatchObject({ canary: 9 })
  hear(pooled, 'two', less)
  expect(pooled.take(1)).toEqual([])
})

test('no more runs are pooled than there may be, and those that are stay', () => {
  const pooled = new Pooled('r-1', OWN, 0)
  for (let run = 0; run < 300; run++) hear(pooled, `run ${run}`, new Ledger('r-1', 1).said(0))
  pooled.take(1)
  expect(pooled.told(0)).toHaveLength(200)
})

test('an instance that falls silent may have done its part of the harm budget, until it is taken for gone', () => {
  const pooled = new Pooled('r-1', OWN, 0)
  const [two, three] = [new Ledger('r-1', 1), new Ledger('r-1', 1)]
  two.add(batch(0, 4, 4, 0, 4))
  const tell = (atMs: number, ends = false) => {
    hear(pooled, 'two', { ...two.said(atMs), ...(ends && { ends: true as const }) }, atMs)
    pooled.take(1)
  }
  tell(100)
  hear(pooled, 'three', three.said(100), 4_000)
  expect(pooled.unheard(30, 1_000)).toBe(0)
  expect(pooled.unheard(30, 4_500)).toBe(10 - 4)
  expect(pooled.unheard(Infinity, 4_500)).toBe(0)
  tell(4_500)
  expect(pooled.unheard(30, 4_600)).toBe(0)
  expect(pooled.told(9_000).map(({ silentMs }) => silentMs)).toEqual([4_500, 5_000])
  expect(pooled.unheard(30, 70_000)).toBe(0)
  tell(80_000, true)
  expect(pooled.unheard(30, 90_000)).toBe(0)
})

/** What may happen between two instances and the one that judges. */
const happening = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('count' as const),
      of: fc.nat(2),
      canary: fc.nat(5),
      control: fc.nat(9),
      harm: fc.nat(2),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('say' as const), of: fc.nat(2) }) },
  // An older text comes once more.
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('echo' as const), of: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), of: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('step' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('handOver' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('take' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('jump' as const),
      of: fc.nat(2),
      byMs: fc.integer({ min: -5_000, max: 5_000 }),
    }),
  },
)

test('whatever is lost, late, read twice, restarted or taken over: of each run all that it has counted in the step is taken once', () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 80 }), (happenings) => {
      let step = 1
      let runs = 0
      const start = () => ({
        run: `run ${runs++}`,
        ledger: new Ledger('r-1', step),
        said: [] as Said[],
        offMs: 0,
        canary: 0,
        harm: 0,
      })
      const instances = [start(), start(), start()]
      const gone: typeof instances = []
      let pooled = new Pooled('r-1', OWN, 0)
      let [canary, harm, byRules, nowMs] = [0, 0, 0, 0]
      const take = () => {
        const taken = takenFrom(pooled, step)
        expect(Math.min(taken.canary, taken.control, taken.harm)).toBeGreaterThanOrEqual(0)
        canary += taken.canary
        harm += taken.harm
        byRules += taken.byRules
      }
      for (const each of happenings) {
        nowMs += 7
        const at = 'of' in each ? each.of : 0
        const one = instances[at]
        if (each.kind === 'count') {
          one.ledger.add(batch(nowMs + one.offMs, each.canary, 0, each.control, each.harm))
          one.ledger.addByRules(each.canary)
          one.canary += each.canary
          one.harm += each.harm
        } else if (each.kind === 'say') {
          one.said.push(one.ledger.said(nowMs + one.offMs))
          hear(pooled, one.run, one.said.at(-1)!)
        } else if (each.kind === 'echo' && one.said.length > 0) hear(pooled, one.run, one.said[0])
        else if (each.kind === 'restart') {
          hear(pooled, one.run, one.ledger.said(Infinity))
          take()
          gone.push(one)
          instances[at] = start()
        } else if (each.kind === 'step') {
          for (const { run, ledger } of instances) hear(pooled, run, ledger.said(Infinity))
          take()
          step++
          for (const { ledger } of instances) ledger.beginStep(step)
        } else if (each.kind === 'handOver') {
          take()
          pooled = new Pooled(
            'r-1',
            OWN,
            nowMs,
            JSON.parse(JSON.stringify(pooled.taken(step, new Ledger('r-1', step)))),
          )
        } else if (each.kind === 'take') take()
        else if (each.kind === 'jump') one.offMs += each.byMs
      }
      for (const { run, ledger } of instances) hear(pooled, run, ledger.said(Infinity))
      take()
      const all = [...instances, ...gone]
      expect(canary).toBe(all.reduce((sum, each) => sum + each.canary, 0))
      expect(byRules).toBe(canary)
      expect(harm).toBe(all.reduce((sum, each) => sum + each.harm, 0))
    }),
    { numRuns: bulk(100, 300) },
  )
})
