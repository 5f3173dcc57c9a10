import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import {
  type Ejection,
  NOTHING_SWEPT,
  OUTLIER,
  type OutlierTarget,
  type PoolMemory,
  sweepPool,
} from '../../src/health/outlier.ts'

/** How attempts end, in their order: good, failed, or failed without a connection. */
type Ends = string
const GOOD = '+'
const REFUSED = 'x'

/** A pool whose workers count attempts as data planes do; `sweep` looks at what they have counted. */
function pool(size: number, workers = 1) {
  let memory: PoolMemory = NOTHING_SWEPT
  let nowMs = 1_000_000
  const targets: OutlierTarget[] = Array.from({ length: size }, (_, index) => ({
    url: `http://t${index}:1`,
    address: '10.0.0.1',
    slot: index,
    counts: {
      good: 0,
      failed: 0,
      lanes: Array.from({ length: workers }, () => ({ failed: 0, failuresInRow: 0, connectErrorsInRow: 0 })),
    },
    eligible: true,
    ejectedUntilMs: 0,
  }))

  /** Attempts at a target, seen by one worker. */
  function count(index: number, ends: Ends, worker = 0): void {
    const { counts } = targets[index]
    let { good, failed } = counts
    let lane = counts.lanes[worker]
    for (const end of ends) {
      if (end === GOOD) {
        good++
        lane = { ...lane, failuresInRow: 0, connectErrorsInRow: 0 }
        continue
      }
      failed++
      const connectErrorsInRow = end === REFUSED ? lane.connectErrorsInRow + 1 : 0
      lane = { failed: lane.failed + 1, failuresInRow: lane.failuresInRow + 1, connectErrorsInRow }
    }
    set(index, { counts: { good, failed, lanes: counts.lanes.with(worker, lane) } })
  }

  function set(index: number, change: Partial<OutlierTarget>): void {
    targets[index] = { ...targets[index], ...change }
  }

  function sweep(afterMs = 500): readonly Ejection[] {
    nowMs += afterMs
    const swept = sweepPool(memory, targets, nowMs)
    memory = swept.memory
    for (const { url, untilMs } of swept.ejections) {
      set(
        targets.findIndex((target) => target.url === url),
        { ejectedUntilMs: untilMs },
      )
    }
    return swept.ejections
  }

  const urlsOut = () => targets.filter((target) => target.ejectedUntilMs > nowMs).map(({ slot }) => slot)
  sweep()
  return { count, set, sweep, targets, nowMs: () => nowMs, remembered: () => memory.targets, out: urlsOut }
}

/** Numbers from 0 to 1 that are the same at every run. */
function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

