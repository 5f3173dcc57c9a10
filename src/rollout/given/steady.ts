/**
 * Whether what is compared stays much the same from one interval to the next, and how far it does not. Pure.
 *
 * Counts from outside are of both versions, but never of quite the same moments: a scrape of one target comes some seconds after
 * that of another, and so does a post. When an outage that both share ends in between, the version that is told later looks far worse. So:
 * - An interval in which the share of bad ones of the control is not what it was just before is not counted, nor are the three after it. Equal
 *   intervals differ so much in 1 of 15,000 cases, which is all that this choice takes from the budget of false alarms.
 * - Where the share goes up and down all the time, that is not enough: two intervals may be alike by chance of when they begin. So what
 *   it varies beyond chance is measured, and bets are paid out only by that root, as with answers that go bad in clumps (clump.ts).
 */
import type { ClumpState } from '../clump.ts'

/** Square of the standard deviations by which two shares may differ. */
const DEVIATIONS2_MAX = 16
/** Intervals that are left out once one differs: itself, the one in which the other version's change may show, and what may follow. */
const LEFT_OUT = 4

const FIRST = 'the first interval since the start: it only says how often what it is compared with goes bad'
const UNSTEADY = 'what it is compared with went bad more or less often than just before: this interval is not counted'

interface Counts {
  readonly all: number
  readonly bad: number
}

export class Steady {
  #before: Counts | null = null
  #leftOut = 0
  #x2 = 0
  #dof = 0

  /** How far intervals differ beyond chance. */
  get clump(): ClumpState {
    return { x2: this.#x2, dof: this.#dof }
  }

  /** What keeps intervals from being counted now; null when nothing does. */
  get reason(): string | null {
    return this.#leftOut > 0 ? UNSTEADY : null
  }

  /** Why the next interval will not be counted, whatever comes; null where that is not known yet. */
  get next(): string | null {
    if (this.#before === null) return FIRST
    return this.#leftOut > 1 ? UNSTEADY : null
  }

  /** Takes the control's counts of an interval; why it may not be compared, or null. The first one only says how the next should be. */
  take(all: number, bad: number): string | null {
    const before = this.#before
    if (all > 0) this.#before = { all, bad }
    if (before === null) return FIRST
    const apart = all > 0 ? deviations2(before, { all, bad }) : null
    if (apart !== null) {
      // One outage is left out, and should not be held against all that comes after.
      this.#x2 += Math.min(apart, DEVIATIONS2_MAX)
      this.#dof++
    }
    if (apart !== null && apart > DEVIATIONS2_MAX) this.#leftOut = LEFT_OUT
    else if (this.#leftOut > 0) this.#leftOut--
    return this.reason
  }
}

/** How many standard deviations two shares are apart, squared; null where all or none went bad, which tells nothing. */
function deviations2(a: Counts, b: Counts): number | null {
  const share = (a.bad + b.bad) / (a.all + b.all)
  if (share === 0 || share === 1) return null
  return (a.bad / a.all - b.bad / b.all) ** 2 / (share * (1 - share) * (1 / a.all + 1 / b.all))
}
