/**
 * The ways a verb can fail, each with its exit code: 1 refused or failed, 2 bad usage, 3 admin API out of reach,
 * 4 a rollout was rolled back. Each has a code for scripts too: that of the admin API, or one of ours.
 * Anything else that is thrown is a bug.
 */
import { ERRORS, type ErrorCode } from '../errors.ts'

/** One fault of a refused change; line and column (1-based) where a file was sent. */
export interface CliFault {
  readonly pointer: string
  readonly message: string
  readonly line?: number
  readonly column?: number
}

type ExitCode = 1 | 2 | 3 | 4

/** The codes of what no admin API has refused, by exit code. */
const CODES = { 1: 'failed', 2: 'usage', 3: 'unreachable', 4: 'rolled_back' } as const

/** What is known of a failure besides its words. */
interface Told {
  readonly code?: string
  readonly faults?: readonly CliFault[]
}

/** A failure that people can do something about; `lines` follow the message on stderr. */
export class CliFailure extends Error {
  readonly exitCode: ExitCode
  readonly lines: readonly string[]
  /** For scripts; stable. */
  readonly code: string
  readonly faults: readonly CliFault[]

  constructor(exitCode: ExitCode, message: string, lines: readonly string[] = [], told: Told = {}) {
    super(message)
    this.exitCode = exitCode
    this.lines = lines
    this.code = told.code ?? CODES[exitCode]
    this.faults = told.faults ?? []
  }
}

/** A failure as `--json` tells it: one line, the last on standard error. */
export const failureAsJson = ({ code, message, exitCode, faults }: CliFailure): string =>
  JSON.stringify({ code, message, exitCode, errors: faults })

/** Refused by the admin API with a problem (RFC 9457); `code` is its stable part. One fault is told in one line, several in one line each. */
export class Refusal extends CliFailure {
  constructor(code: string, told: string, faults: readonly CliFault[]) {
    const detail = asOptions(told)
    const says = faults.map(({ pointer, message }) => (pointer === '' ? message : `${pointer}: ${message}`))
    // Beside its fault, words for any fault say nothing.
    const isAll = says.length === 1 && (detail === faults[0].message || detail === ERRORS.invalid.message)
    const lines = isAll ? [] : says.map((text) => `  ${text}`)
    const who = code === 'unauthorized' ? [TOKEN_HINT] : []
    super(1, isAll ? says[0] : detail, [...lines, ...who], { code, faults })
  }
}

/** The API names its parameters; here these are options. */
const asOptions = (told: string): string =>
  told.replaceAll(/\b([Ww]ith) force\b/g, '$1 --force').replaceAll(/\bprune removes them\b/g, '--prune removes them')

const TOKEN_HINT = 'TURNOUT_TOKEN says who you are: set it to one of the admin.tokens of the config.'

/** Whether a thrown value is a refusal with this code. */
export const isRefusal = (error: unknown, code: ErrorCode): error is Refusal =>
  error instanceof Refusal && error.code === code

/** The verb was not called as it is meant to be. */
export const usageFailure = (message: string): CliFailure => new CliFailure(2, message)

/** The admin API did not answer. */
export function outOfReach(url: string, reason: string): CliFailure {
  return new CliFailure(3, `The admin API at ${url} is out of reach: ${reason}.`, [
    'Is Turnout running? "turnout serve" starts it; --admin URL or TURNOUT_ADMIN says where it is.',
  ])
}
