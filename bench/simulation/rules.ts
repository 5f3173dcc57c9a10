/**
 * The published rules of others, on the same streams: written anew from what their documentation and source say.
 *
 * Flagger: every minute the success rate of the last one, and no traffic is a failed check; back on the check after the fifth that
 * failed (scheduler.go). Argo Rollouts, as in its example: success ≥ 95 % of 5 minutes, back on the fourth failure (`failed >
 * failureLimit`, analysis.go); the strict one: every minute, at the first. The script: more than 5 % of 300 s failed, looked at every 15 s.
 */

/** Counts of one second of a stream. */
export interface Second {
  readonly canary: number
  readonly canaryBad: number
}

/** Watches a stream second by second; true when it rolls back. */
export interface Rule {
  readonly name: string
  start(): (second: Second, at: number) => boolean
}

interface Checks {
  readonly everyS: number
  readonly overS: number
  readonly successMin: number
  /** Failed checks that are still borne. */
  readonly failuresMax: number
  /** A check without traffic has failed. */
  readonly wantsTraffic: boolean
}

const byChecks = (name: string, checks: Checks): Rule => ({
  name,
  start() {
    const { everyS, overS, successMin, failuresMax, wantsTraffic } = checks
    const all = new Float64Array(overS)
    const bad = new Float64Array(overS)
    let failures = 0
    return ({ canary, canaryBad }, at) => {
      all[at % overS] = canary
      bad[at % overS] = canaryBad
      if ((at + 1) % everyS !== 0) return false
      const sum = (values: Float64Array) => values.reduce((total, value) => total + value, 0)
      const answers = sum(all)
      if (answers === 0 ? wantsTraffic : 1 - sum(bad) / answers < successMin) failures++
      return failures > failuresMax
    }
  },
})

export const RULES: readonly Rule[] = [
  byChecks('Flagger', { everyS: 60, overS: 60, successMin: 0.99, failuresMax: 5, wantsTraffic: true }),
  byChecks('Argo, example', { everyS: 300, overS: 300, successMin: 0.95, failuresMax: 3, wantsTraffic: false }),
  byChecks('Argo, strict', { everyS: 60, overS: 60, successMin: 0.95, failuresMax: 0, wantsTraffic: false }),
  byChecks('script', { everyS: 15, overS: 300, successMin: 0.95, failuresMax: 0, wantsTraffic: false }),
]
