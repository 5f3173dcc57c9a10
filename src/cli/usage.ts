/**
 * The help texts, made from the verbs themselves, and the verb that was probably meant. `serve` has its help here too, though
 * it runs in main.ts, so that all help looks the same.
 */
import { nearest } from '../config/nearest.ts'
import { ADMIN_DEFAULT } from './admin.ts'
import type { Verb } from './verb.ts'

/** What the help texts, completions and the man page know of a verb. */
export type Listed = Pick<Verb, 'name' | 'args' | 'summary' | 'forms' | 'optionsHelp' | 'examples'>

/** Not a verb of this room: it runs the proxy instead of asking a running one. Listed so that people find it. */
export const SERVE: Listed = {
  name: 'serve',
  args: '[--config FILE] [--check]',
  summary: 'Run the proxy',
  optionsHelp: [
    ['--config FILE', 'The config file; default turnout.yaml'],
    ['--check', 'Only tell whether the file is valid, with every fault'],
  ],
  examples: ['serve --config turnout.yaml --check', 'serve --config turnout.yaml'],
}

/** The options that every verb but `serve` has. */
export const GLOBAL: readonly (readonly [string, string])[] = [
  ['--admin URL', `Where the admin API is; default TURNOUT_ADMIN, or ${ADMIN_DEFAULT}`],
  ['--json', 'Print JSON'],
  ['--help', 'Show this help, or that of a verb'],
]

/** The options without a verb. */
export const GENERAL: typeof GLOBAL = [...GLOBAL, ['--version', 'Print the version']]

/** What every exit code means. */
export const CODES =
  'Exit codes: 0 done, 1 refused or failed, 2 bad usage, 3 admin API out of reach, 4 a rollout was rolled back.'

/** Who is asking. */
export const TOKEN = 'TURNOUT_TOKEN holds the token where the admin API wants one.'

/** What `serve` does at a signal. */
export const SIGNALS =
  'SIGTERM and Ctrl-C finish what is under way and exit 0; SIGHUP reads the file again, SIGUSR2 is an upgrade.'

const table = (rows: readonly (readonly [string, string])[]): string => {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n')
}

/** Help on everything. */
export function generalHelp(verbs: readonly Verb[]): string {
  const rows = [SERVE, ...verbs].map(({ name, args, summary }) => [`${name} ${args}`.trim(), summary] as const)
  return `Usage: turnout VERB …\n\n${table(rows)}\n\nOptions:\n${table(GENERAL)}\n\n${TOKEN}\n${CODES}\n`
}

/** Help on `serve`. */
export function serveHelp(): string {
  const { optionsHelp = [], examples } = SERVE
  return `Usage: turnout ${SERVE.name} ${SERVE.args}\n\n${SERVE.summary}.\n\nOptions:\n${table(optionsHelp)}\n\n${SIGNALS}\n\nExamples:\n${shown(examples)}`
}

/** A verb with all that it takes, on one line. */
export function usageOf({ name, args, optionsHelp = [] }: Listed): string {
  const options = optionsHelp.map(([option]) => option.replace(/^-\w, /, '')).filter((option) => !args.includes(option))
  return [name, args, ...options.map((option) => `[${option}]`)].filter((part) => part !== '').join(' ')
}

/** Help on one verb. */
export function verbHelp({ name, args, forms = [args], summary, optionsHelp = [], examples }: Listed): string {
  const usage = `Usage: ${forms.map((form) => `turnout ${`${name} ${form}`.trim()}`).join('\n       ')}\n\n${summary}.\n`
  return `${usage}\nOptions:\n${table([...optionsHelp, ...GLOBAL])}\n\nExamples:\n${shown(examples)}`
}

const shown = (examples: readonly string[]): string => examples.map((example) => `  turnout ${example}\n`).join('')

/** The name that was probably meant: the one that begins so, or the nearest; null when none is near. */
export function nearestName(word: string, names: readonly string[]): string | null {
  return names.find((name) => word.length > 1 && name.startsWith(word)) ?? nearest(word, names)
}

/** What to type instead of a word that is none of these, as the end of a sentence. */
export function meantBy(word: string, names: readonly string[]): string {
  const meant = nearestName(word, names)
  return meant === null ? `one of ${names.join(', ')}.` : `did you mean ${meant}?`
}
