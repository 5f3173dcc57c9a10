/**
 * The options by which a user insists on a change that would be refused: `--force`, `--prune`, and `--wait` for a pool that no probe has
 * found healthy yet. What is refused, and why, is the API's.
 */
import { durationMs } from '../config/duration.ts'
import { usageFailure } from './failure.ts'
import type { Call } from './verb.ts'

/** `--force`, of every verb that makes a change. */
export const FORCE = {
  options: { force: { type: 'boolean' } },
  help: [['--force', 'Do it even where nobody would be left to answer, or a pool is not proven']],
} as const

/** `--prune`, of the verbs that apply a file. */
export const PRUNE = {
  options: { prune: { type: 'boolean' } },
  help: [['--prune', 'Remove the services that the file no longer has']],
} as const

/** A path with what the user insists on. */
export function insisting(path: string, { options }: Pick<Call, 'options'>): string {
  const given = ['force', 'prune'].filter((name) => options[name] === true)
  return given.length === 0 ? path : `${path}?${given.map((name) => `${name}=true`).join('&')}`
}

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
  if (typeof wait !== 'string') return {}
  try {
    return { wait, waitMs: durationMs(wait) }
  } catch {
    throw usageFailure(`--wait must be a duration such as 10s, not "${wait}".`)
  }
}
