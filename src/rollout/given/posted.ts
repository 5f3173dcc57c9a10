/**
 * A metric whose counts are posted: what of them counts, and that none counts twice. Pure.
 *
 * Counts of a time in which the step changed would compare what was decided under different weights, so they are dropped: whoever
 * says over what time he has counted is held to that; of anybody else the first post of a pool in a step is taken for such a one.
 *
 * What was counted for one side is put beside what was counted for the other as soon as both cover much the same time. That is at once where
 * both are posted together, and takes some more posts where one side is posted half a minute after the other. Each such interval is
 * judged, if nothing has moved meanwhile (steady.ts).
 *
 * A post that is sent again under its key changes nothing, and is answered by what has become of it (keys.ts), also after a restart.
 */
import type { ClumpState } from '../clump.ts'
import type { Stratum } from '../origin-test.ts'
import { Keys } from './keys.ts'
import type { PostedPlan } from './plan.ts'
import { Steady } from './steady.ts'
import { type Side, Tally } from './tally.ts'

/** Counts since the last post. */
export interface Post {
  readonly pool: string
  readonly good: number
  readonly bad: number
  /** Time over which was counted; null when nobody says. */
  readonly overMs: number | null
  /** The same for a post that is sent again; null for none. */
  readonly key: string | null
}

export interface PostAnswer {
  /** The tests have it, or get it once the other side has posted of much the same time, if nothing moves until then. */
  readonly counted: boolean
  /** Why it does not count. */
  readonly reason: string | null
}

/** Counts of a side, and the time that they are of. */
interface Span {
  readonly fromMs: number
  readonly toMs: number
  readonly all: number
  readonly bad: number
}

/** Part of the time that only one of two spans may cover. */
const APART_MAX = 0.2

function coverTheSame(a: Span, b: Span): boolean {
  const lengthMs = Math.max(a.toMs, b.toMs) - Math.min(a.fromMs, b.fromMs)
  return Math.abs(a.fromMs - b.fromMs) + Math.abs(a.toMs - b.toMs) <= APART_MAX * lengthMs
}

const answerOf = (reason: string | null): PostAnswer => ({ counted: reason === null, reason })

const DROPPED = answerOf('the step ended before it could be compared')

export class Posted {
  readonly plan: PostedPlan
  readonly #tally = new Tally()
  readonly #steady = new Steady()
  #spans: Record<Side, Span | null> = { canary: null, control: null }
  readonly #keys: Keys
  /** When pools have posted last in this step. */
  readonly #pools = new Map<string, number>()
  #beganAtMs = 0
  #isCompared = false

  /** `kept` is what `keptKeys` was before a restart. */
  constructor(plan: PostedPlan, kept?: string) {
    this.plan = plan
    this.#keys = new Keys(kept)
  }

  beginStep(isCompared: boolean, nowMs: number): void {
    this.#isCompared = isCompared
    this.#beganAtMs = nowMs
    this.#pools.clear()
    this.#spans = { canary: null, control: null }
    this.#tally.take()
    for (const stage of ['waits', 'judged'] as const) this.#keys.move(stage, 'settled', DROPPED)
  }

  /** What has come since the last call; the tests have it from then on. */
  take(): Stratum {
    this.#keys.move('judged', 'settled')
    return this.#tally.take()
  }

  /** Why the last interval did not count; null when it did. */
  get lastError(): string | null {
    return this.#steady.reason
  }

  /** How far what comes goes bad together by itself. */
  get clump(): ClumpState {
    return this.#steady.clump
  }

  /** The last keys whose posts the tests have, or never will; empty for none. */
  get keptKeys(): string {
    return this.#keys.kept
  }

  /** Takes a post; null when its key stood for another one. */
  post(post: Post, side: Side, nowMs: number): PostAnswer | null {
    const { key, pool, good, bad, overMs } = post
    const text = JSON.stringify([pool, good, bad, overMs])
    const before = key === null ? undefined : this.#keys.answerTo(key, text)
    if (before !== undefined) return before
    const refused = this.#whyNot(post, nowMs)
    if (key !== null) {
      this.#keys.add(key, text, answerOf(refused ?? this.#steady.next), refused === null ? 'waits' : 'settled')
    }
    const reason = refused ?? this.#add(post, side, nowMs)
    this.#pools.set(pool, nowMs)
    return answerOf(reason)
  }

  #whyNot({ pool, overMs }: Post, nowMs: number): string | null {
    if (!this.#isCompared) return 'now nothing is compared: one side has all the traffic'
    if (overMs === null) {
      return this.#pools.has(pool) ? null : `the first of ${pool} in this step: it may be of requests before it`
    }
    const sinceMs = nowMs - this.#beganAtMs
    return overMs <= sinceMs ? null : `the step began ${sinceMs} ms ago, and this reaches back ${overMs} ms`
  }

  /** Takes it; why the interval that it is of is not counted, as far as that is known. */
  #add({ pool, good, bad, overMs }: Post, side: Side, nowMs: number): string | null {
    const fromMs = overMs === null ? (this.#pools.get(pool) ?? nowMs) : nowMs - overMs
    const before = this.#spans[side] ?? { fromMs, toMs: nowMs, all: 0, bad: 0 }
    this.#spans[side] = {
      fromMs: Math.min(before.fromMs, fromMs),
      toMs: nowMs,
      all: before.all + good + bad,
      bad: before.bad + bad,
    }
    const { canary, control } = this.#spans
    if (canary === null || control === null || !coverTheSame(canary, control)) return this.#steady.next
    this.#spans = { canary: null, control: null }
    const reason = this.#steady.take(control.all, control.bad)
    if (reason !== null) {
      this.#keys.move('waits', 'settled', answerOf(reason))
      return reason
    }
    this.#keys.move('waits', 'judged')
    this.#tally.add('canary', canary.all, canary.bad)
    this.#tally.add('control', control.all, control.bad)
    return null
  }
}