describe('failures in a row', () => {
  it('eject a target for 10 s after five, whatever it had answered before them in the same sweep', () => {
    const fleet = pool(2)
    fleet.count(0, `${GOOD.repeat(40)}----`)
    expect(fleet.sweep()).toEqual([])
    fleet.count(0, '-')
    const [ejection] = fleet.sweep()
    expect(ejection.url).toBe('http://t0:1')
    expect(ejection.untilMs).toBe(fleet.nowMs() + 10_000)
    expect(ejection.detail).toBe('5 failures in a row, for 10 s')
  })

  it('eject after three already when no connection could be opened', () => {
    const fleet = pool(2)
    fleet.count(0, '+xx')
    expect(fleet.sweep()).toEqual([])
    fleet.count(0, 'x')
    expect(fleet.sweep()[0].detail).toBe('3 connect errors in a row, for 10 s')
  })

  it('are no connect errors in a row when the target has taken a connection between them', () => {
    const fleet = pool(2)
    fleet.count(0, 'xx-x')
    expect(fleet.sweep()).toEqual([])
    fleet.count(0, '-')
    expect(fleet.sweep()[0].detail).toMatch(/^5 failures in a row/)
  })

  it('end with a good attempt', () => {
    const fleet = pool(2)
    fleet.count(0, '----')
    fleet.sweep()
    fleet.count(0, '+----')
    expect(fleet.sweep()).toEqual([])
    fleet.count(0, '--+')
    expect(fleet.sweep()).toEqual([])
  })

  it('may come as slowly as they like', () => {
    const fleet = pool(2)
    const sweeps = Array.from({ length: 5 }, () => {
      fleet.count(0, '-')
      return fleet.sweep(90_000).length
    })
    expect(sweeps).toEqual([0, 0, 0, 0, 1])
  })

  it('are enough as one worker has seen them, though another goes on to get good answers', () => {
    const fleet = pool(2, 4)
    fleet.count(0, '++++', 0)
    fleet.count(0, '-----', 1)
    fleet.count(0, '++++', 2)
    expect(fleet.sweep()).toHaveLength(1)
  })

  it('are added up over the workers while none of them gets a good answer', () => {
    const fleet = pool(2, 8)
    fleet.count(0, '+', 3)
    fleet.sweep()
    for (const worker of [0, 1, 2, 3]) fleet.count(0, '-', worker)
    expect(fleet.sweep()).toEqual([])
    fleet.count(0, '-', 4)
    expect(fleet.sweep()).toHaveLength(1)

    const other = pool(2, 8)
    for (const worker of [0, 1, 2]) other.count(0, 'x', worker)
    expect(other.sweep()[0].detail).toMatch(/^3 connect errors/)
  })

  it('are not added up over the workers when one of them has had a good answer meanwhile', () => {
    const fleet = pool(2, 8)
    for (const worker of [0, 1, 2, 3]) fleet.count(0, '-', worker)
    fleet.sweep()
    fleet.count(0, '+', 7)
    for (const worker of [0, 1, 2, 3]) fleet.count(0, '-', worker)
    expect(fleet.sweep()).toEqual([])
  })

  it('eject a target that fails nine of ten within a few of its answers, beside a good one', () => {
    const roll = dice(1)
    const fleet = pool(2)
    let attempts = 0
    while (fleet.out().length === 0 && attempts < 1_000) {
      // A hundred a second at each, looked at each half second only.
      for (let n = 0; n < 50; n++) fleet.count(0, roll() < 0.9 ? '-' : '+')
      fleet.count(1, GOOD.repeat(50))
      attempts += 50
      fleet.sweep()
    }
    expect(attempts).toBeLessThanOrEqual(100)
  })
})

describe('the share of failures', () => {
  // Evenly spread, so that there is no row.
  it.each([0.2, 0.3, 0.5, 0.75])('ejects a target that fails %f of its attempts within one window', (share) => {
    const fleet = pool(2)
    fleet.count(0, GOOD.repeat(1_000))
    fleet.count(1, GOOD.repeat(1_000))
    fleet.sweep(OUTLIER.windowMs)
    let due = 0
    let afterMs = 0
    while (fleet.out().length === 0 && afterMs < 60_000) {
      for (let n = 0; n < 50; n++) {
        due += share
        fleet.count(0, due >= 1 ? '-' : '+')
        due -= due >= 1 ? 1 : 0
      }
      fleet.count(1, GOOD.repeat(50))
      fleet.sweep()
      afterMs += 500
    }
    expect(afterMs).toBeLessThanOrEqual(OUTLIER.windowMs)
  })

  it('tells what it was, and what it was elsewhere', () => {
    const fleet = pool(2)
    fleet.count(0, '+-'.repeat(50))
    fleet.count(1, `${GOOD.repeat(99)}-`)
    expect(fleet.sweep()[0].detail).toBe('50 % of 100 attempts failed, 1 % at the others, for 10 s')
  })

  it('counts as slowly as the attempts come', () => {
    const fleet = pool(2)
    let seconds = 0
    while (fleet.out().length === 0 && seconds < 200) {
      fleet.count(0, seconds % 2 === 0 ? '-' : '+')
      fleet.count(1, '+')
      fleet.sweep(1_000)
      seconds++
    }
    expect(seconds).toBeLessThan(60)
  })

  it('says nothing without the others, after a few attempts, or when it is small', () => {
    const alone = pool(2)
    alone.count(0, '-+'.repeat(500))
    expect(alone.sweep()).toEqual([])
    const few = pool(2)
    few.count(0, '-+'.repeat(9))
    few.count(1, GOOD.repeat(1_000))
    expect(few.sweep()).toEqual([])
    const small = pool(2)
    small.count(0, '-+++++++++'.repeat(500))
    small.count(1, GOOD.repeat(5_000))
    expect(small.sweep()).toEqual([])
  })
})

