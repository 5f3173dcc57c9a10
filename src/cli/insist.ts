/**
 * The options by which a user says more of a change: `--force` for one that would be refused, `--wait` for a pool that no probe has found
 * healthy yet, `--if-match` to be refused when somebody else was faster. What is refused, and why, is the API's.
 */
import { isRefusal } from './failure.ts'
import { type Call, durationGiven, wholeNumber } from './verb.ts'

/** `--if-match`, of every verb that makes a change of the services. */
export const IF_MATCH = {
  options: { 'if-match': { type: 'string' } },
  help: [
    [
      '--if-match REVISION',
      'Only if the service (or all, where there are several) has not changed after this revision',
    ],
  ],
} as const

/** `--force` and `--if-match`. */
export const CHANGE = {
  options: { force: { type: 'boolean' }, ...IF_MATCH.options },
  help: [
    ['--force', 'Do it even where nobody would be left to answer, or a pool is not proven or too small'],
    ...IF_MATCH.help,
  ],
} as const

/** The revision of `--if-match`; undefined when it was not given. Throws a usage failure. */
export function revisionOf(options: Call['options']): number | undefined {
  const given = options['if-match']
  return typeof given === 'string' ? wholeNumber(given, '--if-match') : undefined
}

const TRIES_MAX = 5

/**
 * Makes a change of what is read for it, which is sent for that revision only: when somebody else was faster all of it is done again, a few
 * times, unless the user has named a revision.
 */
export async function untilFirst<T>({ options }: Pick<Call, 'options'>, readAndChange: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await readAndChange()
    } catch (error) {
      const isAgain = isRefusal(error, 'stale_revision') && options['if-match'] === undefined
      if (!isAgain || tries === TRIES_MAX) throw error
    }
  }
}

/** A path with what the user insists on. */
export const insisting = (path: string, { options }: Pick<Call, 'options'>): string =>
  options['force'] === true ? `${path}?force=true` : path

/** `--wait`, of the verbs that send traffic to a pool. */
export const WAIT = {
  options: { wait: { type: 'string' } },
  help: [
    ['--wait DURATION', 'Wait so long for a pool that no probe has found healthy yet; default 10s, 0s for not at all'],
  ],
} as const

/** What `--wait` says, as the API takes it (nothing when it was not given) and in ms. */
export function waitOf({ options }: Pick<Call, 'options'>): { wait?: string; waitMs?: number } {
  const wait = options['wait']
  return typeof wait === 'string' ? { wait, waitMs: durationGiven(wait, '--wait', '10s') } : {}
}
