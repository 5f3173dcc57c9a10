/**
 * The options by which a user insists on a change that would be refused: `--force`, and `--wait` for a pool that no probe has found healthy
 * yet. What is refused, and why, is the API's.
 */
import { type Call, durationGiven } from './verb.ts'

/** `--force`, of every verb that makes a change. */
export const FORCE = {
  options: { force: { type: 'boolean' } },
  help: [['--force', 'Do it even where nobody would be left to answer, or a pool is not proven or too small']],
} as const

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
