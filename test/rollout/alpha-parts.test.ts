/** How α is parted: whatever finds a failure first counts, so all parts together are never more than it. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { alphaAlone, alphaPooled } from '../../src/rollout/alpha-parts.ts'

test('however many instances come and start anew, the parts of α together are no more than it, and each has some', () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-9, max: 1, noNaN: true }), fc.integer({ min: 1, max: 5_000 }), (alpha, seats) => {
      const parts = Array.from({ length: seats }, (_, at) => alphaAlone(alpha, at + 1))
      expect(Math.min(...parts)).toBeGreaterThan(0)
      const sum = parts.reduce((all, part) => all + part, alphaPooled(alpha))
      expect(sum).toBeLessThanOrEqual(alpha * (1 + 1e-12))
    }),
    { numRuns: 20 },
  )
})
