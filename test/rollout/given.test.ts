/** Metrics that are given from outside: what counts of what comes. */
import { lookup } from 'node:dns'
import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Clump } from '../../src/rollout/clump.ts'
import { type Ask, type Sample, Unanswered } from '../../src/rollout/given/ask.ts'
import { Bounded } from '../../src/rollout/given/bounded.ts'
import { Counted } from '../../src/rollout/given/counted.ts'
import { filled } from '../../src/rollout/given/fill.ts'
import { Increments } from '../../src/rollout/given/increments.ts'
import { Poll } from '../../src/rollout/given/poll.ts'
import { type Post, Posted } from '../../src/rollout/given/posted.ts'
import { Prometheus } from '../../src/rollout/given/prometheus.ts'
import { OriginTest } from '../../src/rollout/origin-test.ts'
import { Strata } from '../../src/rollout/strata.ts'
import { http } from '../helpers/http.ts'
import { startRaw } from '../helpers/upstream.ts'

describe('posted counts', () => {
  const plan = { kind: 'posted', name: 'conversion', margin: 0.02, isOptional: false } as const
  const post = (pool: string, good: number, bad: number, more: Partial<Post> = {}): Post => ({
    pool,
    good,
    bad,
    overMs: null,
    key: null,
    ...more,
  })
  function begun(): Posted {
    const posted = new Posted(plan)
    // The very first interval is there for the next to be compared with.
    posted.beginStep(true, 0)
    posted.post(post('green', 10, 0, { overMs: 0 }), 'canary', 500)
    posted.post(post('blue', 90, 0, { overMs: 0 }), 'control', 500)
    expect(posted.take().canary).toBe(0)
    posted.beginStep(true, 1_000)
    return posted
  }

  test('count from the second post of each pool on, since the first may reach back before the step', () => {
    const posted = begun()
    expect(posted.post(post('green', 41, 2), 'canary', 2_000)).toEqual({
      counted: false,
      reason: expect.stringContaining('the first of green in this step'),
    })
    expect(posted.post(post('blue', 90, 3), 'control', 2_100)?.counted).toBe(false)
    expect(posted.post(post('green', 10, 1), 'canary', 4_000)).toEqual({ counted: true, reason: null })
    expect(posted.post(post('blue', 90, 4), 'control', 4_100)?.counted).toBe(true)
    expect(posted.take()).toEqual({ canary: 11, canaryBad: 1, control: 94, controlBad: 4 })
    expect(posted.take()).toEqual({ canary: 0, canaryBad: 0, control: 0, controlBad: 0 })
    posted.beginStep(true, 5_000)
    expect(posted.post(post('green', 10, 1), 'canary', 6_000)?.counted).toBe(false)
  })

  test('with the time over which they were counted, count when all of it lies within the step', () => {
    const posted = begun()
    expect(posted.post(post('green', 5, 0, { overMs: 1_000 }), 'canary', 1_999)).toEqual({
      counted: false,
      reason: 'the step began 999 ms ago, and this reaches back 1000 ms',
    })
    expect(posted.post(post('green', 5, 0, { overMs: 1_000 }), 'canary', 2_000)?.counted).toBe(true)
    expect(posted.post(post('blue', 50, 0, { overMs: 900 }), 'control', 2_000)?.counted).toBe(true)
    expect(posted.take()).toMatchObject({ canary: 5, control: 50 })
  })

  test('of one side are judged once those of the other cover much the same time', () => {
    const posted = begun()
    // Each of a minute, the second half a minute after the first: what both cover is most of it after some more.
    const taken: number[] = []
    for (let minute = 0; minute < 8; minute++) {
      posted.post(post('green', 10, 0, { overMs: 60_000 }), 'canary', 61_000 + minute * 60_000)
      posted.post(post('blue', 90, 0, { overMs: 60_000 }), 'control', 91_000 + minute * 60_000)
      taken.push(posted.take().canary)
    }
    expect(taken).toEqual([0, 0, 0, 0, 50, 0, 0, 0])
  })

  test('that wait when a step begins are dropped, and where one side has all the traffic nothing counts', () => {
    const posted = begun()
    const both = { overMs: 1_000 }
    posted.post(post('green', 5, 0, both), 'canary', 2_000)
    posted.post(post('blue', 5, 0, both), 'control', 2_000)
    posted.beginStep(false, 3_000)
    expect(posted.take().canary).toBe(0)
    for (let n = 0; n < 2; n++) {
      expect(posted.post(post('green', 5, 0), 'canary', 4_000)?.reason).toMatch(/nothing is compared/)
    }
  })

  test('are said not to count where the interval that they are of does not', () => {
    const posted = new Posted(plan)
    posted.beginStep(true, 0)
    let atMs = 1_000
    const sent = (bad: number) => {
      atMs += 1_000
      const green = posted.post(post('green', 100 - bad, bad, { overMs: 1_000 }), 'canary', atMs)
      const blue = posted.post(post('blue', 900 - 9 * bad, 9 * bad, { overMs: 1_000 }), 'control', atMs)
      return [green?.counted, blue?.counted, blue?.reason, posted.take().canary]
    }
    const first = expect.stringContaining('the first interval since the start')
    const moved = expect.stringContaining('more or less often than just before')
    expect(sent(2)).toEqual([false, false, first, 0])
    expect(sent(2)).toEqual([true, true, null, 100])
    // What comes first cannot know that the live pool's share is about to move.
    expect(sent(50)).toEqual([true, false, moved, 0])
    expect([sent(50), sent(50), sent(50)]).toEqual(Array(3).fill([false, false, moved, 0]))
    // This one may count: it would not if the share had moved again.
    expect(sent(50)).toEqual([true, true, null, 100])
  })

  test('that are sent again under their key count once, and a key that stood for another post is told', () => {
    const posted = begun()
    posted.post(post('green', 1, 0), 'canary', 1_000)
    const keyed = post('green', 5, 1, { key: 'a' })
    expect(posted.post(keyed, 'canary', 2_000)).toEqual({ counted: true, reason: null })
    expect(posted.post(keyed, 'canary', 3_000)).toEqual({ counted: true, reason: null })
    expect(posted.post({ ...keyed, bad: 2 }, 'canary', 3_000)).toBe(null)
    posted.post(post('blue', 50, 0, { overMs: 1_000 }), 'control', 2_000)
    expect(posted.take()).toMatchObject({ canary: 6, canaryBad: 1 })
    // Only the last keys are remembered.
    for (let n = 0; n < 1_000; n++) posted.post(post('green', 0, 0, { key: `k${n}` }), 'canary', 4_000)
    expect(posted.post({ ...keyed, bad: 2 }, 'canary', 5_000)).toEqual({ counted: true, reason: null })
  })
})

