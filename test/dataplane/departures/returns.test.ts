/** Whoever was let go is known again in any worker, once for each tunnel. */
import { beforeEach, expect, test } from 'vitest'
import { keyOf, Returns } from '../../../src/dataplane/departures/returns.ts'
import { allocateSharedMemory, type SharedMemory } from '../../../src/metrics/layout.ts'

const NOW_MS = 1_800_000_000_000
let memory: SharedMemory

beforeEach(() => {
  memory = allocateSharedMemory(1)
})

test('somebody who was let go in one worker is known in another, as often as it was let go', () => {
  const [here, there] = [new Returns(memory), new Returns(memory)]
  const key = keyOf('shop', 'u-17', '192.0.2.1', '/chat')
  for (let i = 0; i < 3; i++) here.note(key, 7, NOW_MS)
  expect([1, 2, 3, 4].map(() => there.take(key, NOW_MS + 1_000))).toEqual([7, 7, 7, -1])
})

test('a visitor is known at any address and path; who is none, by both', () => {
  expect(keyOf('shop', 'u-17', '192.0.2.1', '/a')).toBe(keyOf('shop', 'u-17', '192.0.2.2', '/b'))
  expect(keyOf('shop', 'u-17', '192.0.2.1', '/a')).not.toBe(keyOf('api', 'u-17', '192.0.2.1', '/a'))
  expect(keyOf('shop', null, '192.0.2.1', '/a')).toBe(keyOf('shop', null, '192.0.2.1', '/a'))
  expect(keyOf('shop', null, '192.0.2.1', '/a')).not.toBe(keyOf('shop', null, '192.0.2.1', '/b'))
  expect(keyOf('shop', null, '192.0.2.1', '/a')).not.toBe(keyOf('shop', null, '192.0.2.2', '/a'))
})

test('after a minute nobody is known any more', () => {
  const returns = new Returns(memory)
  const key = keyOf('shop', 'u-17', '', '')
  returns.note(key, 7, NOW_MS)
  expect(returns.take(key, NOW_MS + 61_000)).toBe(-1)
  returns.note(key, 8, NOW_MS + 62_000)
  expect(returns.take(key, NOW_MS + 63_000)).toBe(8)
})

test('ten thousand visitors who come back within seconds are all known', () => {
  const returns = new Returns(memory)
  const keys = Array.from({ length: 10_000 }, (_, i) => keyOf('shop', `user-${i}`, '', ''))
  let known = 0
  for (const [i, key] of keys.entries()) {
    returns.note(key, 1, NOW_MS + i * 10)
    if (i >= 1_000 && returns.take(keys[i - 1_000], NOW_MS + i * 10) === 1) known++
  }
  expect(known).toBe(9_000)
})
