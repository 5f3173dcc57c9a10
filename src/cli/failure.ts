/**
 * The ways a verb can fail, each with its exit code: 1 refused or failed, 2 bad usage, 3 admin API out of reach,
 * 4 a rollout was rolled back.
 * Anything else that is thrown is a bug.
 */

/** One fault of a refused change; line and column (1-based) where a file was sent. */
export interface CliFault {
  readonly pointer: string
  readonly message: string
  readonly line?: number
  readonly column?: number
}

/** A failure that people can do something about; `lines` follow the message on stderr. */
export class CliFailure extends Error {
  readonly exitCode: 1 | 2 | 3 | 4
  readonly lines: readonly string[]

  constructor(exitCode: 1 | 2 | 3 | 4, message: string, lines: readonly string[] = []) {
    super(message)
    this.exitCode = exitCode
    this.lines = lines
  }
}

/** Refused by the admin API with a problem (RFC 9457); `code` is its stable part. */
export class Refusal extends CliFailure {
  readonly code: string
  readonly faults: readonly CliFault[]

  constructor(code: string, detail: string, faults: readonly CliFault[]) {
    super(
      1,
      detail,
      code === 'unauthorized'
        ? ['TURNOUT_TOKEN says who you are: set it to one of the admin.tokens of the config.']
        : faults.map(({ pointer, message }) => {
            const where = `  ${pointer === '' ? '/' : pointer}`
            // Where it is the only thing to be said, it has been said.
            return message === detail ? where : `${where}: ${message}`
          }),
    )
    this.code = code
    this.faults = faults
  }
}

/** The verb was not called as it is meant to be. */
export const usageFailure = (message: string): CliFailure => new CliFailure(2, message)

/** The admin API did not answer. */
export function outOfReach(url: string, reason: string): CliFailure {
  return new CliFailure(3, `The admin API at ${url} is out of reach: ${reason}.`, [
    'Is Turnout running? "turnout serve" starts it; --admin URL or TURNOUT_ADMIN says where it is.',
  ])
}
