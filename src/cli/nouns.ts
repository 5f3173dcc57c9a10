/**
 * `service`, `pool`, `target` and `rule`, each with `list`, `add`, `set` and `remove`: one table of what there is, thin over the admin API
 * (noun-actions.ts). `add` is for what is not there yet and `set` for what is, so that a misspelt name makes nothing new.
 */
import { isTurnoutError } from '../errors.ts'
import { CliFailure, usageFailure } from './failure.ts'
import { CHANGE } from './insist.ts'
import { LEAVE } from './leave.ts'
import { meantBy } from './usage.ts'
import type { Call, Verb } from './verb.ts'

interface Form {
  /** The names that it takes, in order. */
  readonly names: readonly string[]
  /** What may follow them, as it stands in the usage. */
  readonly more?: string
}

const SERVICE = ['SERVICE']
const POOL = ['SERVICE', 'POOL']
const TARGET = ['SERVICE', 'POOL', 'TARGET']
const RULE = ['SERVICE', 'RULE']
const SETTINGS = 'KEY=VALUE…'

/** Noun → word → what it takes. */
export const NOUNS = {
  service: {
    list: { names: [] },
    add: { names: SERVICE, more: SETTINGS },
    set: { names: SERVICE, more: SETTINGS },
    remove: { names: SERVICE },
  },
  pool: {
    list: { names: SERVICE },
    add: { names: POOL, more: SETTINGS },
    set: { names: POOL, more: SETTINGS },
    remove: { names: POOL },
  },
  target: {
    list: { names: SERVICE },
    add: { names: TARGET, more: '[weight=N]' },
    set: { names: TARGET, more: 'weight=N' },
    remove: { names: TARGET },
  },
  rule: {
    list: { names: SERVICE },
    add: { names: RULE, more: SETTINGS },
    set: { names: RULE, more: SETTINGS },
    remove: { names: RULE },
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Form>>>>

export type Noun = keyof typeof NOUNS
export type Word = keyof (typeof NOUNS)[Noun]

const WORDS = Object.keys(NOUNS.service) as Word[]

const SUMMARIES: Readonly<Record<Noun, string>> = {
  service: 'List the services, or add, change and remove one',
  pool: 'List the pools of a service, or add, change and remove one',
  target: 'List the targets of a service, or add, weigh and remove one',
  rule: 'List the rules of a service in their order, or add, change and remove one',
}

const EXAMPLES: Readonly<Record<Noun, readonly string[]>> = {
  service: [
    "service add shop routes='[{host: shop.test}]' pools.blue.targets=http://127.0.0.1:3001",
    'service set shop health.path=/health balance=round-robin',
    'service set shop health=null',
    'service remove shop --force --wait 60s',
    'service add shop --file - < shop.yaml',
  ],
  pool: [
    'pool add shop green version=1.10 targets=http://127.0.0.1:3003,http://127.0.0.1:3004',
    'pool set shop green version=1.11',
    'pool remove shop green',
  ],
  target: ['target add shop blue http://127.0.0.1:3005 weight=2', 'target remove shop blue 127.0.0.1:3005'],
  rule: [
    'rule add shop staff when.header.x-internal=1 to=green --first',
    'rule set shop staff to=blue',
    'rule remove shop staff',
  ],
}

const PLACE = {
  options: { first: { type: 'boolean' }, before: { type: 'string' } },
  help: [
    ['--first', 'With add: before all other rules; else it comes last'],
    ['--before RULE', 'With add: before this rule'],
  ],
} as const

const REMOVE = {
  options: LEAVE.options,
  help: [['--wait DURATION', 'With remove: until what is under way there has ended; exits with 1 where it has not']],
} as const

/** What each has of its own. */
const MORE = { service: REMOVE, pool: REMOVE, target: REMOVE, rule: PLACE } as const

function nounVerb(noun: Noun): Verb {
  const own = MORE[noun]
  return {
    name: noun,
    args: `${WORDS.join('|')} …`,
    forms: WORDS.map((word) => usageOf(noun, word)),
    summary: SUMMARIES[noun],
    argsCount: [1, Number.POSITIVE_INFINITY],
    options: { file: { type: 'string' }, ...own.options, ...CHANGE.options },
    optionsHelp: [['--file FILE', 'Settings as a YAML or JSON map, - for standard input'], ...own.help, ...CHANGE.help],
    examples: EXAMPLES[noun],
    run: (call) => run(noun, call),
  }
}

const usageOf = (noun: Noun, word: Word): string => {
  const { names, more = '' }: Form = NOUNS[noun][word]
  return [word, ...names, more].join(' ').trim()
}

async function run(noun: Noun, call: Call): Promise<void> {
  const [given, ...args] = call.args
  const word = WORDS.find((each) => each === given)
  if (word === undefined) {
    throw usageFailure(`there is no ${noun} "${given}": ${meantBy(given, WORDS)}`)
  }
  const { names, more }: Form = NOUNS[noun][word]
  if (args.length < names.length || (args.length > names.length && more === undefined)) {
    throw usageFailure(`usage: turnout ${noun} ${usageOf(noun, word)}`)
  }
  if (more === undefined && call.options['file'] !== undefined) throw usageFailure(`--file goes with add and set.`)
  if (word !== 'remove' && call.options['wait'] !== undefined) throw usageFailure('--wait goes with remove.')
  // The schema, by which settings are read, takes a while to load.
  const { ACTIONS } = await import('./noun-actions.ts')
  try {
    await ACTIONS[noun][word](call, args.slice(0, names.length), args.slice(names.length))
  } catch (error) {
    throw isTurnoutError(error) ? new CliFailure(1, error.message, [], { code: error.code }) : error
  }
}

/** `service`, `pool`, `target` and `rule`. */
export const nounVerbs: readonly Verb[] = (Object.keys(NOUNS) as Noun[]).map(nounVerb)
