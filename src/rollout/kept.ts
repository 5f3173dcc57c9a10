/**
 * A rollout as it is kept: its value, and what it needs to go on after a restart. Plain data.
 *
 * What may be absent was not there in older versions of Turnout, which may have begun it.
 */
import type { ToldGate } from './gates/gate-log.ts'
import type { TakenByRun } from './pooled.ts'
import { isRolling } from './rolling.ts'
import { isOver, livePoolsOf, type Rollout, type RolloutEvent, type State } from './rollout.ts'
import type { Standby } from './standby.ts'
import type { ToldVerdict } from './told.ts'
import type { Before, TestStates } from './verdict.ts'
import type { Wish } from './wish.ts'

/** A state that it came to. */
export interface Passage {
  readonly atMs: number
  readonly state: State
  /** Per cent of the traffic. */
  readonly weight: number
  readonly reason: string | null
}

/** States that its history has at most. */
const HISTORY_MAX = 1_000

/** What a person has gone on in spite of. */
export interface Forgiven {
  /** Failed answers of the new version, which are not in its harm budget any more. */
  readonly harm: number
  /** Verdicts. */
  readonly times: number
}

export interface Kept {
  readonly service: string
  /** The pool that had most of the traffic. */
  readonly from: string
  readonly wish: Wish
  readonly rollout: Rollout
  /** Who has asked for what it does now: to begin, to resume, promote or abort it; null where it goes on by itself. */
  readonly askedBy?: string | null
  /** It has a schedule that is not asked: who has begun it has said so. */
  readonly isHurried?: boolean
  /** Wall times in ms. */
  readonly startedAtMs: number
  readonly updatedAtMs: number
  readonly endedAtMs: number | null
  readonly history: readonly Passage[]
  /** What it has replaced, once it is done. */
  readonly standby?: Standby
  /** What its gates have come to; a rollout that an older Turnout has begun has none. */
  readonly gates?: readonly ToldGate[]
  /** What was known of the live pool when it began; absent where an older Turnout has begun it. */
  readonly live?: Before
  /** The tests of each metric as they stood when it was kept last; null before traffic. */
  readonly tests: readonly TestStates[] | null
  /** What these are of: what was taken of each instance; absent where there is one only, or an older Turnout has kept it. */
  readonly taken?: TakenByRun | undefined
  /** Posts that these have, or never will, by metric (given/keys.ts); absent where none came under a key, and once it is over. */
  readonly postKeys?: Readonly<Record<string, string>> | undefined
  /** Answers of the new version in this step; absent where an older Turnout has kept it. */
  readonly answers?: number
  /** The verdict as it was last told. */
  readonly verdict: ToldVerdict | null
  /** Failed answers of the new version. */
  readonly harm: number
  /** Absent: nothing. */
  readonly forgiven?: Forgiven
  /** Number of the step that traffic is counted for. */
  readonly step: number
}

const DONE = { pause: 'paused', resume: 'resumed', promote: 'promoted', abort: 'aborted' } as const

/** As it is kept when its rollout is elsewhere than before; what `isTold` of that goes into its history. */
export function entered(kept: Kept, atMs: number, isTold: boolean, event: RolloutEvent): Kept {
  const { rollout, history, askedBy } = kept
  const { state, weight } = rollout
  const reason = rollout.reason ?? ('by' in event ? `${DONE[event.type]} by ${event.by}` : null)
  // A person's word holds until it goes on by itself, hooks and shifts that come of it included.
  const isItself = event.type === 'look' || event.type === 'failed'
  return {
    ...kept,
    askedBy: 'by' in event ? event.by : isItself ? null : (askedBy ?? null),
    updatedAtMs: atMs,
    endedAtMs: isOver(rollout) ? atMs : null,
    ...(isOver(rollout) && { standby: standbyOf(kept, atMs) }),
    history: isTold ? [...history, { atMs, state, weight, reason }].slice(-HISTORY_MAX) : history,
  }
}

/** The standby of a rollout that is done now. */
function standbyOf({ rollout, wish: { standbyMs = 0 } }: Kept, nowMs: number): Standby | undefined {
  if (rollout.state !== 'done' || standbyMs === 0 || isRolling(rollout)) return undefined
  return { pools: livePoolsOf(rollout), untilMs: nowMs + standbyMs, isOver: false }
}

/** Whether one that was seen has come further than what is kept of the same one; it has where nothing is. */
export const isNewer = (seen: Kept, kept: Kept | null | undefined): boolean =>
  kept == null || seen.step > kept.step || seen.rollout.works > kept.rollout.works
