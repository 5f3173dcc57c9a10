/** The options that every bench takes, read the same way by each. */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'

export interface BenchOptions {
  readonly rounds: number
  /** Length of a round, and of the warm-up before. */
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

/**
 * Reads the command line. `more` are options of the one bench, whose values are in `values`; `--help` prints `usage` and the
 * shared options, and ends the process. Throws on what it does not know.
 */
export function readOptions(
  usage: string,
  defaults: { readonly rounds: number; readonly seconds: number },
  more: ParseArgsOptionsConfig = {},
): BenchOptions & { readonly values: Readonly<Record<string, string | boolean | undefined>> } {
  const options = { ...SHARED, ...more }
  const values = parseArgs({ options, allowPositionals: true }).values as Record<string, string | boolean | undefined>
  if (values['help'] === true) {
    console.log(`${usage}
  --rounds N          rounds of each that is measured (default ${defaults.rounds})
  --seconds N         length of a round and of the warm-up before (default ${defaults.seconds})
  --quick             one short round, no report: only whether it works
  --json              print what was measured as JSON instead of writing bench/RESULTS.md`)
    process.exit(0)
  }
  const quick = values['quick'] === true
  return {
    rounds: quick ? 1 : positive('--rounds', values['rounds'] ?? defaults.rounds),
    seconds: quick ? 1 : positive('--seconds', values['seconds'] ?? defaults.seconds),
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
