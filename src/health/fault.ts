/**
 * When the attempts at a target speak against it, beside those at the other targets of its pool. Pure.
 *
 *   3 connections in a row could not be opened, or 5 attempts in a row have failed, or
 *   its share of failed attempts is at least 15 %, twice that of the others,
 * and it is all but impossible (1 in a million) that a target which is as good as the others looks like that. A fault that all have
 * (a database, a bad request that everybody sends) is no reason to send all the traffic to half of them.
 *
 * Beside targets that do not fail, 5 in a row are enough at once. When the others fail too, sums cannot tell whether they do so for
 * as long as this one, or began together with it a moment ago. Then the row is in doubt, and is judged by what the others do from
 * there on: a target that fails always is told from those that fail half of the time by some twenty failures in a row.
 *
 * In a row means: as one worker has seen it (the gauges in its lane), or no worker has seen a good attempt since. A sweep sees
 * sums only, so a target that answers well now and then would never fail "in a row" by them.
 *
 * Envoy's figures are 5 in a row, and a share beyond 1.9 standard deviations of at least five hosts; ours must do for two.
 */

/** The limits; times in milliseconds. */
const FAILURES_IN_ROW = 5
const CONNECT_ERRORS_IN_ROW = 3
/** What happens to a target as good as the others with this probability or more tells nothing. */
const CHANCE = 1e-6
const SHARE_MIN = 0.15
/** How often the share of the others. */
const WORSE = 2
/** Attempts at the target before its share says anything. */
const ATTEMPTS_MIN = 20
/** Attempts at the others, or time, after which it is clear what a row in doubt is to be compared with. */
export const DOUBT_ATTEMPTS = 20
const DOUBT_MS = 10_000

/** What one worker has counted at a target. */
export interface LaneCounts {
  readonly failed: number
  /** Failed attempts since its last good one, and those of them at the end that got no connection. */
  readonly failuresInRow: number
  readonly connectErrorsInRow: number
}

/** Attempts that have ended at a target and at the others of its pool, between two moments. */
export interface Grown {
  readonly good: number
  readonly failed: number
  readonly othersGood: number
  readonly othersFailed: number
}

/** What is known of a target at a sweep. */
export interface Evidence {
  readonly lanes: readonly LaneCounts[]
  /** Failed attempts in each lane that are not held against it. */
  readonly excused: readonly number[]
  /** Whether this sweep has found a good attempt. */
  readonly isGoodNow: boolean
  /** Since the last sweep but this that has found a good attempt. */
  readonly sinceGood: Grown
  /** Since its row is in doubt, and for how long that is; null when it is not. */
  readonly sinceDoubt: Grown | null
  readonly doubtMs: number
  /** In the last `DOUBT_ATTEMPTS` attempts at the others and some more. */
  readonly lately: Grown
  /** In the present window, and in that and the one before. */
  readonly inWindow: Grown
  readonly inWindows: Grown
}

/** What is to be done about a target: nothing, to look at it again, or to eject it for a reason that people are told. */
export type Finding = 'good' | 'doubtful' | { readonly fault: string }

/** Judges a target. */
export function findingOf(evidence: Evidence): Finding {
  const share = shareFault(evidence.inWindow)
  if (share !== null) return { fault: share }
  const { failures, connectErrors } = rowsOf(evidence)
  const isUnreachable = connectErrors >= CONNECT_ERRORS_IN_ROW
  if (!isUnreachable && failures < FAILURES_IN_ROW) return 'good'
  if (isInDoubt(evidence, failures)) return 'doubtful'
  return { fault: isUnreachable ? `${connectErrors} connect errors in a row` : `${failures} failures in a row` }
}

/** The longest row of a worker, or all of them together while none has seen a good attempt. */
function rowsOf({ lanes, excused, isGoodNow, sinceGood }: Evidence): { failures: number; connectErrors: number } {
  const together = isGoodNow ? 0 : sinceGood.failed
  let longest = 0
  let connectsLongest = 0
  let connectsTogether = 0
  for (const [index, lane] of lanes.entries()) {
    const countable = lane.failed - (excused[index] ?? 0)
    const connects = Math.min(lane.connectErrorsInRow, countable)
    longest = Math.max(longest, Math.min(lane.failuresInRow, countable))
    connectsLongest = Math.max(connectsLongest, connects)
    connectsTogether += connects
  }
  return {
    failures: Math.max(longest, together),
    connectErrors: Math.max(connectsLongest, Math.min(connectsTogether, together)),
  }
}

/** Whether a target as good as the others may well have so many failures in a row. */
function isInDoubt({ sinceGood, sinceDoubt, doubtMs, lately, inWindows }: Evidence, failures: number): boolean {
  if (Math.max(othersShare(lately), othersShare(inWindows)) ** failures >= CHANCE) return true
  if (sinceDoubt === null) return sinceGood.othersFailed > 0
  if (sinceDoubt.othersGood + sinceDoubt.othersFailed < DOUBT_ATTEMPTS && doubtMs < DOUBT_MS) return true
  return othersShare(sinceDoubt) ** failures >= CHANCE
}

const othersShare = ({ othersGood, othersFailed }: Grown): number =>
  othersFailed === 0 ? 0 : othersFailed / (othersFailed + othersGood)

/** Whether the share of failed attempts is too high beside that of the others: by the likelihood of two shares over that of one. */
function shareFault({ good, failed, othersGood, othersFailed }: Grown): string | null {
  const attempts = good + failed
  const others = othersGood + othersFailed
  if (attempts < ATTEMPTS_MIN || failed < SHARE_MIN * attempts || others === 0) return null
  const share = failed / attempts
  const elsewhere = othersFailed / others
  if (share < WORSE * elsewhere) return null
  const together = (failed + othersFailed) / (attempts + others)
  const likelihood = logLikelihood(failed, good, together) + logLikelihood(othersFailed, othersGood, together)
  const apart = logLikelihood(failed, good, share) + logLikelihood(othersFailed, othersGood, elsewhere)
  if (likelihood - apart >= Math.log(CHANCE)) return null
  return `${percent(share)} of ${attempts} attempts failed, ${percent(elsewhere)} at the others`
}

/** Logarithm of the probability of so many failed and good attempts when each fails with probability `share`. */
function logLikelihood(failed: number, good: number, share: number): number {
  return (failed === 0 ? 0 : failed * Math.log(share)) + (good === 0 ? 0 : good * Math.log(1 - share))
}

const percent = (share: number): string => `${Math.round(share * 100)} %`