describe('what all targets of a pool have', () => {
  /** So many seconds of traffic at each target, in random order, with looks whenever a worker would ring; who was ejected meanwhile? */
  function run(size: number, seconds: number, share: (atS: number) => number, perSecond = 100): number {
    const roll = dice(size * 7 + perSecond)
    const fleet = pool(size, 2)
    let ejections = 0
    const perSweep = Math.max(1, Math.round(perSecond * size * 0.5))
    for (let half = 0; half < seconds * 2; half++) {
      for (let n = 0; n < perSweep; n++) {
        const index = Math.floor(roll() * size)
        const worker = roll() < 0.5 ? 0 : 1
        fleet.count(index, roll() < share(half / 2) ? '-' : '+', worker)
        const { failuresInRow } = fleet.targets[index].counts.lanes[worker]
        if (failuresInRow > 0 && failuresInRow % 5 === 0) ejections += fleet.sweep(0).length
      }
      ejections += fleet.sweep((500 * perSweep) / (perSecond * size * 0.5)).length
    }
    return ejections
  }

  it('ejects nobody when they begin to fail together, and when they are well again', () => {
    const outage = (atS: number) => (atS >= 20 && atS < 80 ? 1 : 0)
    for (const size of [2, 3, 8]) expect([size, run(size, 100, outage)]).toEqual([size, 0])
  })

  it.each([0.01, 0.05, 0.2, 0.5, 0.9])('ejects nobody while each fails %f for a quarter of an hour', (share) => {
    for (const size of [2, 5]) expect([size, run(size, 900, () => share, 20)]).toEqual([size, 0])
  })

  it('ejects nobody when they begin to fail now and then together', () => {
    for (const share of [0.3, 0.7, 0.95]) expect(run(4, 120, (atS) => (atS < 30 ? 0.001 : share))).toBe(0)
  })

  it('does not keep a target that fails always, though the others fail half of theirs', () => {
    const roll = dice(3)
    const fleet = pool(3)
    let attempts = 0
    while (fleet.out().length === 0 && attempts < 200) {
      fleet.count(0, '-')
      for (const index of [1, 2]) fleet.count(index, roll() < 0.5 ? '-' : '+')
      attempts++
      fleet.sweep(10)
    }
    expect([fleet.out(), attempts < 60]).toEqual([[0], true])
  })
})

