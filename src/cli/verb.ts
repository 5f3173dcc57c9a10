/**
 * What a verb is: a name, how it is called, and what it does with the admin API. One file per verb holds one of these. All help, the
 * completions of shells and the man page are made of it, so its words in capitals say what may stand there (candidates.ts).
 */
import type { ParseArgsConfig } from 'node:util'
import type { Clock } from '../clock.ts'
import { durationMs } from '../config/duration.ts'
import type { Admin } from './admin.ts'
import { usageFailure } from './failure.ts'

/** One call of a verb. */
export interface Call {
  /** What stands behind the verb, without options. */
  readonly args: readonly string[]
  readonly options: Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>
  readonly json: boolean
  readonly env: Readonly<Record<string, string | undefined>>
  readonly admin: Admin
  /** Its wall time is that of whoever was asked, which may be another machine. */
  readonly clock: Clock
  /** Aborts when the user ends a verb that goes on (`--watch`, `--follow`). */
  readonly signal: AbortSignal
  /** Standard output is a terminal, which understands control codes. */
  readonly isTerminal: boolean
  /** How large the terminal is now; it may be made larger or smaller meanwhile. */
  readonly size: () => { readonly columns: number; readonly rows: number }
  /** Writes to standard output as it is. */
  readonly print: (text: string) => void
  /** Writes a line for people to standard error. */
  readonly note: (line: string) => void
}

export interface Verb {
  readonly name: string
  /** As in `turnout NAME ARGS`. */
  readonly args: string
  /** The same one by one, where there are several. */
  readonly forms?: readonly string[]
  readonly summary: string
  /** Least and most positional arguments. */
  readonly argsCount: readonly [min: number, max: number]
  /** Words may be empty, as the one at the cursor is. */
  readonly takesEmpty?: true
  readonly options?: NonNullable<ParseArgsConfig['options']>
  /** A line of help per option. */
  readonly optionsHelp?: readonly (readonly [option: string, help: string])[]
  /** Without the leading `turnout`. */
  readonly examples: readonly string[]
  readonly run: (call: Call) => Promise<void>
}

/** A duration that the user gave, in ms, or a usage failure that names it and an example. */
export function durationGiven(text: string, name: string, example: string): number {
  try {
    return durationMs(text)
  } catch {
    throw usageFailure(`${name} must be a duration such as ${example}, not "${text}".`)
  }
}

/** A whole number that the user gave, or a usage failure that names it. */
export function wholeNumber(text: string, name: string): number {
  if (!/^[0-9]{1,15}$/.test(text)) throw usageFailure(`${name} must be a whole number, not "${text}".`)
  return Number(text)
}
