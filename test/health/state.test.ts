import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  assertProbeState,
  gapMs,
  onProbe,
  type ProbeResult,
  type ProbeState,
  probeStateOf,
} from '../../src/health/state.ts'
import type { Health } from '../../src/table/types.ts'

const thresholds = { healthyAfter: 2, unhealthyAfter: 3 }

function after(from: Health, results: string): Health {
  const fold = (state: ProbeState, letter: string) => onProbe(state, letter === 'p' ? 'pass' : 'fail', thresholds)
  return [...results].reduce(fold, probeStateOf(from)).health
}

describe('probe state', () => {
  it.each([
    ['unknown', 'p', 'healthy', 'the first pass makes an unknown target healthy at once'],
    ['unknown', 'ff', 'unknown', 'two failures leave an unknown target unknown'],
    ['unknown', 'fff', 'unhealthy', 'three failures in a row make an unknown target unhealthy'],
    ['unknown', 'ffp', 'healthy', 'a pass ends the doubt about an unknown target'],
    ['healthy', 'ff', 'healthy', 'two failures leave a healthy target healthy'],
    ['healthy', 'fff', 'unhealthy', 'three failures in a row make a healthy target unhealthy'],
    ['healthy', 'ffpff', 'healthy', 'a pass between failures starts the count again'],
    ['unhealthy', 'p', 'unhealthy', 'one pass leaves an unhealthy target unhealthy'],
    ['unhealthy', 'pp', 'healthy', 'two passes in a row make an unhealthy target healthy'],
    ['unhealthy', 'pfp', 'unhealthy', 'a failure between passes starts the count again'],
  ] as const)('from %s after %s is %s: %s', (from, results, to, _why) => {
    expect(after(from, results)).toBe(to)
  })

  it('changes only after the full count of equal results in a row, whatever came before', () => {
    const results = fc.array(fc.constantFrom<ProbeResult>('pass', 'fail'), { maxLength: 60 })
    const counts = fc.record({
      healthyAfter: fc.integer({ min: 1, max: 5 }),
      unhealthyAfter: fc.integer({ min: 1, max: 5 }),
    })
    const start = fc.constantFrom<Health>('unknown', 'healthy', 'unhealthy')
    fc.assert(
      fc.property(results, counts, start, (sequence, needed, from) => {
        let state = probeStateOf(from)
        let row = 0
        let last: ProbeResult | null = null
        for (const result of sequence) {
          row = result === last ? row + 1 : 1
          last = result
          const next = onProbe(state, result, needed)
          assertProbeState(next)
          if (next.health !== state.health) {
            const enough =
              result === 'fail' ? needed.unhealthyAfter : state.health === 'unknown' ? 1 : needed.healthyAfter
            expect(row).toBeGreaterThanOrEqual(enough)
            expect(next).toEqual({ health: result === 'fail' ? 'unhealthy' : 'healthy', streak: 0 })
          }
          if (result === 'fail' && row >= needed.unhealthyAfter) expect(next.health).toBe('unhealthy')
          if (result === 'pass' && row >= needed.healthyAfter) expect(next.health).toBe('healthy')
          state = next
        }
      }),
    )
  })

  it('refuses a state that cannot be', () => {
    expect(() => assertProbeState({ health: 'healthy', streak: -1 })).toThrow(/impossible/)
  })
})

describe('the gap between probes', () => {
  it('lets a target that hangs or refuses be found within unhealthyAfter intervals', () => {
    const plans = fc.record({
      intervalMs: fc.integer({ min: 100, max: 60_000 }),
      share: fc.double({ min: 0.01, max: 0.5, noNaN: true }),
      unhealthyAfter: fc.integer({ min: 2, max: 6 }),
      draws: fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 6, maxLength: 6 }),
      hangs: fc.boolean(),
    })
    fc.assert(
      fc.property(plans, ({ intervalMs, share, unhealthyAfter, draws, hangs }) => {
        const plan = { intervalMs, timeoutMs: intervalMs * share, healthyAfter: 2, unhealthyAfter }
        const tookMs = hangs ? plan.timeoutMs : 0
        // The target dies right after a probe of it has passed.
        let startMs = gapMs(probeStateOf('healthy'), plan, draws[0])
        let state = onProbe(probeStateOf('healthy'), 'fail', plan)
        for (let failed = 1; failed < unhealthyAfter; failed++) {
          startMs += Math.max(tookMs, gapMs(state, plan, draws[failed]))
          state = onProbe(state, 'fail', plan)
        }
        expect(state.health).toBe('unhealthy')
        expect(startMs + tookMs).toBeLessThanOrEqual(unhealthyAfter * intervalMs + 1e-6)
      }),
    )
  })

  it('stays within a tenth of its middle while nothing is in doubt', () => {
    const plan = { intervalMs: 1000, timeoutMs: 500, ...thresholds }
    expect(gapMs(probeStateOf('healthy'), plan, 0)).toBe(800)
    expect(gapMs(probeStateOf('unhealthy'), plan, 0.5)).toBe(900)
    expect(gapMs(probeStateOf('unknown'), plan, 0.999_999)).toBeCloseTo(1000, 2)
  })
})