describe('an ejection', () => {
  it('is longer each time, up to 300 s, and 10 s again after a quiet time', () => {
    const fleet = pool(2)
    const lengthS = () => {
      fleet.count(0, 'xxx')
      return (fleet.sweep()[0].untilMs - fleet.nowMs()) / 1000
    }
    expect(lengthS()).toBe(10)
    fleet.sweep(10_000)
    expect(lengthS()).toBe(20)
    for (let times = 0; times < 40; times++) {
      fleet.sweep(300_000)
      lengthS()
    }
    fleet.sweep(300_000)
    expect(lengthS()).toBe(300)
    fleet.sweep(300_000 + OUTLIER.quietMs)
    expect(lengthS()).toBe(10)
  })

  it('never concerns the target of a pool of one, nor the last that is eligible', () => {
    const one = pool(1)
    one.count(0, 'x'.repeat(1_000))
    expect(one.sweep()).toEqual([])
    const fleet = pool(4)
    for (const index of [1, 2, 3]) fleet.set(index, { eligible: false })
    fleet.count(0, 'x'.repeat(1_000))
    expect(fleet.sweep()).toEqual([])
  })

  it('ends with a clean slate: neither what failed before nor what failed meanwhile is held against the target', () => {
    const fleet = pool(2, 2)
    fleet.count(0, '-----', 0)
    expect(fleet.sweep()).toHaveLength(1)
    fleet.count(0, '-------', 1)
    fleet.sweep(1_000)
    expect(fleet.sweep(10_000)).toEqual([])
    // The rows of both workers stand as they were.
    fleet.count(0, '--', 0)
    fleet.count(0, '--', 1)
    expect(fleet.sweep()).toEqual([])
    fleet.count(0, '-', 1)
    expect(fleet.sweep()[0].detail).toBe('5 failures in a row, for 20 s')
  })

  it('is not followed by another when the target is well again', () => {
    const fleet = pool(2)
    fleet.count(0, '-'.repeat(30))
    expect(fleet.sweep()).toHaveLength(1)
    fleet.sweep(10_000)
    for (let n = 0; n < 100; n++) {
      fleet.count(0, '+++-++++++')
      fleet.count(1, '+++++')
      expect(fleet.sweep()).toEqual([])
    }
  })

  it('that another process left behind is kept', () => {
    const fleet = pool(2)
    fleet.set(0, { ejectedUntilMs: fleet.nowMs() + 60_000 })
    fleet.count(0, 'x'.repeat(9))
    expect(fleet.sweep()).toEqual([])
  })
})

test('what a target failed while its probes failed too is not held against it when they pass again', () => {
  const fleet = pool(2)
  fleet.count(0, '--')
  fleet.set(0, { eligible: false })
  fleet.count(0, 'xxxxx')
  fleet.sweep()
  fleet.set(0, { eligible: true })
  expect(fleet.sweep()).toEqual([])
  fleet.count(0, 'xx')
  expect(fleet.sweep()).toEqual([])
})

test('a target with other counters, or with counters that went back, begins anew', () => {
  const fleet = pool(2)
  fleet.count(0, '----')
  fleet.sweep()
  fleet.set(0, { slot: 9 })
  fleet.count(0, '----')
  expect(fleet.sweep()).toEqual([])
  const lane = { failed: 1, failuresInRow: 1, connectErrorsInRow: 0 }
  fleet.set(0, { counts: { good: 0, failed: 1, lanes: [lane] } })
  expect(fleet.sweep()).toEqual([])
  fleet.count(0, '----')
  expect(fleet.sweep()).toEqual([])
})

test('a row that a worker has taken along into its end is not counted twice', () => {
  const fleet = pool(2)
  fleet.count(0, '----')
  fleet.sweep()
  const [lane] = fleet.targets[0].counts.lanes
  // Its successor begins with gauges of zero and the counters as they were.
  fleet.set(0, {
    counts: { ...fleet.targets[0].counts, lanes: [{ ...lane, failuresInRow: 0, connectErrorsInRow: 0 }] },
  })
  fleet.count(0, '+----')
  expect(fleet.sweep()).toEqual([])
})

test('at most half of a pool is ejected, one is always left, and no more is remembered than its targets', () => {
  const ends = fc.array(fc.constantFrom('+', '-', 'x', '-----', 'xxx'), { maxLength: 4 }).map((parts) => parts.join(''))
  const sizes = fc.integer({ min: 1, max: 9 })
  fc.assert(
    fc.property(sizes, fc.array(fc.array(ends, { maxLength: 9 }), { maxLength: 20 }), (size, sweeps) => {
      const fleet = pool(size)
      for (const each of sweeps) {
        for (const [index, text] of each.slice(0, size).entries()) fleet.count(index, text)
        fleet.sweep()
        expect(fleet.out().length).toBeLessThanOrEqual(Math.floor(size / 2))
        expect(fleet.remembered().size).toBe(size)
      }
    }),
  )
})
