/**
 * Whether what is compared has stayed much the same from one interval to the next. Pure.
 *
 * Counts from outside are of both versions, but never of quite the same moments: a scrape of one target comes some seconds after
 * that of another, and so does a post. When an outage that both share ends in between, the version that is told later looks far worse. So an
 * interval in which the share of bad ones of the control is not what it was just before is not counted, nor is the one after it. Equal
 * intervals differ so much in 1 of 15,000 cases, which is all that this choice takes from the budget of false alarms.
 */

/** Square of the standard deviations by which two shares may differ. */
const DEVIATIONS2 = 16
/** Intervals that are left out once one differs: itself, and the one in which the other version's change may show. */
const LEFT_OUT = 2

export const UNSTEADY =
  'what it is compared with went bad more or less often than just before: this interval is not counted'

export class Steady {
  #before: { readonly all: number; readonly bad: number } | null = null
  #leftOut = 0

  /** Takes the control's counts of an interval; true when they may be compared. */
  take(all: number, bad: number): boolean {
    if (all === 0) return this.#leftOut === 0
    const before = this.#before
    this.#before = { all, bad }
    if (before !== null && differ(before, { all, bad })) this.#leftOut = LEFT_OUT
    else if (this.#leftOut > 0) this.#leftOut--
    return this.#leftOut === 0
  }
}

function differ(a: { readonly all: number; readonly bad: number }, b: typeof a): boolean {
  const share = (a.bad + b.bad) / (a.all + b.all)
  const variance = share * (1 - share) * (1 / a.all + 1 / b.all)
  return (a.bad / a.all - b.bad / b.all) ** 2 > DEVIATIONS2 * variance
}
