/**
 * `apply`: sends the text of a config file to the admin API, which finds the faults, so they come with line and column.
 *
 * `${NAME}` in the file reads the environment of whoever applies it, as it does with `serve`. Only the variables that the text
 * names are sent along; the proxy looks at nothing else, its own environment included.
 */
import { readFile } from 'node:fs/promises'
import { text as textOf } from 'node:stream/consumers'
import { pathOf } from './admin.ts'
import { CliFailure, Refusal } from './failure.ts'
import { FORCE, insisting, PRUNE } from './insist.ts'
import { type Outcome, printOutcome } from './outcome.ts'
import type { Verb } from './verb.ts'

/** Applies what changed in a config file. */
export const apply: Verb = {
  name: 'apply',
  args: 'FILE',
  summary: 'Apply what changed in a config file (- for standard input)',
  argsCount: [1, 1],
  options: { ...PRUNE.options, ...FORCE.options },
  optionsHelp: [...PRUNE.help, ...FORCE.help],
  examples: ['apply turnout.yaml', 'apply - < turnout.yaml'],
  async run(call) {
    const [file] = call.args
    const text = await (file === '-' ? textOf(process.stdin) : readFile(file, 'utf8')).catch((error: Error) => {
      throw new CliFailure(1, `${file} cannot be read: ${error.message}`)
    })
    try {
      const body = { text, env: variablesOf(text, call.env) }
      printOutcome(
        call,
        `${file} applied`,
        await call.admin.call<Outcome>('POST', insisting(pathOf('apply'), call), body),
      )
    } catch (error) {
      throw error instanceof Refusal && error.faults.length > 0 ? inFile(file, error) : error
    }
  },
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
function inFile(file: string, { faults }: Refusal): CliFailure {
  const lines = faults.map((fault) => {
    const place = fault.line === undefined ? file : `${file}:${fault.line}:${fault.column ?? 1}`
    return `${place}: ${fault.pointer === '' ? '' : `${fault.pointer}: `}${fault.message}`
  })
  return new CliFailure(1, `${file} was not applied; nothing has changed.`, lines)
}
