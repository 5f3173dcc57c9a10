import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Ejection,
  OUTLIER,
  type OutlierTarget,
  type PoolMemory,
  sweepPool,
  type TargetCounts,
} from '../../src/health/outlier.ts'

type Delta = Partial<TargetCounts>

/** A pool whose counters grow by what a test says, swept every half second. */
function pool(size: number) {
  const zero: TargetCounts = { successes: 0, answered5xx: 0, answeredByUs: 0, connectErrors: 0, timeouts: 0 }
  let memory: PoolMemory = new Map()
  let nowMs = 1_000_000
  const targets: OutlierTarget[] = Array.from({ length: size }, (_, index) => ({
    url: `http://t${index}:1`,
    slot: index,
    counts: zero,
    eligible: true,
    ejectedUntilMs: 0,
  }))

  function sweep(deltas: readonly Delta[] = [], afterMs = 500): readonly Ejection[] {
    nowMs += afterMs
    for (const [index, delta] of deltas.entries()) {
      const counts = { ...targets[index].counts }
      for (const [name, value] of Object.entries(delta)) counts[name as keyof TargetCounts] += value
      targets[index] = { ...targets[index], counts }
    }
    const swept = sweepPool(memory, targets, nowMs)
    memory = swept.memory
    for (const { url, untilMs } of swept.ejections) {
      const index = targets.findIndex((target) => target.url === url)
      targets[index] = { ...targets[index], ejectedUntilMs: untilMs }
    }
    return swept.ejections
  }

  sweep()
  return { sweep, targets, nowMs: () => nowMs, remembered: () => memory }
}

describe('passive ejection', () => {
  it('ejects a target for 10 s after five failures without a success', () => {
    const fleet = pool(2)
    expect(fleet.sweep([{ answered5xx: 4 }])).toEqual([])
    const [ejection] = fleet.sweep([{ answered5xx: 1 }])
    expect(ejection.url).toBe('http://t0:1')
    expect(ejection.untilMs).toBe(fleet.nowMs() + 10_000)
    expect(ejection.detail).toBe('5 failures in a row, for 10 s')
  })

  it('ejects after three connect errors already', () => {
    const fleet = pool(2)
    expect(fleet.sweep([{ connectErrors: 2 }])).toEqual([])
    expect(fleet.sweep([{ connectErrors: 1 }])[0].detail).toMatch(/3 connect errors/)
  })

  it('counts a time-out and our answer to it as one failure', () => {
    const fleet = pool(2)
    expect(fleet.sweep([{ timeouts: 4, answeredByUs: 4, answered5xx: 4 }])).toEqual([])
    expect(fleet.sweep([{ timeouts: 1, answeredByUs: 1, answered5xx: 1 }])).toHaveLength(1)
  })

  it('counts answers that broke off, which are ours alone', () => {
    expect(pool(2).sweep([{ answeredByUs: 5 }])).toHaveLength(1)
  })

  it('forgives failures as soon as the target succeeds', () => {
    const fleet = pool(2)
    fleet.sweep([{ answered5xx: 4 }])
    fleet.sweep([{ successes: 1 }])
    expect(fleet.sweep([{ answered5xx: 4 }])).toEqual([])
    expect(fleet.sweep([{ answered5xx: 90, successes: 1 }])).toEqual([])
  })

  it('does not add up failures that lie more than a minute apart', () => {
    const fleet = pool(2)
    fleet.sweep([{ answered5xx: 4 }])
    expect(fleet.sweep([{ answered5xx: 4 }], OUTLIER.rowGapMs + 1)).toEqual([])
    expect(fleet.sweep([{ answered5xx: 1 }])).toHaveLength(1)
  })

  it('ejects for longer each time, up to 300 s, and starts again after a quiet time', () => {
    const fleet = pool(2)
    const lengthS = () => (fleet.sweep([{ connectErrors: 3 }])[0].untilMs - fleet.nowMs()) / 1000
    expect(lengthS()).toBe(10)
    fleet.sweep([], 10_000)
    expect(lengthS()).toBe(20)
    for (let times = 0; times < 40; times++) {
      fleet.sweep([], 300_000)
      lengthS()
    }
    fleet.sweep([], 300_000)
    expect(lengthS()).toBe(300)
    fleet.sweep([], 300_000 + OUTLIER.quietMs)
    expect(lengthS()).toBe(10)
  })

  it('never ejects the target of a pool of one', () => {
    expect(pool(1).sweep([{ connectErrors: 1000 }])).toEqual([])
  })

  it('leaves the last eligible target in place', () => {
    const fleet = pool(4)
    for (const index of [1, 2, 3]) fleet.targets[index] = { ...fleet.targets[index], eligible: false }
    expect(fleet.sweep([{ connectErrors: 1000 }])).toEqual([])
  })

  it('does not hold against a target what failed while it was ejected', () => {
    const fleet = pool(2)
    fleet.sweep([{ connectErrors: 3 }])
    fleet.sweep([{ connectErrors: 9 }], 1000)
    expect(fleet.sweep([], 10_000)).toEqual([])
    expect(fleet.sweep([{ connectErrors: 2 }])).toEqual([])
  })

  it('begins anew when a target has other counters, or when they went back', () => {
    const fleet = pool(2)
    fleet.sweep([{ answered5xx: 4 }])
    fleet.targets[0] = { ...fleet.targets[0], slot: 9 }
    expect(fleet.sweep([{ answered5xx: 4 }])).toEqual([])
    fleet.sweep([{ answered5xx: -7 }])
    expect(fleet.sweep([{ answered5xx: 4 }])).toEqual([])
  })

  it('keeps an ejection that another process left behind', () => {
    const fleet = pool(2)
    fleet.targets[0] = { ...fleet.targets[0], ejectedUntilMs: fleet.nowMs() + 60_000 }
    expect(fleet.sweep([{ connectErrors: 9 }])).toEqual([])
  })

  it('ejects at most half of a pool, always leaves one, and remembers no more than its targets', () => {
    const delta = fc.record({
      successes: fc.integer({ min: 0, max: 2 }),
      connectErrors: fc.integer({ min: 0, max: 9 }),
    })
    const sizes = fc.integer({ min: 1, max: 9 })
    fc.assert(
      fc.property(sizes, fc.array(fc.array(delta, { maxLength: 9 }), { maxLength: 20 }), (size, sweeps) => {
        const fleet = pool(size)
        for (const deltas of sweeps) {
          fleet.sweep(deltas.slice(0, size))
          const ejected = fleet.targets.filter((target) => target.ejectedUntilMs > fleet.nowMs()).length
          expect(ejected).toBeLessThanOrEqual(Math.floor(size / 2))
          expect(fleet.remembered().size).toBe(size)
        }
      }),
    )
  })
})