const sample = (labels: string, value: number, target = 'a'): Sample => ({ labels, target, value })

describe('what counters have grown by', () => {
  const seen = () => true
  const unseen = () => false

  test('is taken counter by counter, from the second look of a step on', () => {
    const increments = new Increments()
    const take = (step: number, ...samples: Sample[]) => increments.take(samples, step, unseen)
    expect(take(1, sample('x', 100), sample('y', 5))).toEqual({ count: 0, fell: false })
    expect(take(1, sample('x', 103), sample('y', 6.9))).toEqual({ count: 4, fell: false })
    expect(take(1, sample('x', 103), sample('y', 7.1))).toEqual({ count: 1, fell: false })
    // Between two steps nothing is.
    expect(take(2, sample('x', 110), sample('y', 9))).toEqual({ count: 0, fell: false })
    expect(take(2, sample('x', 111), sample('y', 9))).toEqual({ count: 1, fell: false })
  })

  test('is nothing where one began anew, and where a sum has lost a member and gets it back with all its past', () => {
    const increments = new Increments()
    const take = (value: number) => increments.take([sample('x', value)], 1, unseen)
    expect([take(2_000), take(2_010)].map(({ count }) => count)).toEqual([0, 10])
    expect(take(1_010)).toEqual({ count: 0, fell: true })
    expect(take(1_020)).toEqual({ count: 10, fell: false })
    expect(take(2_040)).toEqual({ count: 0, fell: true })
    expect(take(2_050)).toEqual({ count: 10, fell: false })
  })

  test('is taken from 0 for one that is new of a target that was looked at before, and of no other', () => {
    const increments = new Increments()
    expect(increments.take([sample('500', 7)], 1, unseen).count).toBe(0)
    expect(increments.take([sample('500', 7), sample('502', 3)], 1, seen).count).toBe(3)
    // One that was away has grown since it was last seen.
    expect(increments.take([sample('502', 3)], 1, seen).count).toBe(0)
    expect(increments.take([sample('500', 9), sample('502', 3)], 1, seen).count).toBe(2)
  })

  test('is nothing where a counter is infinite, and counters without end are not remembered', () => {
    const increments = new Increments()
    expect(increments.take([sample('x', Infinity)], 1, seen)).toEqual({ count: 0, fell: false })
    for (let n = 0; n < 30; n++) {
      const many = Array.from({ length: 1_000 }, (_, at) => sample(`${n} ${at}`, 1))
      increments.take(many, 1, unseen)
    }
    expect(increments.take([sample('0 0', 5)], 1, unseen).count).toBe(0)
  })

  test('is taken on of one that stays, however many others come and go', () => {
    const increments = new Increments()
    const take = (n: number) => {
      const others = Array.from({ length: 999 }, (_, at) => sample(`${n} ${at}`, 1))
      return increments.take([sample('stays', 5_000 + n), ...others], 1, seen)
    }
    take(0)
    const counts = Array.from({ length: 30 }, (_, n) => take(n + 1).count)
    expect(counts).toEqual(counts.map(() => 1_000))
  })
})

