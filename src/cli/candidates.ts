/**
 * What may stand at the cursor of a command line, read from the usage of its verb: `SERVICE POOL=WEIGHT…` says that first a service is
 * named and then pools of it. A word in capitals is a kind of thing, any other stands for itself.
 */
import { EVENT_TYPES } from '../config/event-types.ts'
import { GENERAL, GLOBAL, type Listed, SERVE } from './usage.ts'

/** A word, and what it is. */
export type Candidate = readonly [word: string, what: string]

/** Who knows names; nobody fails. */
export interface Names {
  services(): Promise<readonly string[]>
  pools(service: string): Promise<readonly string[]>
  targets(service: string, pool: string): Promise<readonly string[]>
  rules(service: string): Promise<readonly string[]>
}

/** The shell completes names of files itself. */
const FILES: readonly Candidate[] = [['@files', '']]

/** What of all that may be there begins with the last word. */
export async function candidates(
  verbs: readonly Listed[],
  words: readonly string[],
  names: Names,
): Promise<readonly Candidate[]> {
  const word = words.at(-1) ?? ''
  const found = await possible([SERVE, ...verbs], words.slice(0, -1), word, names)
  return found === FILES ? found : found.filter(([name]) => name.startsWith(word))
}

async function possible(
  verbs: readonly Listed[],
  before: readonly string[],
  word: string,
  names: Names,
): Promise<readonly Candidate[]> {
  const { verb, args, option } = readWords(verbs, before)
  const all = verbs.map(({ name, summary }): Candidate => [name, summary])
  if (verb === undefined) {
    if (option !== undefined) return []
    return word.startsWith('-') ? GENERAL.map(optionOf) : all
  }
  if (verb === 'help') return args.length === 0 ? all : []
  const cursor = { verb, args, service: serviceIn(verb, args), word, names }
  if (option !== undefined) return ofKind(option, cursor)
  return word.startsWith('-') ? optionsOf(verb).map(optionOf) : ofPlace(cursor)
}

/** The word to be completed, what stands before it, and who knows names. */
interface Cursor {
  readonly verb: Listed
  readonly args: readonly string[]
  readonly service: string | undefined
  readonly word: string
  readonly names: Names
}

const optionsOf = (verb: Listed): readonly Candidate[] => [
  ...(verb.optionsHelp ?? []),
  ...(verb === SERVE ? [] : GLOBAL),
]

/** `-f, --follow` and `--to POOL` as what is typed. */
const optionOf = ([usage, what]: Candidate): Candidate => [/--[a-z-]+/.exec(usage)?.[0] ?? usage, what]

/** The kind of value that an option takes, as its help has it; undefined for none. */
function valueOfOption(verb: Listed | undefined, option: string): string | undefined {
  const usage = (verb === undefined ? GLOBAL : optionsOf(verb)).find(([each]) => each.split(/[ ,]+/).includes(option))
  const value = usage?.[0].split(' ').at(-1)
  return value === undefined || value.startsWith('-') ? undefined : value
}

interface Read {
  readonly verb: Listed | 'help' | undefined
  readonly args: readonly string[]
  /** The kind of value that the word at the cursor is, behind an option. */
  readonly option: string | undefined
}

function readWords(verbs: readonly Listed[], words: readonly string[]): Read {
  let verb: Read['verb']
  let option: string | undefined
  const args: string[] = []
  for (const word of words) {
    const known = verb === 'help' ? undefined : verb
    if (option !== undefined) option = undefined
    else if (word.startsWith('-')) option = valueOfOption(known, word)
    else if (verb === undefined)
      verb =
        word === 'help'
          ? word
          : (verbs.find(({ name }) => name === word) ?? { name: word, args: '', summary: '', examples: [] })
    else args.push(word)
  }
  return { verb, args, option }
}

/** The words of each form, without options. */
const formsOf = ({ args, forms = args.split(' | ') }: Listed): string[][] =>
  forms.map((form) =>
    form
      .replaceAll(/\[?--[a-z-]+( [A-Z]+)?\]?/g, '')
      .split(' ')
      .filter((token) => token !== ''),
  )

const isFixed = (token: string): boolean => /^[a-z-]+$/.test(token)

/** The form goes on as it began. */
const fits = (form: readonly string[], args: readonly string[]): boolean =>
  args.every((arg, at) => at >= form.length || !isFixed(form[at]) || form[at] === arg)

function serviceIn(verb: Listed, args: readonly string[]): string | undefined {
  const at = formsOf(verb)
    .find((form) => fits(form, args))
    ?.findIndex((token) => /^\[?SERVICE\]?$/.test(token))
  return at === undefined || at < 0 ? undefined : args[at]
}

async function ofPlace(cursor: Cursor): Promise<readonly Candidate[]> {
  const { verb, args } = cursor
  const found: Candidate[] = []
  for (const form of formsOf(verb).filter((each) => fits(each, args))) {
    const last = form.at(-1) ?? ''
    const token = form[args.length] ?? (last.endsWith('…') ? last : undefined)
    if (token === undefined) continue
    const some = await ofKind(token.replaceAll(/[[\]…]/g, ''), cursor)
    if (some === FILES) return FILES
    found.push(...some)
  }
  return found.filter(([name], at) => found.findIndex(([other]) => other === name) === at)
}

async function ofKind(kind: string, { verb, args, service, word, names }: Cursor): Promise<readonly Candidate[]> {
  const pools = async (of = service) => (of === undefined ? [] : await names.pools(of))
  const rows = (all: readonly string[], what: string, [before, behind] = ['', '']): Candidate[] =>
    all.map((name) => [before + name + behind, what])
  switch (kind) {
    case 'FILE':
      return FILES
    case 'SERVICE':
      return rows(await names.services(), 'service')
    case 'POOL':
      return rows(await pools(), 'pool')
    case 'TARGET':
      // Both are behind the word of a noun, or not.
      return service === undefined ? [] : rows(await names.targets(service, args.at(-1) ?? ''), 'target')
    case 'RULE':
      return service === undefined ? [] : rows(await names.rules(service), 'rule')
    case 'POOL=WEIGHT':
      return rows(await pools(), 'pool', ['', '='])
    case 'SERVICE=POOL': {
      const [, of] = /^([^=]+)=/.exec(word) ?? []
      if (of === undefined) return rows(await names.services(), 'service', ['', '='])
      return rows(await pools(of), 'pool', [`${of}=`, ''])
    }
    case 'KEY=VALUE':
      return rows(await keysOf(verb.name, word), 'setting')
    case 'KIND':
      return rows(EVENT_TYPES, 'kind')
    case 'weight=N':
      return rows(['weight='], 'setting')
    default:
      return /^[a-z|-]+$/.test(kind) ? rows(kind.split('|'), '') : []
  }
}

/** The keys of the settings of a noun. */
async function keysOf(noun: string, word: string): Promise<readonly string[]> {
  const { PoolSchema, RuleSchema, ServiceSchema } = await import('../config/schema.ts')
  const { keysAt } = await import('./settings.ts')
  const schemas: Readonly<Record<string, object>> = { service: ServiceSchema, pool: PoolSchema, rule: RuleSchema }
  return Object.hasOwn(schemas, noun) ? keysAt(schemas[noun], word.split('.').slice(0, -1)) : []
}
