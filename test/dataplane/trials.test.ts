/** What a worker counts of a release that is judged. */
import { beforeEach, describe, expect, test } from 'vitest'
import { sideOf, Trials } from '../../src/dataplane/trials.ts'
import { openRing, takeReadings } from '../../src/metrics/batches.ts'
import {
  allocateSharedMemory,
  CELL,
  EDGES,
  FIELD,
  laneOffset,
  type SharedMemory,
  SIDE,
  TRIAL,
  TRIAL_FIELDS,
  trialOffset,
} from '../../src/metrics/layout.ts'
import { noteNew } from '../../src/metrics/load.ts'
import type { Decision, PoolTable, Reason, TargetTable } from '../../src/table/types.ts'

const [SLOT, TARGET, STEP] = [5, 7, 3]
let memory: SharedMemory
let trials: Trials
let nowMs = 0

beforeEach(() => {
  memory = allocateSharedMemory(2)
  nowMs = 1_000
  openRing(memory, SLOT)
  trials = new Trials(memory, 1, { steadyMs: () => nowMs })
  Atomics.store(memory.cells, CELL.step + SLOT, STEP)
  memory.edges.set([10, 50, 200], SLOT * EDGES)
  memory.targets[laneOffset(0, TARGET) + FIELD.attemptsStarted] = 20
})

/** Timed and slow answers of a side, by edge. */
function times(side: number): readonly (readonly number[])[] {
  const at = trialOffset(1, SLOT, side)
  return [TRIAL.timed, TRIAL.slow].map((field) => [...memory.trials.slice(at + field, at + field + EDGES)])
}

describe('an answer that is slow', () => {
  test('counts beyond each edge that it has passed, when it comes', () => {
    trials.time(SLOT, SIDE.canary, STEP, 0, 60)
    expect(times(SIDE.canary)).toEqual([
      [1, 1, 1],
      [1, 1, 0],
    ])
  })

  test('that has not come yet counts as soon as it passes an edge, and once', () => {
    let edges = trials.timeOpen(SLOT, SIDE.control, STEP, 0, 9)
    expect([edges, times(SIDE.control)[1]]).toEqual([0, [0, 0, 0]])
    edges = trials.timeOpen(SLOT, SIDE.control, STEP, edges, 60)
    edges = trials.timeOpen(SLOT, SIDE.control, STEP, edges, 150)
    expect([edges, times(SIDE.control)]).toEqual([
      2,
      [
        [1, 1, 0],
        [1, 1, 0],
      ],
    ])
    trials.time(SLOT, SIDE.control, STEP, edges, 180)
    expect(times(SIDE.control)).toEqual([
      [1, 1, 1],
      [1, 1, 0],
    ])
  })

  test('says nothing where nobody knows yet what is slow', () => {
    memory.edges.set([0, Infinity, 0], SLOT * EDGES)
    trials.time(SLOT, SIDE.canary, STEP, 0, 1e6)
    expect(trials.timeOpen(SLOT, SIDE.canary, STEP, 0, 1e6)).toBe(0)
    expect(times(SIDE.canary)).toEqual([
      [0, 0, 0],
      [0, 0, 0],
    ])
  })

  test('does not count of a step that is over', () => {
    trials.time(SLOT, SIDE.canary, STEP - 1, 0, 60)
    expect(trials.timeOpen(SLOT, SIDE.canary, STEP - 1, 0, 60)).toBe(2)
    expect(times(SIDE.canary)[1]).toEqual([0, 0, 0])
  })

  test('is not for the first 20 requests that a new target of the canary is given, over all workers, answered or not', () => {
    memory.targets[laneOffset(0, TARGET) + FIELD.attemptsStarted] = 12
    memory.targets[laneOffset(1, TARGET) + FIELD.attemptsStarted] = 7
    expect(trials.isCold(TARGET, SIDE.canary)).toBe(true)
    expect(trials.isCold(TARGET, SIDE.control)).toBe(false)
    memory.targets[laneOffset(1, TARGET) + FIELD.attemptsStarted] = 8
    expect(trials.isCold(TARGET, SIDE.canary)).toBe(false)
  })

  test('nor for the first 20 since what answers at its URL was replaced', () => {
    memory.targets[laneOffset(0, TARGET) + FIELD.attemptsStarted] = 300
    memory.targets[laneOffset(1, TARGET) + FIELD.attemptsStarted] = 500
    noteNew(memory, [TARGET])
    memory.targets[laneOffset(1, TARGET) + FIELD.attemptsStarted] = 519
    expect(trials.isCold(TARGET, SIDE.canary)).toBe(true)
    memory.targets[laneOffset(0, TARGET) + FIELD.attemptsStarted] = 301
    expect(trials.isCold(TARGET, SIDE.canary)).toBe(false)
  })
})