describe('counts that Prometheus has', () => {
  const plan = {
    kind: 'counted',
    name: 'orders',
    margin: 0.02,
    isOptional: false,
    prometheus: 'http://prom',
    everyMs: 1_000,
    bad: 'bad{pool="{pool}"}',
    all: 'all{pool="{pool}",service="{service}"}',
  } as const
  /** Answers by query; every query but that of the time is asked for at the same moment. */
  function stand() {
    const values: Record<string, readonly Sample[]> = {}
    const asked: (readonly [string, number | null])[] = []
    const ask: Ask = async (query, atS) => {
      asked.push([query, atS])
      if (query === 'time()') return [sample('', 1_234.5)]
      return values[query] ?? []
    }
    const counted = new Counted(plan, 'shop', [
      ['green', 'canary'],
      ['blue', 'control'],
    ])
    const set = (pool: string, all: number | null, bad: number | null) => {
      values[`all{pool="${pool}",service="shop"}`] = all === null ? [] : [sample('all', all)]
      values[`bad{pool="${pool}"}`] = bad === null ? [] : [sample('bad', bad)]
    }
    const look = () => counted.look(ask)
    /** The very first interval is there for the next to be compared with. */
    const settle = async () => {
      for (const all of [0, 90]) {
        set('green', all, null)
        set('blue', all, null)
        await look()
      }
    }
    return { counted, ask, asked, set, look, settle }
  }
  const none = { canary: 0, canaryBad: 0, control: 0, controlBad: 0 }

  test('count from the second look of a step on, all of one moment of its clock', async () => {
    const { counted, look, set, asked, settle } = stand()
    await settle()
    counted.beginStep(true)
    set('green', 1_000, 100)
    set('blue', 9_000, 900)
    await look()
    expect(counted.take()).toEqual(none)
    expect(asked.slice(-5).map(([, atS]) => atS)).toEqual([null, 1_234.5, 1_234.5, 1_234.5, 1_234.5])
    set('green', 1_010, 103)
    set('blue', 9_090, 901)
    await look()
    expect(counted.take()).toEqual({ canary: 10, canaryBad: 3, control: 90, controlBad: 1 })
    counted.beginStep(true)
    set('green', 1_020, 104)
    await look()
    expect(counted.take()).toEqual(none)
  })

  test('that were asked for before a step began do not count in it', async () => {
    const { counted, ask, set, settle } = stand()
    await settle()
    counted.beginStep(true)
    set('green', 1_000, 100)
    set('blue', 9_000, 900)
    await counted.look(ask)
    set('green', 1_010, 103)
    const under = counted.look(ask)
    counted.beginStep(true)
    await under
    expect(counted.take()).toEqual(none)
    set('green', 1_020, 103)
    await counted.look(ask)
    expect(counted.take()).toEqual(none)
  })

  test('of bad ones that are not there yet are 0, and what came first is taken', async () => {
    const { counted, look, set, settle } = stand()
    await settle()
    counted.beginStep(true)
    set('green', 100, null)
    set('blue', 900, null)
    await look()
    set('green', 110, null)
    set('blue', 990, null)
    await look()
    expect(counted.take()).toEqual({ canary: 10, canaryBad: 0, control: 90, controlBad: 0 })
    set('green', 120, 4)
    set('blue', 1_080, null)
    await look()
    expect(counted.take()).toEqual({ canary: 10, canaryBad: 4, control: 90, controlBad: 0 })
  })

  test('that make no sense are not counted for either side, and it is told why', async () => {
    const { counted, look, set, settle } = stand()
    await settle()
    counted.beginStep(true)
    set('green', 100, 1)
    set('blue', null, null)
    await expect(look()).rejects.toThrow('Prometheus has no counters of blue')
    set('blue', 900, 5)
    await look()
    counted.take()
    set('green', 10, 1)
    set('blue', 990, 6)
    await expect(look()).rejects.toThrow('a counter of green has begun anew: this interval is not counted')
    set('green', 20, 15)
    await expect(look()).rejects.toThrow('14 bad ones of 10 in all of green: this interval is not counted')
    expect(counted.take()).toEqual(none)
    set('green', 30, 15)
    set('blue', 1_080, 7)
    await look()
    expect(counted.take()).toEqual({ canary: 10, canaryBad: 0, control: 90, controlBad: 1 })
  })

  test('that could not be asked for come with the next look', async () => {
    const { counted, ask, look, set, settle } = stand()
    await settle()
    counted.beginStep(true)
    set('green', 100, 0)
    set('blue', 900, 0)
    await look()
    set('green', 110, 0)
    const away: Ask = (query, atS) =>
      query.startsWith('bad') ? Promise.reject(new Unanswered('away')) : ask(query, atS)
    await expect(counted.look(away)).rejects.toThrow('away')
    set('green', 120, 2)
    await look()
    expect(counted.take()).toMatchObject({ canary: 20, canaryBad: 2 })
  })
})

