/**
 * How many answers go bad together by themselves, when one target hiccups: measured between the targets of the control.
 *
 * The origin test takes it that answers of one version go bad one by one unless the version is at fault. A target that pauses
 * makes five bad at once, and with one canary target of ten, half of all equal releases would be rolled back. So per slice of time we
 * ask how much more the targets of the control differ in their bad answers than chance allows (χ² over its degrees of freedom); bets are
 * then paid out only by that root (1/size). What both versions share, a burst or an outage, is no clump. It is a correction by
 * measurement, not a theorem, and a control of one target cannot show any: then it is 1.
 */

/** Answers of a target in a slice of time. */
export interface SliceCounts {
  readonly all: number
  readonly bad: number
}

/** Time over which answers of the targets are compared. */
export const SLICE_MS = 10_000
/** As though so many degrees of freedom without any clump had been seen before. */
const PRIOR = 20
/** Below this it is taken for chance. */
const NOTICED = 1.25

export interface ClumpState {
  readonly x2: number
  readonly dof: number
}

/** Nothing was seen yet. */
export const NO_CLUMP: ClumpState = Object.freeze({ x2: 0, dof: 0 })

export class Clump {
  #x2: number
  #dof: number

  constructor(state = NO_CLUMP) {
    this.#x2 = state.x2
    this.#dof = state.dof
  }

  /** Takes what the targets of the control have answered in a slice. */
  take(targets: readonly SliceCounts[]): void {
    const active = targets.filter(({ all }) => all > 0)
    const all = active.reduce((sum, target) => sum + target.all, 0)
    const bad = active.reduce((sum, target) => sum + target.bad, 0)
    if (active.length < 2 || bad === 0 || bad === all) return
    const rate = bad / all
    for (const target of active) this.#x2 += (target.bad - target.all * rate) ** 2 / (target.all * rate * (1 - rate))
    this.#dof += active.length - 1
  }

  /** Answers that go bad together: 1 when they do so one by one. */
  get size(): number {
    const dispersion = (this.#x2 + PRIOR) / (this.#dof + PRIOR)
    return dispersion < NOTICED ? 1 : 1 + 2 * (dispersion - 1)
  }

  get state(): ClumpState {
    return { x2: this.#x2, dof: this.#dof }
  }
}
