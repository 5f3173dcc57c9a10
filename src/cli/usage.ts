/**
 * The help texts, made from the verbs themselves, and the verb that was probably meant. `serve` has its help here too, though
 * it runs in main.ts, so that all help looks the same.
 */
import { nearest } from '../config/nearest.ts'
import { ADMIN_DEFAULT } from './admin.ts'
import type { Verb } from './verb.ts'

type Listed = Pick<Verb, 'name' | 'args' | 'summary'>

/** Not a verb of this room: it runs the proxy instead of asking a running one. Listed so that people find it. */
export const SERVE: Listed = { name: 'serve', args: '[--config FILE] [--check]', summary: 'Run the proxy' }

const GLOBAL: readonly (readonly [string, string])[] = [
  ['--admin URL', `Where the admin API is; default TURNOUT_ADMIN, or ${ADMIN_DEFAULT}`],
  ['--json', 'Print JSON'],
  ['--help', 'Show this help, or that of a verb'],
]

const CODES =
  'Exit codes: 0 done, 1 refused or failed, 2 bad usage, 3 admin API out of reach, 4 a rollout was rolled back.'

const table = (rows: readonly (readonly [string, string])[]): string => {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n')
}

/** Help on everything. */
export function generalHelp(verbs: readonly Verb[]): string {
  const rows = [SERVE, ...verbs].map(({ name, args, summary }) => [`${name} ${args}`.trim(), summary] as const)
  const token = 'TURNOUT_TOKEN holds the token where the admin API wants one.'
  return `Usage: turnout VERB …\n\n${table(rows)}\n\nOptions:\n${table([...GLOBAL, ['--version', 'Print the version']])}\n\n${token}\n${CODES}\n`
}

/** Help on `serve`. */
export function serveHelp(): string {
  const rows = [
    ['--config FILE', 'The config file; default turnout.yaml'],
    ['--check', 'Only tell whether the file is valid, with every fault'],
  ] as const
  const signals =
    'SIGTERM and Ctrl-C finish what is under way and exit 0; SIGHUP reads the file again, SIGUSR2 is an upgrade.'
  const examples = ['serve --config turnout.yaml --check', 'serve --config turnout.yaml']
  return `Usage: turnout ${SERVE.name} ${SERVE.args}\n\n${SERVE.summary}.\n\nOptions:\n${table(rows)}\n\n${signals}\n\nExamples:\n${shown(examples)}`
}

/** Help on one verb. */
export function verbHelp({ name, args, forms = [args], summary, optionsHelp = [], examples }: Verb): string {
  const usage = `Usage: ${forms.map((form) => `turnout ${`${name} ${form}`.trim()}`).join('\n       ')}\n\n${summary}.\n`
  return `${usage}\nOptions:\n${table([...optionsHelp, ...GLOBAL])}\n\nExamples:\n${shown(examples)}`
}

const shown = (examples: readonly string[]): string => examples.map((example) => `  turnout ${example}\n`).join('')

/** The name that was probably meant: the one that begins so, or the nearest; null when none is near. */
export function nearestName(word: string, names: readonly string[]): string | null {
  return names.find((name) => word.length > 1 && name.startsWith(word)) ?? nearest(word, names)
}
