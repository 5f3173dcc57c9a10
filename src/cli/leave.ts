/**
 * `--wait` of the verbs that take targets away: the change is made at once, and the answer comes when what was under way there has ended, or
 * after so long.
 */
import { CliFailure } from './failure.ts'
import type { Outcome } from './outcome.ts'
import { type Call, durationGiven } from './verb.ts'

/** The option, of verbs that only remove. */
export const LEAVE = {
  options: { wait: { type: 'string' } },
  help: [['--wait DURATION', 'Until what is under way at what is removed has ended; exits with 1 where it has not']],
} as const

/** The path of a change that waits for what is under way, and for how long in ms; undefined where it does not wait. */
export function waiting(path: string, { options }: Pick<Call, 'options'>): [path: string, waitMs: number | undefined] {
  const { wait } = options
  if (typeof wait !== 'string') return [path, undefined]
  const waitMs = durationGiven(wait, '--wait', '60s')
  return [`${path}${path.includes('?') ? '&' : '?'}wait=${wait}`, waitMs]
}

/** Fails where something that was waited for is under way yet. */
export function assertLeft({ options: { wait } }: Pick<Call, 'options'>, { draining }: Outcome): void {
  if (wait === undefined || draining?.drained !== false) return
  throw new CliFailure(1, `something is under way there after ${wait} yet; what was asked for is done.`)
}
