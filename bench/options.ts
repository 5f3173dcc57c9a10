/** The options that every bench takes, read the same way by each. */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'

export interface BenchOptions {
  readonly rounds: number
  /** Length of a round. */
  readonly seconds: number
  /** Shortest form, without a report: for the sanity of the bench itself. */
  readonly quick: boolean
  /** Print what was measured as JSON instead of writing the report. */
  readonly json: boolean
}

const SHARED = {
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  quick: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const

const roundsUsage = (rounds: number, seconds: number) => `
  --rounds N          rounds of each that is measured (default ${rounds})
  --seconds N         length of a round (default ${seconds})`

/**
 * Reads the command line. `more` are options of the one bench, whose values are in `values`; `--help` prints `usage` and the
 * shared options, and ends the process. `defaults` is null for a bench without rounds. Throws on what it does not know.
 */
export function readOptions(
  usage: string,
  defaults: { readonly rounds: number; readonly seconds: number } | null,
  more: ParseArgsOptionsConfig = {},
): BenchOptions & { readonly values: Readonly<Record<string, string | boolean | undefined>> } {
  const options = { ...SHARED, ...more }
  const values = parseArgs({ options, allowPositionals: true }).values as Record<string, string | boolean | undefined>
  if (values['help'] === true) {
    if (defaults !== null) usage += roundsUsage(defaults.rounds, defaults.seconds)
    console.log(`${usage}
  --quick             one short round, no report: only whether it works
  --json              print what was measured as JSON instead of writing bench/RESULTS.md`)
    process.exit(0)
  }
  const quick = values['quick'] === true
  return {
    rounds: quick ? 1 : positive('--rounds', values['rounds'] ?? defaults?.rounds ?? 1),
    seconds: quick ? 1 : positive('--seconds', values['seconds'] ?? defaults?.seconds ?? 1),
    quick,
    json: values['json'] === true,
    values,
  }
}

/** A whole number from 1; throws for anything else. */
export function positive(name: string, value: unknown): number {
  const number = Number(value)
  if (!Number.isInteger(number) || number < 1) throw new Error(`${name} must be a whole number from 1`)
  return number
}

/** Progress and remarks go to standard error, so that `--json` can be piped. */
export const say = (line: string) => void process.stderr.write(`${line}\n`)
