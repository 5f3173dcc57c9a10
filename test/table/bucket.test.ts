import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  BUCKETS,
  bucketOf,
  hashString,
  mix32,
  pickApart,
  pickStepOf,
  pickWeight,
  saltOf,
} from '../../src/table/bucket.ts'
import { anyCodePoint } from '../helpers/code-point.ts'

describe('hash', () => {
  test('is MurmurHash3 x86 32 over UTF-16, as published vectors show', () => {
    expect(hashString('', 0)).toBe(0)
    expect(hashString('', 1)).toBe(0x514e28b7)
    expect(hashString('\u6161', 0x9747b28c)).toBe(0x5d211726) // the bytes of "aa"
    expect(hashString('\u6161\u6161', 0x9747b28c)).toBe(0x5a97808a) // "aaaa"
    expect(hashString('\u6261', 0x9747b28c)).toBe(0x74875592) // "ab"
    expect(hashString('\u6261\u6463', 0x9747b28c)).toBe(0xf0478627) // "abcd"
  })

  test('gives every 32-bit number another one', () => {
    expect(new Set(Array.from({ length: 100_000 }, (_, n) => mix32(n))).size).toBe(100_000)
  })

  test('salts differ by service and by release', () => {
    const salts = [saltOf('shop', 'r1'), saltOf('shop', 'r2'), saltOf('api', 'r1'), saltOf('sho', 'pr1')]
    expect(new Set(salts).size).toBe(4)
  })
})

describe('buckets', () => {
  test('are whole numbers from 0 to 9999 for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: anyCodePoint }), fc.integer(), (visitor, salt) => {
        const bucket = bucketOf(visitor, salt)
        expect(Number.isInteger(bucket) && bucket >= 0 && bucket < BUCKETS).toBe(true)
        expect(bucketOf(visitor, salt)).toBe(bucket)
      }),
    )
  })

  test.each(['user-', 'u', '', 'customer:2026:', 'id=000'])(
    'spread sequential ids %s1 … 10000 within a point at every share',
    (prefix) => {
      for (const release of ['r1', 'r2', 'r17']) {
        const salt = saltOf('shop', release)
        const buckets = Array.from({ length: 10_000 }, (_, n) => bucketOf(`${prefix}${n + 1}`, salt))
        for (const percent of [1, 5, 10, 33, 50]) {
          const below = buckets.filter((bucket) => bucket < percent * 100).length / 100
          expect(Math.abs(below - percent)).toBeLessThan(1)
        }
      }
    },
  )

  test('spread the first hundred sequential ids too', () => {
    const salt = saltOf('shop', 'r1')
    for (const prefix of ['user-', 'u']) {
      const below = Array.from({ length: 100 }, (_, n) => bucketOf(`${prefix}${n + 1}`, salt)).filter((b) => b < 500)
      expect(below.length).toBeLessThan(13)
    }
  })

  test('do not put the same visitors first in the next release', () => {
    const first = (release: string) => {
      const salt = saltOf('shop', release)
      return new Set(Array.from({ length: 10_000 }, (_, n) => n).filter((n) => bucketOf(`user-${n}`, salt) < 500))
    }
    const again = [...first('r1')].filter((n) => first('r2').has(n))
    expect(again.length).toBeLessThan(60) // 25 expected by chance, 500 if the salt did nothing
  })
})

const weightsOf = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 6 })

function countPerPool(weights: readonly number[], from: number, requests: number): number[] {
  const sum = weights.reduce((a, b) => a + b, 0)
  const step = pickStepOf(weights)
  const counts = weights.map(() => 0)
  for (let n = from; n < from + requests; n++) {
    const mark = pickWeight(n, sum, step)
    counts[weights.findIndex((_, index) => mark < weights.slice(0, index + 1).reduce((a, b) => a + b, 0))]++
  }
  return counts
}