describe('a visitor who fails again and again', () => {
  const fails = (by: Trials, visitor: string, step = STEP) =>
    by.count(SLOT, SIDE.canary, step, 'failed', { visitor } as Decision)
  const counted = (field: number) =>
    [0, 1].reduce((sum, worker) => sum + memory.trials[trialOffset(worker, SLOT, SIDE.canary) + field], 0)

  test('counts once in a step, whichever workers its connections are at', () => {
    const other = new Trials(memory, 0, { steadyMs: () => nowMs })
    for (const by of [trials, other, other, trials]) fails(by, 'u-1')
    fails(other, 'u-2')
    expect([counted(TRIAL.bad), counted(TRIAL.answers)]).toEqual([2, 5])

    Atomics.store(memory.cells, CELL.step + SLOT, STEP + 1)
    fails(other, 'u-1', STEP + 1)
    expect(counted(TRIAL.bad)).toBe(3)
  })

  test('is known beside a thousand others, and after many steps', () => {
    for (let step = STEP; step < STEP + 100; step++) {
      Atomics.store(memory.cells, CELL.step + SLOT, step)
      const before = counted(TRIAL.bad)
      for (let n = 0; n < 2_000; n++) fails(trials, `u-${n % 1_000}`, step)
      expect(counted(TRIAL.bad) - before).toBe(1_000)
    }
  })
})

describe('batches', () => {
  const keyless = { visitor: null } as Decision
  const rings = () => Atomics.load(memory.cells, CELL.verdict)

  test('end before the next answer is counted', () => {
    const answer = () => trials.count(SLOT, SIDE.canary, STEP, 'good', keyless)
    answer()
    const before = memory.trials.slice()
    nowMs += 10
    answer()
    const readings: number[][] = []
    takeReadings(memory, SLOT, (reading) => readings.push([...reading]))
    expect(readings.map(([atMs]) => atMs)).toEqual([1_000, 1_010])
    const from = trialOffset(1, SLOT, SIDE.canary)
    expect(readings[1].slice(1)).toEqual([...before.slice(from, from + 2 * TRIAL_FIELDS)])
  })

  test.each([
    ['failed of the new version', 1, () => trials.count(SLOT, SIDE.canary, STEP, 'failed', keyless)],
    ['did harm', 1, () => trials.countHarm(SLOT, STEP)],
    ['failed of the live version', 0, () => trials.count(SLOT, SIDE.control, STEP, 'failed', keyless)],
    ['was good', 0, () => trials.count(SLOT, SIDE.canary, STEP, 'good', keyless)],
  ])('are looked at as soon as they end where one %s: %i', (_, expected, counts) => {
    counts()
    nowMs += 10
    trials.count(SLOT, SIDE.control, STEP, 'good', keyless)
    nowMs += 10
    trials.count(SLOT, SIDE.control, STEP, 'good', keyless)
    expect(rings()).toBe(expected)
  })
})

describe('the side that a decision counts for', () => {
  const decided = (reason: Reason, pool: string, isTried: boolean) =>
    ({ reason, pool: { name: pool } as PoolTable, target: { isTried } as TargetTable }) as Decision

  test('is none where a rule, a pin or a failover has chosen', () => {
    const trial = { pool: 'green', step: 1 }
    for (const reason of ['rule', 'pin', 'failover'] as const) {
      expect(sideOf(decided(reason, 'green', true), trial)).toBe(-1)
    }
    expect(sideOf(decided('bucket', 'green', true), trial)).toBe(SIDE.canary)
    expect(sideOf(decided('picker', 'blue', false), trial)).toBe(SIDE.control)
  })

  test('is that of the target where only some of a pool have the new version, and other pools are no control', () => {
    const trial = { pool: 'blue', step: 1, targets: ['http://a'] }
    expect(sideOf(decided('picker', 'blue', true), trial)).toBe(SIDE.canary)
    expect(sideOf(decided('picker', 'blue', false), trial)).toBe(SIDE.control)
    expect(sideOf(decided('picker', 'other', false), trial)).toBe(-1)
  })
})
