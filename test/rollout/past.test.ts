/** What is known of the live pool before a rollout: its times, its failures, how far its targets differ. */
import { beforeEach, expect, test } from 'vitest'
import { binEndMs } from '../../src/metrics/bins.ts'
import { allocateSharedMemory, FIELD, laneOffset, type SharedMemory } from '../../src/metrics/layout.ts'
import { SLICE_MS } from '../../src/rollout/clump.ts'
import { Past } from '../../src/rollout/past.ts'
import type { ServiceStatus, TargetStatus } from '../../src/table/status.ts'
import type { Trial } from '../../src/table/types.ts'

let memory: SharedMemory
let past: Past
let nowMs: number

beforeEach(() => {
  memory = allocateSharedMemory(1)
  past = new Past(memory)
  nowMs = 0
})

/** A service with two pools: targets of blue at slots 1 and 2, the one of green at 3. */
function shop(trial?: Trial): ServiceStatus {
  const at = (...slots: number[]) => ({ slots }) as unknown as TargetStatus
  const pools = { blue: { targets: { one: at(1), two: at(2) } }, green: { targets: { three: at(3) } } }
  return { pools, slot: 0, ...(trial && { trial }) } as unknown as ServiceStatus
}

/** So many attempts at a slot come, all with a time in this bin. */
function come(slot: number, good: number, failed: number, bin = 20): void {
  const at = laneOffset(0, slot)
  memory.targets[at + FIELD.attemptsGood] += good
  memory.targets[at + FIELD.attemptsFailed] += failed
  memory.targets[at + FIELD.ttfb + bin] += good + failed
}

function follow(trial?: Trial): void {
  nowMs += SLICE_MS
  past.follow('shop', shop(trial), nowMs)
}

test('answers are those of the last ten minutes', () => {
  past.follow('shop', shop(), nowMs)
  come(1, 90, 10)
  follow()
  expect(past.of('shop', ['blue']).metrics[0].history).toEqual({ bad: 10, all: 100 })
  for (let slice = 0; slice < 59; slice++) {
    come(2, 1, 0)
    follow()
  }
  expect(past.of('shop', ['blue']).metrics[0].history).toEqual({ bad: 10, all: 159 })
  follow()
  expect(past.of('shop', ['blue']).metrics[0].history).toEqual({ bad: 0, all: 59 })
})

test('what is slow is said by the pools that are asked for', () => {
  expect(past.of('shop', ['blue']).edgesMs).toEqual([Infinity, Infinity, Infinity])
  for (const bin of [10, 11, 12, 13]) come(1, 25, 0, bin)
  come(3, 1_000, 0, 60)
  follow()
  expect(past.of('shop', ['blue']).edgesMs).toEqual([12, 13, 13].map((bin) => binEndMs(bin)))
  expect(past.of('shop', ['green']).edgesMs[0]).toBe(binEndMs(60))
})

test('of a target that has the version which is tried nothing enters', () => {
  past.follow('shop', shop(), nowMs)
  const trial = { pool: 'blue', step: 1, targets: ['two'] }
  come(1, 10, 0, 10)
  come(2, 0, 10, 60)
  follow(trial)
  expect(past.of('shop', ['blue'])).toMatchObject({ edgesMs: [binEndMs(10), binEndMs(10), binEndMs(10)] })
  expect(past.of('shop', ['blue']).metrics[0].history).toEqual({ bad: 0, all: 10 })
  // Nor later, once the rollout is over.
  follow()
  expect(past.of('shop', ['blue']).metrics[0].history).toEqual({ bad: 0, all: 10 })
})

test('targets that differ more than chance allows are clumps, also after the slice was forgotten', () => {
  past.follow('shop', shop(), nowMs)
  come(1, 80, 20)
  come(2, 100, 0)
  follow()
  const [now] = past.of('shop', ['blue']).metrics
  // p = 0.1: (20 − 10)² / 9 of each target.
  expect(now.clump.x2).toBeCloseTo(200 / 9, 9)
  expect([now.clump.dof, now.clumpEver.dof]).toEqual([1, 1])
  for (let slice = 0; slice < 70; slice++) follow()
  expect(past.of('shop', ['blue']).metrics[0].clump.dof).toBe(0)
  expect(past.of('shop', ['blue']).metrics[0].clumpEver.dof).toBe(1)
})

test('what is gone is forgotten', () => {
  come(1, 10, 0)
  follow()
  past.followAll({}, nowMs)
  expect(past.of('shop', ['blue']).metrics[0].history).toEqual({ bad: 0, all: 0 })
})
