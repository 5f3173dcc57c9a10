/**
 * What a condition asks of a text: to be this one (`"1"`), to be there at all (`"*"`), `{ prefix }`, `{ oneOf }`, or `{ pattern }`
 * (patterns/syntax.ts) found in it. One vocabulary for header, cookie, query and path, compared as octets (octets.ts).
 */
import type { Report } from '../../config/check-service.ts'
import { child } from '../../config/pointer.ts'
import { closed } from '../../config/schema-parts.ts'
import { Type } from '../../config/type.ts'
import { octetsOfText, textOfOctets } from '../octets.ts'
import { Automaton, WORK_MAX } from '../patterns/automaton.ts'
import { PatternFault } from '../patterns/syntax.ts'
import type { TextTest } from '../types.ts'
import type { CheckContext, Filing } from './kind.ts'

/** What people write. */
export type TextSpec = string | { prefix?: string; oneOf?: string[]; pattern?: string }

/** What workers are sent, in octets; a pattern stays text. */
export type TextAsks =
  | { readonly is: 'present' }
  | { readonly is: 'exact' | 'prefix' | 'pattern'; readonly text: string }
  | { readonly is: 'oneOf'; readonly texts: readonly string[] }

/** Patterns of all rules of a service: each is asked by itself, however many others there are. */
export const PATTERNS_MAX = 100
const PATTERN_LENGTH_MAX = 1_024

/** The schema of such a text. */
export const TextSchema = Type.Union([
  Type.String(),
  closed(
    {
      prefix: Type.Optional(Type.String({ minLength: 1, description: 'It begins so.' })),
      oneOf: Type.Optional(Type.Array(Type.String(), { minItems: 1, description: 'It is one of these.' })),
      pattern: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: PATTERN_LENGTH_MAX,
          description: 'This is found in it: a regular expression without look-around and references back.',
        }),
      ),
    },
    { minProperties: 1 },
  ),
])

/** What texts of a field can be. */
export interface Alphabet {
  /** For people: `no header has the value …`. */
  readonly noun: string
  /** Why no such text is this, or begins so; null when one may. */
  never(text: string, isPrefix: boolean): string | null
  /** Whether such texts may have this octet. */
  has(octet: number): boolean
}

/** Adds every fault of a text that passed the schema; one that can never be is one. */
export function checkText(report: Report, at: string, spec: TextSpec, alphabet: Alphabet, context: CheckContext): void {
  if (!report.sound(at)) return
  const check = (pointer: string, text: string, isPrefix: boolean) => {
    const bad = text.isWellFormed() ? alphabet.never(text, isPrefix) : 'half a character cannot be sent'
    const verb = isPrefix ? 'begins with' : 'has the value'
    if (bad !== null) report.add(pointer, `no ${alphabet.noun} ${verb} ${JSON.stringify(text)}: ${bad}`)
  }
  if (typeof spec === 'string') {
    if (spec !== '*') check(at, spec, false)
    return
  }
  const { prefix, oneOf, pattern } = spec
  if (Object.keys(spec).length > 1) report.add(at, 'give one of prefix, oneOf and pattern')
  if (prefix !== undefined) check(child(at, 'prefix'), prefix, true)
  for (const [index, text] of (oneOf ?? []).entries()) check(child(child(at, 'oneOf'), index), text, false)
  if (pattern === undefined) return
  const bad = badPattern(pattern, alphabet, context)
  if (bad !== null) report.add(child(at, 'pattern'), bad)
  if (++context.patterns.count === PATTERNS_MAX + 1)
    report.add(child(at, 'pattern'), `the rules of a service have at most ${PATTERNS_MAX} patterns`)
}

/** All together cost no more than one may: each worker compiles them between two requests. Beyond that none is looked at. */
function badPattern(pattern: string, { noun, has }: Alphabet, { patterns }: CheckContext): string | null {
  if (patterns.work > WORK_MAX) return null
  try {
    const automaton = new Automaton(pattern)
    patterns.work += automaton.work
    if (patterns.work > WORK_MAX)
      return 'the patterns of the rules have too many ways to match together: make them simpler'
    return automaton.canHold(has) ? null : `no ${noun} has ${JSON.stringify(pattern)} in it`
  } catch (error) {
    if (!(error instanceof PatternFault)) throw error
    patterns.work += error.work
    return `${JSON.stringify(pattern)} is no pattern: ${error.message}`
  }
}

/** What is asked of a text; `form` makes texts of the config what they are on the wire. */
export function planText(spec: TextSpec, form: (text: string) => string = octetsOfText): TextAsks {
  if (spec === '*') return { is: 'present' }
  if (typeof spec === 'string') return { is: 'exact', text: form(spec) }
  const { prefix, oneOf, pattern = '' } = spec
  if (oneOf !== undefined) return { is: 'oneOf', texts: oneOf.map(form) }
  return prefix === undefined ? { is: 'pattern', text: pattern } : { is: 'prefix', text: form(prefix) }
}

/** The values by which an index finds such a text; null: only that there is one. */
export function valuesOf(asks: TextAsks): Filing['values'] {
  if (asks.is === 'oneOf') return asks.texts
  return asks.is === 'exact' ? [asks.text] : null
}

/** What texts are asked. */
export function compileText(asks: TextAsks): TextTest {
  switch (asks.is) {
    case 'present':
      return { holds: () => true }
    case 'exact': {
      const { text } = asks
      return { holds: (given) => given === text }
    }
    case 'prefix': {
      const { text } = asks
      return { holds: (given) => given.startsWith(text) }
    }
    case 'oneOf': {
      const texts = new Set(asks.texts)
      return { holds: (given) => texts.has(given) }
    }
    case 'pattern':
      return new Automaton(asks.text)
  }
}

const SHOWN_MAX = 3

/** For people: `=1`, `=* `, ` beginning with a`, ` with /a/ in it`. */
export function wordsOfText(asks: TextAsks): string {
  switch (asks.is) {
    case 'present':
      return '=*'
    case 'exact':
      return `=${textOfOctets(asks.text)}`
    case 'prefix':
      return `=${textOfOctets(asks.text)}…`
    case 'oneOf': {
      const { texts } = asks
      if (texts.length <= SHOWN_MAX) return `=${texts.map(textOfOctets).join('|')}`
      return ` one of ${texts.length}`
    }
    case 'pattern':
      return ` like ${asks.text}`
  }
}
