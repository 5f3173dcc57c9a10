/** Client connections and the descriptors of the process: some are left for targets, whatever the config allows. */
import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { planLimits } from '../../src/config/plan.ts'
import type { LimitsSpec } from '../../src/config/schema-process.ts'
import { descriptorsMax, withinDescriptors } from '../../src/workers/descriptors.ts'

const limits = planLimits({ connectionsMax: 20_000, connectionsPerAddressMax: 15_000 } as LimitsSpec)

test('a quarter of the descriptors is not for clients, and one address has the same share of the rest', () => {
  expect(withinDescriptors(limits, 4_000)).toMatchObject({ connectionsMax: 3_000, connectionsPerAddressMax: 2_250 })
  expect(withinDescriptors({ ...limits, connectionsPerAddressMax: 0 }, 4_000)).toMatchObject({
    connectionsMax: 3_000,
    connectionsPerAddressMax: 0,
  })
})

test('limits that there are descriptors for stay as they are', () => {
  expect(withinDescriptors(limits, 40_000)).toBe(limits)
  expect(withinDescriptors(limits, Infinity)).toBe(limits)
})

test.skipIf(process.platform !== 'linux')('the system is asked how many there are', () => {
  // Node takes all that it may have.
  expect(descriptorsMax()).toBe(Number(execFileSync('sh', ['-c', 'ulimit -Hn']).toString()))
})