describe('targets that are scraped some seconds apart', () => {
  const EVERY_S = 15
  /** Orders of both versions, by the second; whether each fails is chance, at a rate that may change with time. */
  async function judged(seed: number, canaryRate: (s: number) => number, controlRate: (s: number) => number) {
    let state = seed
    const chance = () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return state / 2 ** 32
    }
    const sums = { green: [0, 0], blue: [0, 0] }
    const scraped = { green: [0, 0], blue: [0, 0] }
    const counted = new Counted(
      {
        kind: 'counted',
        name: 'o',
        margin: 0.02,
        isOptional: false,
        prometheus: '',
        everyMs: 0,
        all: 'all {pool}',
        bad: 'bad {pool}',
      },
      'shop',
      [
        ['green', 'canary'],
        ['blue', 'control'],
      ],
    )
    counted.beginStep(true)
    const ask: Ask = async (query) => {
      const [what, pool] = query.split(' ') as ['all' | 'bad', 'green' | 'blue']
      return [sample('', query === 'time()' ? 1 : scraped[pool][what === 'all' ? 0 : 1])]
    }
    const origin = new OriginTest({ alpha: 1e-4, tolerance: 1 })
    const strata = new Strata()
    for (let s = 0; s < 600 && !origin.failed; s++) {
      for (const [pool, orders, rate] of [
        ['green', 2, canaryRate(s)],
        ['blue', 18, controlRate(s)],
      ] as const) {
        for (let n = 0; n < orders; n++) if (chance() < rate) sums[pool][1]++
        sums[pool][0] += orders
      }
      // The new version is scraped at the beginning, and the live one just before Prometheus is asked.
      if (s % EVERY_S === 0) scraped.green = [...sums.green]
      if (s % EVERY_S === EVERY_S - 2) scraped.blue = [...sums.blue]
      if (s % EVERY_S !== EVERY_S - 1) continue
      await counted.look(ask).catch(() => {})
      strata.add(counted.take())
      const stratum = strata.close(0.1)
      if (stratum !== null) origin.take(stratum, new Clump(counted.clump).size)
    }
    return origin.failed
  }
  test('are not taken for a worse version when an outage ends that both share', async () => {
    let failed = 0
    for (let seed = 1; seed <= 300; seed++) {
      const endsAt = 280 + (seed % EVERY_S)
      const outage = (s: number) => (s >= 200 && s < endsAt ? 0.5 : 0.02)
      if (await judged(seed, outage, outage)) failed++
    }
    expect(failed).toBeLessThanOrEqual(1)
  })

  test('are not taken for a worse version while failures of both go up and down', async () => {
    let failed = 0
    for (let seed = 1; seed <= 200; seed++) {
      const flaps = (s: number) => (Math.floor((s + seed) / (seed % 2 === 0 ? 20 : 45)) % 2 === 0 ? 0.3 : 0.02)
      if (await judged(seed, flaps, flaps)) failed++
    }
    expect(failed).toBeLessThanOrEqual(1)
  })

  test('show one that is worse all the same', async () => {
    for (let seed = 1; seed <= 50; seed++) {
      const isWorse = await judged(
        seed,
        () => 0.2,
        () => 0.02,
      )
      expect(isWorse).toBe(true)
    }
  })
})