describe('picker', () => {
  test('is exact after 20 requests at 95 to 5, wherever one starts', () => {
    for (let from = 0; from < 40; from++) expect(countPerPool([95, 5], from, 20)).toEqual([19, 1])
  })

  test('gives every pool exactly its share in every run of sum / divisor requests', () => {
    fc.assert(
      fc.property(weightsOf, fc.integer({ min: 1, max: 50 }), fc.nat(4_000_000_000), (small, unit, from) => {
        const period = small.reduce((a, b) => a + b, 0)
        fc.pre(period > 0)
        const weights = small.map((weight) => weight * unit)
        const divisor = small.reduce((a, b) => (b === 0 ? a : gcd(a, b)), 0)
        expect(countPerPool(weights, from, period / divisor)).toEqual(small.map((weight) => weight / divisor))
      }),
    )
  })

  test('stays within three requests of the share at every moment', () => {
    for (const weights of [
      [95, 5],
      [99, 1],
      [67, 33],
      [1, 1, 1],
      [50, 30, 20],
      [997, 2, 1],
      [9_999, 1],
    ]) {
      const sum = weights.reduce((a, b) => a + b, 0)
      const step = pickStepOf(weights)
      let first = 0
      let furthest = 0
      for (let n = 0; n < 20_000; n++) {
        if (pickWeight(n, sum, step) < weights[0]) first++
        furthest = Math.max(furthest, Math.abs(first - ((n + 1) * weights[0]) / sum))
      }
      expect(furthest).toBeLessThan(3)
    }
  })

  test('is within 0.1 points over 100,000 requests for any two weights', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), fc.integer({ min: 1, max: 1_000_000 }), (a, b) => {
        const [first] = countPerPool([a, b], 0, 100_000)
        expect(Math.abs(first / 100_000 - a / (a + b))).toBeLessThan(0.001)
      }),
      { numRuns: 20 },
    )
  })

  test('is exact in integers for sums far above 2^32, and after four billion requests', () => {
    const weights = Array.from({ length: 16_000 }, (_, n) => 1_000_000 - (n % 7))
    const sum = weights.reduce((a, b) => a + b, 0)
    const step = pickStepOf(weights)
    for (const n of [0, 1, 2, 94_906_266, 4_294_967_295, sum - 1, sum, sum + 1]) {
      const exact = Number((BigInt(n % sum) * BigInt(step)) % BigInt(sum))
      expect(pickWeight(n, sum, step)).toBe(exact)
    }
  })

  test('has no step when one pool has all the weight, or none has', () => {
    expect([pickStepOf([100, 0]), pickStepOf([7]), pickStepOf([0, 0]), pickStepOf([])]).toEqual([0, 0, 0, 0])
  })

  test('takes a counter that wrapped below zero', () => {
    const marks = Array.from({ length: 20 }, (_, n) => pickWeight(n - 25, 100, pickStepOf([95, 5])))
    expect(marks.filter((mark) => mark < 95).length).toBe(19)
  })
})

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b)
}

test('while versions are compared each period is exact and begins anywhere, so no turn of a client is always that of one pool', () => {
  for (const weights of [
    [9, 1],
    [19, 1],
    [57, 43],
  ]) {
    const sum = weights[0] + weights[1]
    const step = pickStepOf(weights)
    const salt = saltOf('shop', 'r1')
    const byTurn = new Array<number>(sum).fill(0)
    const periods = 4_000
    // What would fail is noted and asked once: to expect something half a million times takes longer than all that is tested.
    let furthest = 0
    const seconds = new Set<number>()
    for (let period = 0; period < periods; period++) {
      let second = 0
      for (let turn = 0; turn < sum; turn++) {
        const mark = pickApart(period * sum + turn, sum, step, salt)
        furthest = Math.max(furthest, mark < 0 ? Infinity : mark)
        if (mark < weights[0]) continue
        second++
        byTurn[turn]++
      }
      seconds.add(second)
    }
    expect(furthest).toBeLessThan(sum)
    expect([...seconds]).toEqual([weights[1]])
    const share = weights[1] / sum
    // Five standard deviations.
    const most = 5 * Math.sqrt(periods * share * (1 - share))
    for (const count of byTurn) expect(Math.abs(count - periods * share)).toBeLessThan(most)
  }
  for (const n of [0, 2 ** 32 - 1]) {
    const mark = pickApart(n, 2 ** 34, 10_000_019, 7)
    expect(Number.isInteger(mark) && mark >= 0 && mark < 2 ** 34).toBe(true)
  }
})
