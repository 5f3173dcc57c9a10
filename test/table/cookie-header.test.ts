import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CookieWalk, cookieValue, countBeginning, findTwo, type TwoCookies } from '../../src/table/cookie-header.ts'
import { bulk } from '../helpers/bulk.ts'

/** The first value of each name, by the walk. */
function walked(header: string): Map<string, string> {
  const values = new Map<string, string>()
  const walk = new CookieWalk()
  for (walk.begin(header); walk.next(); ) {
    const name = header.slice(walk.nameStart, walk.nameEnd)
    if (!values.has(name)) values.set(name, walk.value())
  }
  return values
}

describe('cookie value', () => {
  test.each([
    ['a=1', 'a', '1'],
    ['b=2; a=1', 'a', '1'],
    ['a=1; a=2', 'a', '1'],
    ['b=2;a=1;c=3', 'a', '1'],
    ['xa=1; a=2', 'a', '2'],
    ['ax=1; a=2', 'a', '2'],
    ['A=1; a=2', 'a', '2'],
    ['a="x y"', 'a', 'x y'],
    ['a="', 'a', '"'],
    ['a=""', 'a', ''],
    ['a=', 'a', ''],
    ['a = 1 ', 'a', '1'],
    ['a=\t 1 \t; b=2', 'a', '1'],
    ['a=\u00a01\ufeff', 'a', '\u00a01\ufeff'],
    ['a= \v"1"\f ', 'a', '\v"1"\f'],
    ['\u00a0a=1', 'a', undefined],
    ['\ta=b=c==', 'a', 'b=c=='],
    ['b=a=1', 'a', undefined],
    ['a', 'a', undefined],
    ['a; =1', 'a', undefined],
    ['', 'a', undefined],
    [';;;', 'a', undefined],
    ['__proto__=1', 'constructor', undefined],
  ])('of %j under %s is %j', (header, name, value) => {
    expect(cookieValue(header, name)).toBe(value)
  })

  test('takes linear time', () => {
    for (const piece of [
      'a',
      ' ',
      ';',
      '=',
      'a=',
      'a;',
      '" ',
      'turnou ',
      'turnout',
      'turnout  ',
      '; turnout',
      '=turnout=',
    ]) {
      expect(cookieValue(piece.repeat(300_000), 'turnout')).toBeUndefined()
      expect(walked(piece.repeat(300_000)).get('turnout')).toBeUndefined()
    }
  })

  test('finds what was joined', () => {
    const name = fc.stringMatching(/^[a-z]{1,3}$/)
    const value = fc.stringMatching(/^[A-Za-z0-9~._-]{0,8}$/)
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { minLength: 1 }), (pairs) => {
        const header = pairs.map(([n, v]) => `${n}=${v}`).join('; ')
        for (const [n] of pairs) expect(cookieValue(header, n)).toBe(pairs.find((pair) => pair[0] === n)?.[1])
      }),
    )
  })
})

describe('walk over the pairs', () => {
  test('tells the same as the question for each name, whatever the header', () => {
    const piece = fc.constantFrom('a', 'b', 'ab', '=', ';', ' ', '\t', '"', '; ')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const header = pieces.join('')
        const values = walked(header)
        for (const name of ['a', 'b', 'ab', 'aa', 'bab', '"', 'a"']) {
          expect(cookieValue(header, name), JSON.stringify([header, name])).toBe(values.get(name))
        }
      }),
      { numRuns: bulk(1_500, 5_000) },
    )
  })
})

describe('two cookies, one name of which begins with the other', () => {
  const both = (header: string): TwoCookies => {
    const found: TwoCookies = { short: undefined, long: undefined }
    findTwo(header, 'own', 'own-a-1', found)
    return found
  }

  test('are found as each by itself', () => {
    const piece = fc.constantFrom('own', 'own-a-1', 'own-a', 'x', '=', '=', ';', ';', ' ', '"', '1', '\t')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const header = pieces.join('')
        const [short, long] = ['own', 'own-a-1'].map((name) => cookieValue(header, name))
        expect(both(header)).toEqual({ short, long })
      }),
      { numRuns: bulk(1_500, 5_000) },
    )
    expect(both('own=1; own-a-1=2; own=3; own-a-1=4')).toEqual({ short: '1', long: '2' })
  })

  test('are counted by the beginning of their names', () => {
    expect(countBeginning('own-a-1=1; own-a-2=2; own-b-1=3; xown-a-3=4; b=own-a-4', 'own-a-')).toBe(2)
    expect(countBeginning('', 'own-a-')).toBe(0)
  })

  test('are found in linear time', () => {
    for (const piece of ['own', 'own=', 'own-a-1', '; own=', ' ', 'own ', ';own-a-1  ', '=own=']) {
      both(piece.repeat(300_000))
      countBeginning(piece.repeat(300_000), 'own-a-')
    }
  })
})
