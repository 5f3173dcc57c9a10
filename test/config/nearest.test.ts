import fc from 'fast-check'
import { expect, test } from 'vitest'
import { didYouMean, editDistance, nearest } from '../../src/config/nearest.ts'

const KEYS = ['routes', 'pools', 'split', 'live', 'rules', 'targets', 'healthyAfter', 'unhealthyAfter']

test.each([
  ['tragets', 'targets'],
  ['target', 'targets'],
  ['spilt', 'split'],
  ['healthy_after', 'healthyAfter'],
  ['Un-Healthy-After', 'unhealthyAfter'],
])('%s was probably meant to be %s', (word, meant) => {
  expect(nearest(word, KEYS)).toBe(meant)
})

test.each(['', 'x', 'weights', 'banana', 'x'.repeat(10_000)])('%.20s is near to nothing', (word) => {
  expect(nearest(word, KEYS)).toBeNull()
})

test('a swap of neighbours is one edit', () => {
  expect(editDistance('tragets', 'targets')).toBe(1)
  expect(editDistance('kitten', 'sitting')).toBe(3)
  expect(editDistance('', 'abc')).toBe(3)
})

test('the distance is 0 only between equals, the same both ways, and at most the longer length', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 8 })
  fc.assert(
    fc.property(word, word, (a, b) => {
      const edits = editDistance(a, b)
      expect(edits === 0).toBe(a === b)
      expect(edits).toBe(editDistance(b, a))
      expect(edits).toBeLessThanOrEqual(Math.max(a.length, b.length))
    }),
  )
})

test('a suggestion is a question, and nothing is said without one', () => {
  expect(didYouMean('targets')).toBe(' (did you mean "targets"?)')
  expect(didYouMean(null)).toBe('')
})
