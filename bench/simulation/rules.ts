/**
 * The published rules of others, on the same streams: written anew from what their documentation and source say.
 *
 * Flagger, by its example: every minute the last one, success ≥ 99 % and p99 ≤ 500 ms, and no traffic is a failed check; back at the
 * check after the fifth that failed, whatever that one says (scheduler.go). Argo Rollouts, as in its example: success ≥ 95 % of 5
 * minutes, back on the fourth failure (`failed > failureLimit`, analysis.go); the strict one: every minute, at the first. Without
 * traffic Argo is taken to find nothing amiss: what it does depends on how the query is written. The script: more than 5 % of
 * 300 s failed, looked at every 15 s. Whatever has not gone back after `count` checks advances.
 */

/** Counts of one second of a stream. */
export interface Second {
  readonly canary: number
  readonly canaryBad: number
  /** Answers that took longer than Flagger's example allows. */
  readonly canaryLate: number
}

/** What becomes of the release; null while it is watched. */
export type Decided = 'back' | 'advanced' | null

/** Watches a stream second by second. */
export interface Rule {
  readonly name: string
  start(): (second: Second, at: number) => Decided
}

interface Checks {
  readonly everyS: number
  readonly overS: number
  readonly successMin: number
  /** Share of answers that may be late; Infinity where nobody looks. */
  readonly lateMax: number
  /** Failed checks that are still borne. */
  readonly failuresMax: number
  /** Checks until the release advances. */
  readonly count: number
  /** A check without traffic has failed. */
  readonly wantsTraffic: boolean
  /** Goes back only at the check after the one that was too many. */
  readonly isAfter: boolean
}

/** How long a release stays at its weight, whoever judges it. */
export const STAYS_S = 1_800

const ARGO = { successMin: 0.95, lateMax: Infinity, wantsTraffic: false, isAfter: false }

const byChecks = (name: string, checks: Checks): Rule => ({
  name,
  start() {
    const { everyS, overS, failuresMax } = checks
    const all = new Float64Array(overS)
    const bad = new Float64Array(overS)
    const late = new Float64Array(overS)
    let [failures, done] = [0, 0]
    return ({ canary, canaryBad, canaryLate }, at) => {
      all[at % overS] = canary
      bad[at % overS] = canaryBad
      late[at % overS] = canaryLate
      if ((at + 1) % everyS !== 0) return null
      if (checks.isAfter && failures > failuresMax) return 'back'
      if (isFailed(checks, sum(all), sum(bad), sum(late))) failures++
      done++
      if (!checks.isAfter && failures > failuresMax) return 'back'
      return done === checks.count ? 'advanced' : null
    }
  },
})

function isFailed({ successMin, lateMax, wantsTraffic }: Checks, all: number, bad: number, late: number): boolean {
  if (all === 0) return wantsTraffic
  return 1 - bad / all < successMin || late / all > lateMax
}

const sum = (values: Float64Array) => values.reduce((total, value) => total + value, 0)

export const RULES: readonly Rule[] = [
  byChecks('Flagger', {
    ...{ everyS: 60, overS: 60, successMin: 0.99, lateMax: 0.01, failuresMax: 4, count: STAYS_S / 60 },
    ...{ wantsTraffic: true, isAfter: true },
  }),
  byChecks('Argo, example', { ...ARGO, everyS: 300, overS: 300, failuresMax: 3, count: STAYS_S / 300 }),
  byChecks('Argo, strict', { ...ARGO, everyS: 60, overS: 60, failuresMax: 0, count: STAYS_S / 60 }),
  byChecks('script', { ...ARGO, everyS: 15, overS: 300, failuresMax: 0, count: STAYS_S / 15 }),
]
