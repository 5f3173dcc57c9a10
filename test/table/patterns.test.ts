/** Patterns say what RegExp with the flags u and s says of the same text, in linear time, or are refused when they are written. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { octetsOfText } from '../../src/table/octets.ts'
import { Automaton, badPattern } from '../../src/table/patterns/automaton.ts'
import { bulk } from '../helpers/bulk.ts'

const holds = (pattern: string, text: string) => new Automaton(pattern).holds(octetsOfText(text))

const atom = fc.constantFrom(
  ...[
    'a',
    'b',
    'c',
    'ö',
    '😀',
    '€',
    '.',
    '[ab]',
    '[^a]',
    '[ö-€]',
    '[^ö]',
    '\\d',
    '\\w',
    '\\.',
    '[a-c\\d-]',
    '\\W',
    '[^\\w]',
    '\\x61',
    ' ',
  ],
)
const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
  pattern: fc.oneof(
    { maxDepth: 4 },
    atom,
    fc.constantFrom('^', '$', ''),
    fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => a + b),
    fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => `(${a}|${b})`),
    fc
      .tuple(tie('pattern'), fc.constantFrom('*', '+', '?', '{2}', '{1,}', '{0,3}', '*?', '{0}'))
      .map(([a, count]) => `(?:${a})${count}`),
  ),
}))
const text = fc
  .array(fc.constantFrom('a', 'b', 'c', 'ö', '😀', '€', '1', '.', '-', ' ', 'A'), { maxLength: 10 })
  .map((characters) => characters.join(''))

// RegExp goes back and forth in some of the patterns, for long when the machine is busy.
test('match what RegExp matches', { timeout: 120_000 }, () => {
  let matched = 0
  fc.assert(
    fc.property(pattern, fc.boolean(), fc.array(text, { minLength: 1, maxLength: 10 }), (source, anyCase, texts) => {
      const automaton = new Automaton((anyCase ? '(?i)' : '') + source)
      // V8 does not look for a match at the first half of a character: /[^a]$/u is not found in 😀 without this.
      const oracle = new RegExp(`^.*?(?:${source})`, anyCase ? 'sui' : 'su')
      for (const each of texts) {
        const wanted = oracle.test(each)
        if (wanted) matched++
        expect([source, each, automaton.holds(octetsOfText(each))]).toEqual([source, each, wanted])
      }
    }),
    { numRuns: bulk(1_500, 20_000) },
  )
  expect(matched).toBeGreaterThan(1_000)
})

test.each([
  ['^v2\\.', 'v2.1', true],
  ['^v2\\.', 'xv2.1', false],
  ['', '', true],
  ['^$', '', true],
  ['^$', 'a', false],
  ['$', 'abc', true],
  ['(?i)iphone|ipad', 'Mozilla/5.0 (IPAD; CPU)', true],
  ['^.{3}$', 'äöü', true],
  ['^.{6}$', 'äöü', false],
  ['^[ä-ü]+$', 'äöü', true],
  ['^(?:a|b)$|c$', 'xc', true],
  ['a.c', 'a\nc', true],
])('%j on %j: %j', (source, given, wanted) => expect(holds(source, given)).toBe(wanted))

test('an octet that is no UTF-8 is no character, and does not hide those around it', () => {
  expect(new Automaton('^a.b$').holds('a\xffb')).toBe(false)
  expect(new Automaton('b$').holds('a\xffb')).toBe(true)
})

describe('a pattern is refused', () => {
  test.each([
    ['(a', '"(" is not closed'],
    ['a)', '")" closes nothing'],
    ['[a', '"[" is not closed'],
    ['[]', '"[]" has no character in it'],
    ['[b-a]', 'a range of characters is upside down'],
    ['a{2,1}', '{2,1} is from more to fewer'],
    ['a{', '"{" stands for a number of repeats, such as {2,5}: write \\{ for itself'],
    ['*a', '"*" has nothing to repeat'],
    ['a**', '"*" has nothing to repeat'],
    ['(?=a)', '"(?" is only known as (?: and, at the start, as (?i)'],
    ['(?<n>a)', '"(?" is only known as (?: and, at the start, as (?i)'],
    ['(a)\\1', '"\\1" is not known in a pattern that is read once'],
    ['\\bword', '"\\b" is not known in a pattern that is read once'],
    ['\\', '"\\" is not known in a pattern that is read once'],
    ['[[:alpha:]]', '"[:" is not known'],
    ['\ud800', 'half a character'],
    ['a{1001}', 'at most 1000 repeats'],
    ['((a{1000}){1000}){1000}', 'it repeats too much'],
    ['(((){1000}){1000}){1000}', 'it repeats too much'],
    ['(a|b)*a(a|b){30}', 'it has too many ways to match'],
    ['.{1000}x.{1000}', 'it repeats too much'],
  ])('%j: %s', (source, why) => expect(badPattern(source)).toBe(why))
})

test('no text makes a pattern slow', () => {
  const text = 'a'.repeat(1_000_000)
  const beganMs = performance.now()
  for (const source of ['^(a+)+$b', '(a|a)*b', '(a*)*b', '(.*)(.*)(.*)(.*)=', '(a?){40}a{40}b', '^(([a-z])+.)+[A-Z]$'])
    expect(holds(source, text)).toBe(false)
  // Six megabytes, at some ns an octet; one that goes back over it would take longer than the suite.
  expect(performance.now() - beganMs).toBeLessThan(2_000)
})

test('whether a text of some octets can match is known', () => {
  const can = (source: string, octets: string) =>
    new Automaton(source).canHold((octet) => octets.includes(String.fromCharCode(octet)))
  expect([can('a^b', 'ab'), can('a$b', 'ab'), can('ab', 'a'), can('^a+$', 'a'), can('', ''), can('a', '')]).toEqual([
    ...[false, false, false, true, true, false],
  ])
})
