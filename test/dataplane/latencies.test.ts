import { describe, expect, test } from 'vitest'
import { DECAY_MS, Latencies } from '../../src/dataplane/latencies.ts'
import { FIELDS, SLOTS } from '../../src/metrics/layout.ts'
import { decide } from '../../src/table/decide.ts'
import type { ServiceTable, TargetTable } from '../../src/table/types.ts'
import { makeDraw, makePlan, makeTable, makeView, NOW_MS } from '../table/make.ts'

/** The values of one worker, at a time that a test moves on. */
function open(count: number) {
  const plan = makePlan({ weights: { blue: 1 }, balance: 'least-latency' }, count)
  const table = makeTable(plan)
  const service = table.services.get('shop') as ServiceTable
  const time = { nowMs: NOW_MS, steadyMs: () => time.nowMs }
  const latencies = new Latencies({ targets: new Float64Array(SLOTS * FIELDS) }, 0, time)
  const inFlight = new Map<number, number>()
  const load = Object.assign((slot: number) => inFlight.get(slot) ?? 0, {
    latencyMs: (slot: number, isIdle: boolean) => latencies.of(slot, isIdle),
  })
  const draw = makeDraw(3)
  const choose = () => decide(makeView(), table, load, draw, time.nowMs).target as TargetTable
  const underWay: { atMs: number; target: TargetTable; ms: number; fails: boolean }[] = []
  return { service, targets: service.pools[0].targets, time, latencies, inFlight, underWay, choose }
}

type Stage = ReturnType<typeof open>

/** Requests that come evenly and take what `msOf` says; gives how many each target got within the time. */
function run(stage: Stage, forMs: number, everyMs: number, msOf: (target: TargetTable) => number | 'fails'): number[] {
  const { service, targets, time, latencies, inFlight, underWay, choose } = stage
  const counts = targets.map(() => 0)
  for (const endMs = time.nowMs + forMs; time.nowMs < endMs; time.nowMs += everyMs) {
    for (const one of underWay.filter(({ atMs }) => atMs <= time.nowMs)) {
      underWay.splice(underWay.indexOf(one), 1)
      inFlight.set(one.target.slot, (inFlight.get(one.target.slot) ?? 0) - 1)
      if (one.fails) latencies.failed(service, one.target, one.ms)
      else latencies.answered(service, one.target, 200, one.ms)
    }
    const target = choose()
    const found = msOf(target)
    const ms = found === 'fails' ? 1 : found
    counts[targets.indexOf(target)]++
    inFlight.set(target.slot, (inFlight.get(target.slot) ?? 0) + 1)
    underWay.push({ atMs: time.nowMs + ms, target, ms, fails: found === 'fails' })
  }
  return counts
}

describe('what a target takes', () => {
  test('rises at once to a slower answer, falls by and by, and fades while nothing is there', () => {
    const { service, targets, time, latencies } = open(1)
    const [{ slot }] = targets
    expect(latencies.of(slot, true)).toBe(0)
    latencies.answered(service, targets[0], 200, 10)
    latencies.answered(service, targets[0], 200, 80)
    expect(latencies.of(slot, false)).toBe(80)
    time.nowMs += DECAY_MS
    latencies.answered(service, targets[0], 200, 10)
    expect(latencies.of(slot, false)).toBeCloseTo(10 + 70 / Math.E, 6)
    time.nowMs += 3 * DECAY_MS
    expect(latencies.of(slot, true)).toBeCloseTo((10 + 70 / Math.E) / Math.E ** 3, 6)
    expect(latencies.of(slot, false)).toBeCloseTo(10 + 70 / Math.E, 6)
  })

  test('counts a failure for a second, for twice what it was, or for what it took', () => {
    const { service, targets, latencies } = open(2)
    latencies.answered(service, targets[0], 502, 1)
    expect(latencies.of(targets[0].slot, false)).toBe(0)
    // Whoever says at once that it has too much does not get more.
    latencies.answered(service, targets[1], 429, 1)
    expect(latencies.of(targets[1].slot, false)).toBe(1_000)
    latencies.failed(service, targets[0], 1)
    expect(latencies.of(targets[0].slot, false)).toBe(1_000)
    latencies.failed(service, targets[0], 1)
    expect(latencies.of(targets[0].slot, false)).toBe(2_000)
    for (let n = 0; n < 20; n++) latencies.failed(service, targets[0], 1)
    expect(latencies.of(targets[0].slot, false)).toBe(60_000)
    latencies.failed(service, targets[1], 90_000)
    expect(latencies.of(targets[1].slot, false)).toBe(90_000)
  })

  test('is kept only where it is asked for', () => {
    const { targets, latencies } = open(1)
    latencies.answered({ balance: 'least-request' }, targets[0], 200, 10)
    latencies.failed({ balance: 'least-request' }, targets[0], 10)
    expect(latencies.of(targets[0].slot, false)).toBe(0)
  })
})

describe('least-latency', () => {
  test('of a slow target and a fast one the fast one gets nearly all, and the slow one is asked again now and then', () => {
    const stage = open(2)
    const slow = stage.targets[0]
    const [slows, fasts] = run(stage, 120_000, 20, (target) => (target === slow ? 200 : 5))
    expect(slows / (slows + fasts)).toBeLessThan(0.02)
    expect(slows).toBeGreaterThan(2)
  })

  test('a target that is fast again has its part of a busy pool within a minute', () => {
    const stage = open(2)
    const slow = stage.targets[0]
    run(stage, 10_000, 10, (target) => (target === slow ? 200 : 5))
    run(stage, 60_000, 2, () => 5)
    const [a, b] = run(stage, 10_000, 2, () => 5)
    expect(a / (a + b)).toBeGreaterThan(0.3)
  })

  test('a target that fails at once does not draw the traffic to it', () => {
    const stage = open(2)
    const broken = stage.targets[0]
    const [fails, good] = run(stage, 60_000, 10, (target) => (target === broken ? 'fails' : 50))
    expect(fails / (fails + good)).toBeLessThan(0.01)
  })

  test('a new target gets one request, and no other before it has answered that', () => {
    const stage = open(3)
    const { service, targets, latencies, inFlight, choose } = stage
    for (const target of targets.slice(1)) latencies.answered(service, target, 200, 20)
    while (choose() !== targets[0]);
    inFlight.set(targets[0].slot, 1)
    for (let n = 0; n < 200; n++) expect(choose()).not.toBe(targets[0])
  })

  test('targets that are alike share evenly', () => {
    const counts = run(open(4), 20_000, 2, () => 10)
    const sum = counts.reduce((total, count) => total + count, 0)
    for (const count of counts) expect(Math.abs(count / sum - 0.25)).toBeLessThan(0.05)
  })
})
