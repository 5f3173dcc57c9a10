/** The estimate of how many different visitors were seen: how far off it is, of one target, of several, and over time. */
import { expect, test } from 'vitest'
import { allocateSharedMemory } from '../../src/metrics/layout.ts'
import { clearVisitors, noteVisitor, turnVisitors, visitorsAt } from '../../src/metrics/visitors.ts'
import { bucketOfHash, hashString } from '../../src/table/bucket.ts'

const SALT = 7
const hashOf = (visitor: string) => hashString(visitor, SALT) | 0

test.each([0, 1, 2, 10, 100, 500, 1_000, 2_000, 10_000, 100_000])(
  '%i visitors are told with a small error',
  (count) => {
    const memory = allocateSharedMemory(1)
    for (let n = 0; n < count; n++) for (let time = 0; time < 2; time++) noteVisitor(memory, 5, hashOf(`user-${n}`))
    const estimate = visitorsAt(memory, [5])
    // Three standard errors of many; of few hardly any is lost.
    const allowed = count <= 10 ? 0 : count <= 100 ? 0.06 : 0.14
    expect(Math.abs(estimate - count)).toBeLessThanOrEqual(allowed * count)
    expect(visitorsAt(memory, [4, 6])).toBe(0)
  },
)

test('over many sets of visitors the estimate is off by no more than 4.6 %, root mean square, and to neither side', () => {
  const memory = allocateSharedMemory(1)
  const errors = Array.from({ length: 200 }, (_, set) => {
    clearVisitors(memory, 0)
    for (let n = 0; n < 1_500; n++) noteVisitor(memory, 0, hashOf(`${set}-user-${n}`))
    return visitorsAt(memory, [0]) / 1_500 - 1
  })
  const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length
  const square = Math.sqrt(errors.reduce((sum, error) => sum + error ** 2, 0) / errors.length)
  expect(Math.abs(mean)).toBeLessThan(0.012)
  expect(square).toBeLessThan(0.052)
})

test('a pool with a small share of the buckets is estimated as well as one with all', () => {
  const memory = allocateSharedMemory(1)
  let count = 0
  for (let n = 0; n < 40_000; n++) {
    const hash = hashOf(`user-${n}`)
    if (bucketOfHash(hash >>> 0) >= 500) continue
    count++
    noteVisitor(memory, 1, hash)
  }
  expect(Math.abs(visitorsAt(memory, [1]) / count - 1)).toBeLessThan(0.12)
})

test('a visitor at several targets of a pool is one', () => {
  const memory = allocateSharedMemory(1)
  for (let n = 0; n < 300; n++) for (const slot of [1, 2, 3]) noteVisitor(memory, slot, hashOf(`user-${n}`))
  expect(visitorsAt(memory, [1, 2, 3])).toBe(visitorsAt(memory, [2]))
})

test('who is not seen for two halves is forgotten, and a slot begins with nobody when it is cleared', () => {
  const memory = allocateSharedMemory(1)
  const see = (name: string) => noteVisitor(memory, 3, hashOf(name))
  see('a')
  turnVisitors(memory, [3])
  see('b')
  expect(visitorsAt(memory, [3])).toBe(2)
  turnVisitors(memory, [3])
  see('c')
  expect(visitorsAt(memory, [3])).toBe(2)
  turnVisitors(memory, [3])
  turnVisitors(memory, [3])
  expect(visitorsAt(memory, [3])).toBe(0)
  see('d')
  clearVisitors(memory, 3)
  expect(visitorsAt(memory, [3])).toBe(0)
})