describe('a value with a bound', () => {
  const plan = {
    kind: 'bounded',
    name: 'p99',
    isOptional: false,
    prometheus: 'http://prom',
    everyMs: 1_000,
    query: 'p99{pool="{pool}"}',
    above: 500,
    below: null,
    row: 2,
  } as const
  const looked = (bounded: Bounded, ...values: number[]) => bounded.look(async () => values.map((n) => sample('', n)))

  test('is broken when it was out of bounds so many times in a row, with traffic', async () => {
    const bounded = new Bounded(plan, 'shop', 'green')
    bounded.beginStep(0)
    const isBroken = () => {
      bounded.judge(false)
      return bounded.isBroken
    }
    await looked(bounded, 900)
    await looked(bounded, 900)
    expect(isBroken()).toBe(false)
    bounded.beginStep(0.1)
    expect(bounded.isWell).toBe(false)
    await looked(bounded, 900)
    await looked(bounded, 500)
    expect([isBroken(), bounded.isWell, bounded.words]).toEqual([false, true, '500, not above 500'])
    await looked(bounded, 501)
    expect([isBroken(), bounded.isWell]).toEqual([false, false])
    await looked(bounded, Infinity)
    expect(isBroken()).toBe(true)
    await looked(bounded, 1)
    expect(bounded.words).toBe('Infinity, above 500, 2 times in a row')
  })

  test('is not, for what came while the live pool was ill', async () => {
    const bounded = new Bounded({ ...plan, row: 1 }, 'shop', 'green')
    bounded.beginStep(0.1)
    await looked(bounded, 900)
    bounded.judge(true)
    bounded.judge(false)
    expect(bounded.isBroken).toBe(false)
  })

  test('that does not come breaks no row and lets nothing pass', async () => {
    const bounded = new Bounded({ ...plan, above: null, below: 10 }, 'shop', 'green')
    bounded.beginStep(0.1)
    await looked(bounded, 20)
    expect(bounded.isWell).toBe(true)
    await looked(bounded, 5)
    await expect(looked(bounded)).rejects.toThrow('the query gives nothing')
    await expect(looked(bounded, 1, 2)).rejects.toThrow('the query gives 2 values, where it must give one')
    await expect(bounded.look(() => Promise.reject(new Unanswered('away')))).rejects.toThrow('away')
    expect(bounded.isWell).toBe(false)
    await looked(bounded, 5)
    bounded.judge(false)
    expect([bounded.isBroken, bounded.words]).toEqual([true, '5, below 10, 2 times in a row'])
  })
})

test('a query is filled in with names only', () => {
  expect(filled('a{s="{service}",p=~"{pool}|{pool}-old",x="{y}"}', 'shop', 'green')).toBe(
    'a{s="shop",p=~"green|green-old",x="{y}"}',
  )
  expect(() => filled('a{p="{pool}"}', 'shop', 'green"} or up{x="')).toThrow(/is not a name/)
})

test('somebody is asked at his time, one look after the other, and that nothing came is news once', async () => {
  let ends: (error?: Error) => void = () => {}
  let looks = 0
  const poll = new Poll(1_000, () => {
    looks++
    return new Promise<void>((resolve, reject) => {
      ends = (error) => (error === undefined ? resolve() : reject(error))
    })
  })
  const first = poll.look(5_000)
  expect(poll.isDue(7_000)).toBe(false)
  ends(new Unanswered('away'))
  expect([await first, poll.lastError, looks]).toEqual([true, 'away', 1])
  const second = poll.look(8_000)
  ends(new Unanswered('still away'))
  expect([await second, poll.lastError]).toEqual([false, 'still away'])
  poll.restart(8_500, false)
  expect([poll.isDue(9_499), poll.isDue(9_500)]).toEqual([false, true])
  const third = poll.look(9_500)
  ends()
  expect([await third, poll.lastError, looks]).toEqual([false, null, 3])
})

