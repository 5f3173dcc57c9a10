/**
 * The end of a rollout, as it stands in the intent of its service. Pure.
 *
 *   tried ── ends: done ──► done, noted ── ends: back, of the same rollout, and nothing has moved since ──► back
 *     └───── ends: back ──► back                └── any other end ──► nothing moves
 *
 * One that goes back leaves the service as it was: what `back` returns to and the hot standby are those of before it, but for the pool that it has
 * tried, which is no help. One that has moved nothing has ended nobody's pin.
 *
 * Once a rollout has ended its service is everybody's: whoever ends it again, since it was not known to have, moves nothing. But its last step may
 * have been on its way when somebody aborted it, and an abort that was answered means that traffic is back. So what is done is noted, and
 * forgotten as soon as the split moves (reconcile.ts) or the release is another one.
 */
import type { Change, PoolShift } from '../change.ts'
import { own } from '../config/record.ts'
import type { ServiceSpec, Weights } from '../config/schema.ts'
import { ANYWAY, TurnoutError } from '../errors.ts'
import { sameShares } from '../table/allotment.ts'
import type { BegunTrial, ServiceIntent } from '../table/status.ts'
import type { Trial } from '../table/types.ts'
import type { Content } from './reconcile.ts'
import type { Issuer } from './releases.ts'
import { listed } from './what-changed.ts'

type Shift = Extract<Change, { kind: 'shift' }>
type Intent = Pick<ServiceIntent, 'release' | 'trial' | 'done'>

/** Whether the shift still moves anything; one that ends nothing always does. */
export function mayMove({ trial, done, release }: Intent, { ends, rollout }: Shift): boolean {
  if (ends === undefined || trial !== undefined) return true
  return ends === 'back' && done?.rollout === rollout && done.release === release
}

/** Whether targets of one pool are replaced, or were last. */
const isInPlace = ({ trial, done }: Intent): boolean =>
  trial === undefined ? done?.pool !== undefined : trial.targets !== undefined

/** The end by which the split has moved: where nothing but targets of one pool was replaced there is none, so nobody's pin has to end. */
export const splitEnd = (intent: Intent, { ends }: Pick<Shift, 'ends'>): Shift['ends'] =>
  isInPlace(intent) ? undefined : ends

/** What a shift keeps of what was before its rollout, whose trial is `begun`, or begins now. */
export function begunAs(
  { trial, previous, fallback = [] }: ServiceIntent,
  tried: readonly string[],
  { weights, before }: Pick<Shift, 'weights' | 'before'>,
): Omit<BegunTrial, keyof Trial> {
  const moves = !sameShares(weights, before)
  if (trial === undefined) return { tried, before, hasMoved: moves, earlier: { previous, fallback } }
  const { hasMoved = true, earlier } = trial
  return { tried, before, hasMoved: hasMoved || moves, ...(earlier && { earlier }) }
}

/** Whether a rollout has moved the split; so it is taken of one of which that is not known. */
export const hasMoved = ({ trial }: Intent, split: Weights): boolean =>
  trial?.hasMoved !== false || trial.before === undefined || !sameShares(split, trial.before)

/** What `back` returns to once a rollout has gone back; `present` is what it returns to by now. */
export function previousOf(
  { trial }: Intent,
  moved: boolean,
  present: ServiceIntent['previous'],
  releases: Issuer,
): ServiceIntent['previous'] {
  const previous = moved ? (trial?.earlier?.previous ?? null) : present
  if (trial === undefined || previous === null || (own(previous.weights, trial.pool) ?? 0) > 0) return null
  // Its pins have ended with those of the rollout, and must not come back.
  return moved ? { ...previous, release: releases.next() } : previous
}

/** So long a `back` may be meant for a rollout that has gone back by itself. */
const MEANT_MS = 600_000

/** Throws `conflict` for a `back` soon after a rollout has gone back: whoever means that one would go further, with all the traffic. */
export function assertNotUndone({ intents }: Pick<Content, 'intents'>, change: Change, nowMs: number): void {
  if (change.kind !== 'back') return
  const { undone, previous } = own(intents, change.service) ?? {}
  if (undone === undefined || !previous || Math.abs(nowMs - undone.atMs) >= MEANT_MS) return
  const further = listed(previous.weights)
  const why = `Rollout ${undone.rollout} of ${change.service} has gone back already, and back would go further: to ${further}`
  throw new TurnoutError('conflict', `${why}. ${ANYWAY}`)
}

/** What the shift does to the pool itself: after what is done the way back gives it its version of before. */
export const poolShiftAfter = ({ trial, done }: Intent, { ends, pool }: Shift): PoolShift | undefined =>
  ends === 'back' && trial === undefined && done?.pool !== undefined ? { ...pool, ...done.pool } : pool

/** The note of a rollout that is done now, with this release; what it has tried, and `before`, the service, are as before its last shift. */
export function doneBy(
  { rollout }: Shift,
  release: string,
  { pool: name, targets }: Trial,
  before: ServiceSpec,
): ServiceIntent['done'] {
  return { rollout, release, ...(targets !== undefined && { pool: { name, version: before.pools[name].version } }) }
}
