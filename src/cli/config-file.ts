/**
 * A config file as the verbs send it: its text as it is, so that the admin API finds the faults and they come with line and column, and
 * what the answer says of the differences between the file and what runs.
 *
 * `${NAME}` in the file reads the environment of whoever applies it, as it does with `serve`. Only the variables that the text
 * names are sent along; the proxy looks at nothing else, its own environment included.
 */
import { readFile } from 'node:fs/promises'
import { text as textOf } from 'node:stream/consumers'
import { pathOf as namesOf } from '../config/pointer.ts'
import { unreadInWords } from '../unread.ts'
import { pathOf } from './admin.ts'
import { plain } from './columns.ts'
import { CliFailure, Refusal } from './failure.ts'
import { waiting } from './leave.ts'
import type { Outcome } from './outcome.ts'
import type { Call } from './verb.ts'

/** A place where the file and what runs differ. */
export interface Difference {
  readonly pointer: string
  readonly runs?: unknown
  readonly file?: unknown
}

/** What the API answers to a file; what it has nothing to tell of may be absent. */
export interface FileOutcome extends Outcome {
  readonly changes?: readonly Difference[]
  readonly kept?: readonly Difference[]
  readonly others?: readonly string[]
  readonly refused?: string
}

/** The text of a file; `-` is standard input. */
export const textOfFile = (file: string): Promise<string> =>
  (file === '-' ? textOf(process.stdin) : readFile(file, 'utf8')).catch((error: unknown) => {
    throw new CliFailure(1, `${file} cannot be read: ${unreadInWords(error)}.`)
  })

/** Sends a file (`-`: standard input) with these options of the API. */
export async function sendFile(call: Call, file: string, options: readonly string[]): Promise<FileOutcome> {
  const [path, waitMs] = waiting(pathOf('apply'), call)
  const text = await textOfFile(file)
  const query = options.map((name) => `${name}=true`).join('&')
  const asked = query === '' ? path : `${path}${path.includes('?') ? '&' : '?'}${query}`
  try {
    const body = { text, env: variablesOf(text, call.env) }
    return await call.admin.call<FileOutcome>('POST', asked, body, waitMs)
  } catch (error) {
    const what = options.includes('dryRun') ? 'has faults, so nothing can be told of it' : 'was not applied'
    throw error instanceof Refusal && error.faults.length > 0 ? inFile(file, what, error) : error
  }
}

const SHOWN_MAX = 50
const VALUE_LENGTH_MAX = 160

/** Differences in lines for people, each place with what runs and what the file says. */
export function differencesInWords(differences: readonly Difference[] = [], why = ''): string[] {
  const lines = differences.slice(0, SHOWN_MAX).flatMap(({ pointer, runs, file }) => {
    const place = namesOf(pointer).replace(/^services\.?/, '')
    return [`${place}${why}`, `  runs ${inWords(runs)}`, `  file ${inWords(file)}`].map(plain)
  })
  const more = differences.length - SHOWN_MAX
  return more > 0 ? [...lines, `… and ${more} more places`] : lines
}

function inWords(value: unknown): string {
  if (value === undefined) return '(nothing)'
  const text = JSON.stringify(value)
  return text.length <= VALUE_LENGTH_MAX ? text : `${text.slice(0, VALUE_LENGTH_MAX)}…`
}

/** The variables that a text names as `${NAME}` or `${NAME:-default}`, as far as they are set. `$${` is no reference. */
function variablesOf(text: string, env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const named = new Map<string, string>()
  for (const [, escaped, name] of text.matchAll(/\$(\$?)\{([A-Za-z_][A-Za-z0-9_]*)/g)) {
    const value = Object.hasOwn(env, name) ? env[name] : undefined
    if (escaped === '' && value !== undefined) named.set(name, value)
  }
  return Object.fromEntries(named)
}

/** The same refusal with each fault as `FILE:LINE:COLUMN: …`, which editors can follow. */
function inFile(file: string, what: string, { code, faults }: Refusal): CliFailure {
  const lines = faults.map((fault) => {
    const place = fault.line === undefined ? file : `${file}:${fault.line}:${fault.column ?? 1}`
    return `${place}: ${fault.pointer === '' ? '' : `${fault.pointer}: `}${fault.message}`
  })
  return new CliFailure(1, `${file} ${what}; nothing has changed.`, lines, { code, faults })
}
