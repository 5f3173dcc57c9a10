/** Streams of strata with the state that must come out after each: computed by another program than ours (VERDICT.md). */
import { describe, expect, test } from 'vitest'
import { Clump } from '../../src/rollout/clump.ts'
import { MarginTest } from '../../src/rollout/margin-test.ts'
import { OriginTest, type Stratum } from '../../src/rollout/origin-test.ts'
import vectors from './vectors.json' with { type: 'json' }

const stratumOf = ([canary, canaryBad, control, controlBad]: readonly number[]): Stratum => ({
  canary,
  canaryBad,
  control,
  controlBad,
})

/** As good as equal: to nine digits. */
function expectClose(actual: number, expected: number, where: string): void {
  expect(Math.abs(actual - expected), `${where}: ${actual}, not ${expected}`).toBeLessThanOrEqual(
    1e-9 * Math.max(Math.abs(expected), 1e-300),
  )
}

describe('the origin test', () => {
  test.each(vectors.fail.map((vector) => [vector.name, vector] as const))('%s', (_, vector) => {
    const origin = new OriginTest(vector)
    vector.strata.forEach((counts, at) => {
      origin.take(stratumOf(counts), vector.clump)
      const { failed, seen, wealth } = vector.states[at]
      const { state } = origin
      expect([at, state.failed, state.seen]).toEqual([at, failed, seen])
      state.wealth.forEach((part, bet) => {
        expectClose(part, wealth[bet], `stratum ${at}, bet ${bet}`)
      })
    })
  })
})

describe('the margin test', () => {
  test.each(vectors.pass.map((vector) => [vector.name, vector] as const))('%s', (_, vector) => {
    const margin = new MarginTest(vector, vector.history)
    vector.strata.forEach((counts, at) => {
      margin.take(stratumOf(counts))
      expect([at, margin.state.passed]).toEqual([at, vector.states[at].passed])
      expectClose(margin.log, vector.states[at].log, `stratum ${at}`)
    })
  })
})

describe('clumps', () => {
  test.each(vectors.clump.map((vector) => [vector.name, vector] as const))('%s', (_, vector) => {
    const clump = new Clump()
    for (const slice of vector.slices) clump.take(slice.map(([all, bad]) => ({ all, bad })))
    const { x2, dof } = clump.state
    expect(dof).toBe(vector.dof)
    expectClose(x2, vector.x2, 'x2')
    expectClose(clump.size, vector.size, 'size')
  })
})
