/** The heap limit of workers: enough for what clients may make them hold, and never more than the machine has. */
import { expect, test } from 'vitest'
import { FULL_SHARE } from '../../src/dataplane/heap.ts'
import { workerHeapMb } from '../../src/workers/sizing.ts'

const MIB = 1_048_576
const GIB = 1_073_741_824
const LIMITS = { connectionsMax: 20_000, headBytesMax: 32_768 }

test('with plenty of memory, a whole head of every connection fits into what may be in use', () => {
  const inUse = (limits: typeof LIMITS) => workerHeapMb(limits, 2, 64 * GIB) * MIB * FULL_SHARE
  for (const connectionsMax of [100, 20_000, 100_000]) {
    expect(inUse({ ...LIMITS, connectionsMax })).toBeGreaterThan(connectionsMax * LIMITS.headBytesMax)
  }
  expect(workerHeapMb(LIMITS, 2, 128 * GIB)).toBe(workerHeapMb(LIMITS, 2, 64 * GIB))
})

test('where memory is short, the heaps of all workers together get three quarters of it', () => {
  for (const count of [1, 2, 4]) expect(workerHeapMb(LIMITS, count, GIB) * count).toBe(768)
})

test('a worker can always start, however little memory there is', () => {
  expect(workerHeapMb(LIMITS, 64, 256 * MIB)).toBe(128)
})
