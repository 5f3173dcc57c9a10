/**
 * Whether a failure that this instance has counted may still stand in an open stratum where it is judged (strata.ts): then what comes after it
 * decides, good or bad, and is worth telling at once. Pure.
 *
 * Nobody here knows where the strata of whoever judges end; but with one more of full size behind it, the one with the failure is closed.
 */
import type { Stratum } from './origin-test.ts'
import { isStratum } from './strata.ts'

const NONE: Stratum = { canary: 0, canaryBad: 0, control: 0, controlBad: 0 }

export class Unsettled {
  /** What has come since the last failure; null where none is open. */
  #since: Stratum | null = null

  /** Takes what has come, and tells whether it is worth telling at once; `share` is the part of the traffic that the canary is given. */
  take(came: Stratum, share: number): boolean {
    if (came.canaryBad > 0) {
      this.#since = NONE
      return true
    }
    if (this.#since === null || came.canary + came.control === 0) return false
    if (!(share > 0 && share < 1)) return false
    const { canary, control } = this.#since
    const now = { ...NONE, canary: canary + came.canary, control: control + came.control }
    this.#since = isStratum(now.canary + 1, now.control, share) ? null : now
    return true
  }

  /** What was open counts no more. */
  drop(): void {
    this.#since = null
  }
}
