import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BitSet } from '../../src/table/bit-set.ts'

const takeAll = (marks: BitSet) => {
  const taken: number[] = []
  for (let at = marks.take(); at !== -1; at = marks.take()) taken.push(at)
  return taken
}

test('gives each number once, the lowest first, and is then empty', () => {
  const marks = new BitSet(200)
  fc.assert(
    fc.property(fc.array(fc.array(fc.nat(199))), (lists) => {
      for (const list of lists) marks.add(list)
      expect(takeAll(marks)).toEqual([...new Set(lists.flat())].sort((a, b) => a - b))
      expect(marks.take()).toBe(-1)
    }),
  )
})

test('cleared after some were taken, it holds nothing of before', () => {
  const marks = new BitSet(200)
  fc.assert(
    fc.property(fc.array(fc.nat(199)), fc.nat(5), fc.array(fc.nat(199)), (before, taken, after) => {
      marks.add(before)
      for (let n = 0; n < taken; n++) marks.take()
      marks.clear()
      marks.add(after)
      expect(takeAll(marks)).toEqual([...new Set(after)].sort((a, b) => a - b))
    }),
  )
})