describe('what Prometheus answers', () => {
  async function startAnswering(answer: RequestListener): Promise<string> {
    const server = http.createServer(answer)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }
  async function query(url: string, withinMs = 5_000, signal = new AbortController().signal): Promise<Sample[]> {
    const prometheus = new Prometheus(lookup)
    try {
      return await prometheus.query(url, 'up{a="b"}', 12.5, withinMs, signal)
    } finally {
      await prometheus.close()
    }
  }
  const told = (status: number, body: unknown) =>
    startAnswering((_request, response) => {
      response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body))
    })
  const success = (data: object) => told(200, { status: 'success', data })

  test('is asked for by its path and the moment, and read with what is infinite and without what is NaN', async () => {
    let asked = ''
    const url = await startAnswering((request, response) => {
      asked = request.url ?? ''
      const result = [
        { metric: { job: 'j', instance: 'i', code: '500' }, value: [1, '7'] },
        { metric: { code: '502' }, value: [1, '+Inf'] },
        { metric: {}, value: [1, '-Inf'] },
        { metric: { x: 'y' }, value: [1, 'NaN'] },
      ]
      response.end(JSON.stringify({ status: 'success', data: { resultType: 'vector', result } }))
    })
    const samples = await query(`${url}/prefix/`)
    expect(asked).toBe('/prefix/api/v1/query?query=up%7Ba%3D%22b%22%7D&time=12.5')
    expect(samples.map(({ value }) => value)).toEqual([7, Infinity, -Infinity])
    expect(samples[0]).toMatchObject({ target: '["j","i"]', labels: expect.stringContaining('500') })
    expect(await query(await success({ resultType: 'scalar', result: [1, '3'] }))).toMatchObject([{ value: 3 }])
  })

  test('is told in words where it is no answer', async () => {
    const series = Array.from({ length: 1_001 }, (_, n) => ({ metric: { n: String(n) }, value: [1, '1'] }))
    for (const [url, fault] of [
      [await told(400, { status: 'error', error: 'parse error: x' }), /: says parse error: x$/],
      [await told(200, { status: 'error', error: 'e'.repeat(999) }), /: says e{200}…$/],
      [await told(503, 'gone'), /: answered 503$/],
      [await told(302, ''), /: answered 302$/],
      [await told(200, '<html>'), /is not JSON of its API$/],
      [await told(200, '7'), /is not JSON of its API$/],
      [await success({ resultType: 'matrix', result: [] }), /gives a matrix, not values of one moment$/],
      [await success({ resultType: 'vector', result: [{ metric: {}, histogram: [] }] }), /gives what is not a number$/],
      [
        await success({ resultType: 'vector', result: [{ metric: {}, value: [1, ''] }] }),
        /gives "", which is not a number$/,
      ],
      [await success({ resultType: 'scalar', result: [1, 'abc'] }), /gives "abc", which is not a number$/],
      [await success({ resultType: 'vector', result: series }), /gives more than 1000 series$/],
      [(await startRaw((socket) => socket.end('SSH-2.0-x\r\n\r\n'))).url, /: what came is no answer of HTTP\/1\.1$/],
      [await told(200, 'x'.repeat(2_000_000)), /: the answer is longer than 1 MiB$/],
      ['http://127.0.0.1:1', /^Prometheus at http:\/\/127\.0\.0\.1:1: connection refused$/],
    ] as const) {
      const failed = query(url)
      await expect(failed).rejects.toThrow(fault)
      await expect(failed).rejects.toBeInstanceOf(Unanswered)
    }
  })

  test('is waited for only so long, and not when the rollout is over', async () => {
    const url = await startAnswering(() => {})
    await expect(query(url, 50)).rejects.toThrow(/: no answer in time$/)
    const end = new AbortController()
    const asked = query(url, 5_000, end.signal)
    end.abort(new Error('over'))
    await expect(asked).rejects.toThrow('over')
  })
})
