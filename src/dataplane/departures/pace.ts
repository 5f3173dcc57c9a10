/**
 * How fast the tunnels and streams of one service are let go: a steady, jittered pace, which follows how those fare who will take them. Pure:
 * time and chance are given.
 *
 *   steady ──reconnects fail──► slowed ──all is well for a while──► steady
 *      └────nobody would take them────► stopped ──somebody would──► slowed
 *
 * Once a second it is said how many have opened a tunnel at those targets and how many were refused. Every second in which more than a tenth
 * fails halves the pace, down to a thirty-second of it: so a pool that takes only some is not asked for more than it takes, and it is seen when
 * it takes all again. A second in which all is well brings back half as much again. Where nobody could take them, nobody is let go.
 *
 * Invariants: the pace never exceeds what was asked for; what was missed while it was slow, or while the worker was busy, is not made up
 * for in one go; the distances between two are drawn from half to one and a half times the mean, so nothing comes in step.
 */
import type { PaceState } from '../../metrics/departures.ts'

/** What was seen of those who will take them: too many failures, none, none for so long that the full pace is reached, or nobody at all. */
type Sight = 'failing' | 'well' | 'recovered' | 'nobody'

const NEXT: Readonly<Record<PaceState, Readonly<Record<Sight, PaceState>>>> = {
  steady: { failing: 'slowed', well: 'steady', recovered: 'steady', nobody: 'stopped' },
  slowed: { failing: 'slowed', well: 'slowed', recovered: 'steady', nobody: 'stopped' },
  stopped: { failing: 'slowed', well: 'slowed', recovered: 'slowed', nobody: 'stopped' },
}

/** Share of refused reconnects from which on the pace falls. */
const FAILING_SHARE = 0.1
const PART_MIN = 1 / 32
const SLOWER = 1 / 2
const FASTER = 3 / 2
/** More than the pace of so long is never let go in one go. */
const MISSED_MS_MAX = 250

/** What has happened in a second at those who will take them, over all workers. */
export interface Reconnects {
  readonly opened: number
  readonly refused: number
  /** Somebody would take them now. */
  readonly isTaken: boolean
}

export class Pace {
  state: PaceState = 'steady'
  /** What of the full pace is left, 0 to 1. */
  part = 1
  /** When the next one goes; below 0 when that was not drawn yet. */
  #nextMs = -1
  readonly #chance: () => number

  /** `chance` draws from [0, 1). */
  constructor(chance: () => number) {
    this.#chance = chance
  }

  /** Follows what was seen in the last second. */
  look({ opened, refused, isTaken }: Reconnects): void {
    const isFailing = refused > FAILING_SHARE * (opened + refused)
    const wasStopped = this.state === 'stopped'
    if (!isTaken) this.#enter('nobody')
    else if (isFailing) {
      this.part = Math.max(PART_MIN, this.part * SLOWER)
      this.#enter('failing')
    } else {
      // It begins slowly with those who had been gone.
      this.part = wasStopped ? PART_MIN : Math.min(1, this.part * FASTER)
      this.#enter(this.part === 1 ? 'recovered' : 'well')
    }
  }

  #enter(sight: Sight): void {
    this.state = NEXT[this.state][sight]
    if (this.state === 'stopped') this.#nextMs = -1
  }

  /** How many go now, `most` at most, where so many a second are to go at the full pace. To be asked often; `nowMs` never goes back. */
  due(nowMs: number, perSecond: number, most: number): number {
    if (this.state === 'stopped' || perSecond <= 0) return 0
    const gapMs = 1_000 / (perSecond * this.part)
    if (this.#nextMs < 0) this.#nextMs = nowMs + gapMs * this.#chance()
    this.#nextMs = Math.max(this.#nextMs, nowMs - MISSED_MS_MAX)
    // One that was drawn at a slower pace does not hold up the present one.
    this.#nextMs = Math.min(this.#nextMs, nowMs + 2 * gapMs)
    let due = 0
    while (this.#nextMs <= nowMs && due < most) {
      due++
      this.#nextMs += gapMs * (0.5 + this.#chance())
    }
    return due
  }
}
