/** What our cookie says and how long it lives. Its signature: test/dataplane/cookie-signer.test.ts. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeOwnCookie, encodeOwnCookie, endOfLifeS, isDue, layerOf } from '../../src/table/cookie-record.ts'
import type { OwnCookie } from '../../src/table/types.ts'
import { bulk } from '../helpers/bulk.ts'
import { makeOwn, NOW_MS, sticky } from './make.ts'

describe('payload of our cookie', () => {
  const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/)
  const ownOf: fc.Arbitrary<OwnCookie> = fc.record({
    visitor: fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/),
    service: name,
    pool: name,
    release: name,
    target: fc.stringMatching(/^[a-z0-9]{0,6}$/),
    pinned: fc.boolean(),
    endS: fc.nat(9_007_199_254_740),
  })

  test('reads back as it was written, in cookie-safe characters', () => {
    fc.assert(
      fc.property(ownOf, (own) => {
        const payload = encodeOwnCookie(own, 'x1')
        expect(payload).toMatch(/^[A-Za-z0-9_.~-]{1,384}$/)
        expect(decodeOwnCookie(payload)).toEqual(own)
      }),
    )
    expect(encodeOwnCookie(makeOwn({ endS: 35 }), 'x1')).toBe('k~v1~shop~blue~r1~~z~x1')
  })

  test('is read in the form of before too, and then does not say how long it lives, nor whose it is', () => {
    expect(decodeOwnCookie('p~v1~shop~blue~r1~abc')).toEqual(makeOwn({ pinned: true, target: 'abc', endS: 0 }))
    expect(layerOf('p~v1~shop~blue~r1~abc')).toBe(null)
    expect(layerOf('p~v1~shop~blue~r1~abc~1~x1')).toBe('x1')
  })

  test('one that reads at all is exactly what would be written', () => {
    const near = fc.string({ unit: fc.constantFrom(...'kp~~~~ab1.-_ ;"'), maxLength: 30 })
    const ending = fc.constantFrom('', '~0~x1', '~zz~0', '~00~x1', '~1~', '~1')
    fc.assert(
      fc.property(near, ending, (start, end) => {
        const payload = start + end
        const own = decodeOwnCookie(payload)
        const layer = layerOf(payload)
        if (own !== null && layer !== null) expect(encodeOwnCookie(own, layer)).toBe(payload)
        else if (own !== null) expect(encodeOwnCookie(own, 'x1')).toBe(`${payload}~0~x1`)
        else expect(layer).toBe(null)
      }),
      { numRuns: bulk(600, 2_000) },
    )
  })

  test.each([
    '',
    'k',
    'k~v~s~b~r1',
    'k~v~s~b~r1~~',
    'x~v~s~b~r1~',
    'k~~s~b~r1~',
    'k~v~s~~r1~',
    'k~v~s~.b~r1~',
    'k~v~s~b~r1~t\n',
    ' k~v~s~b~r1~',
    'k~v w~s~b~r1~',
    `k~${'v'.repeat(65)}~s~b~r1~`,
    `k~v~${'s'.repeat(64)}~b~r1~`,
    'k~v~s~b~r1~__proto__',
    'k~v~s~b~r1~~1',
    'k~v~s~b~r1~~1~',
    'k~v~s~b~r1~~01~x',
    'k~v~s~b~r1~~~x',
    'k~v~s~b~r1~~1~x~',
    'k~v~s~b~r1~~1~X',
    'k~v~s~b~r1~~12345678901~x',
    'k~'.repeat(100_000),
  ])('%j is refused', (payload) => {
    expect(decodeOwnCookie(payload)).toBeNull()
  })

  test('writing what could not be read back is a bug', () => {
    expect(() => encodeOwnCookie(makeOwn({ visitor: 'a~b' }), 'x1')).toThrow('not a payload')
  })
})

describe('the life of our cookie', () => {
  const ages = fc.integer({ min: 1, max: 3_000_000 })

  test('is over no later than the client forgets it, and renewed by half of it, but not at once', () => {
    fc.assert(
      fc.property(ages, fc.integer({ min: 0, max: 10_000_000 }), (maxAgeS, shiftMs) => {
        const plan = { ...sticky, maxAgeS }
        const setMs = NOW_MS + shiftMs
        const own = makeOwn({ endS: endOfLifeS(plan, setMs) })
        expect(own.endS * 1_000).toBeLessThanOrEqual(setMs + maxAgeS * 1_000)
        expect(isDue(own, plan, setMs + maxAgeS * 500 + 1)).toBe(true)
        if (maxAgeS >= 16) expect(isDue(own, plan, setMs + maxAgeS * 400)).toBe(false)
        if (maxAgeS > 2) expect(isDue(own, plan, setMs)).toBe(false)
      }),
    )
  })

  test('is another when the config says so, and when the clock was wrong', () => {
    const week = makeOwn({ endS: endOfLifeS(sticky, NOW_MS) })
    expect(isDue(week, { ...sticky, maxAgeS: 86_400 }, NOW_MS)).toBe(true)
    expect(isDue(week, { ...sticky, maxAgeS: 86_400 * 30 }, NOW_MS)).toBe(true)
    expect(isDue(week, sticky, NOW_MS - 86_400_000)).toBe(true)
    expect(isDue(week, sticky, NOW_MS - 5_000)).toBe(false)
    expect(isDue(makeOwn({ endS: 0 }), sticky, NOW_MS)).toBe(true)
  })
})
