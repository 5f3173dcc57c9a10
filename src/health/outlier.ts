/**
 * Passive ejection: which targets failed the traffic itself, from the attempts that the workers have counted. Pure. What speaks
 * against a target is said in fault.ts; here are the sums, the windows, and the limits of what is done about it.
 * Each address of a target is looked at by itself; below, a target is one of its addresses.
 *
 * A target is ejected for 10 s × how often it was ejected lately, at most 300 s; forgotten after 300 s without an ejection.
 * (Envoy begins with 30 s; a target of ours that still fails is ejected again at once.)
 *
 * Invariants: at most half of a pool is ejected, so a pool of one never is; the last eligible target stays; ejection ends
 * by time alone (the table compares with the clock), health and admin state are other axes. What fails while a target takes no
 * part (ejected, unhealthy, not ready) is held against nobody: it begins anew afterwards. The memory holds exactly the targets
 * of the last sweep, so it cannot grow.
 */
import { EJECTION_MS_MAX } from '../table/status.ts'
import { DOUBT_ATTEMPTS, type Evidence, findingOf, type Grown, type LaneCounts } from './fault.ts'

/** Attempts at a target so far, summed over all workers, and in each lane. */
export interface TargetCounts {
  readonly good: number
  readonly failed: number
  readonly lanes: readonly LaneCounts[]
}

/** One address of a target of a pool as a sweep finds it. */
export interface OutlierTarget {
  readonly url: string
  readonly address: string
  /** Counter slot; when it changes, the totals are those of another life. */
  readonly slot: number
  readonly counts: TargetCounts
  /** Ready and not unhealthy: takes traffic unless ejected. */
  readonly eligible: boolean
  /** Steady time in ms; 0 when not ejected. */
  readonly ejectedUntilMs: number
}

/** Sums at some moment: of a target, and of all of its pool. */
interface Mark {
  readonly atMs: number
  readonly good: number
  readonly failed: number
  readonly poolGood: number
  readonly poolFailed: number
}

/** What is remembered of a target between sweeps. */
export interface TargetMemory {
  readonly slot: number
  readonly counts: TargetCounts
  /** What it has added to the sums of the pool: all that was counted while it took part. */
  readonly good: number
  readonly failed: number
  /** Failed attempts in each lane that are not held against it. */
  readonly excused: readonly number[]
  /** The last sweep that has found a good attempt. */
  readonly lastGood: Mark
  /** Since when its row of failures is in doubt; null when it is not. */
  readonly doubted: Mark | null
  /** The others have had `DOUBT_ATTEMPTS` attempts between these two, and fewer since the later. */
  readonly recent: Mark
  readonly recentBefore: Mark
  /** Begin of the present window, and of the one before. */
  readonly window: Mark
  readonly windowBefore: Mark
  readonly ejections: number
  readonly ejectedUntilMs: number
}

export interface PoolMemory {
  readonly good: number
  readonly failed: number
  readonly targets: ReadonlyMap<string, TargetMemory>
}

export interface Ejection {
  readonly url: string
  readonly address: string
  readonly untilMs: number
  /** For people. */
  readonly detail: string
}

/** How long things last, in milliseconds. */
export const OUTLIER = Object.freeze({
  ejectionMs: 10_000,
  ejectionMsMax: EJECTION_MS_MAX,
  quietMs: 300_000,
  /** A window lasts this long and for so many attempts at the target, or the longest time. */
  windowMs: 10_000,
  windowAttempts: 100,
  windowMsMax: 300_000,
})

/** What is remembered before the first sweep. */
export const NOTHING_SWEPT: PoolMemory = Object.freeze({ good: 0, failed: 0, targets: new Map() })

/** One sweep over the targets of a pool: whom to eject, and what to remember for the next one. Steady time in ms. */
export function sweepPool(
  before: PoolMemory,
  targets: readonly OutlierTarget[],
  nowMs: number,
): { memory: PoolMemory; ejections: readonly Ejection[] } {
  const grown = targets.map((target) => growthOf(target, before.targets.get(keyOf(target)), nowMs))
  const poolGood = grown.reduce((sum, { good }) => sum + good, before.good)
  const poolFailed = grown.reduce((sum, { failed }) => sum + failed, before.failed)
  const next = new Map<string, TargetMemory>()
  const ejections: Ejection[] = []
  let ejected = targets.filter((target) => isEjected(target, before.targets.get(keyOf(target)), nowMs)).length
  let left = grown.filter(({ takesPart }) => takesPart).length
  for (const [index, target] of targets.entries()) {
    const known = before.targets.get(keyOf(target))
    const { takesPart, isKnown, good, failed } = grown[index]
    const sums = { good: (known?.good ?? 0) + good, failed: (known?.failed ?? 0) + failed }
    const mark = { atMs: nowMs, ...sums, poolGood, poolFailed }
    const fresh = anew(target, known, mark)
    next.set(keyOf(target), fresh)
    if (!takesPart || !isKnown) continue
    const mayLeave = (ejected + 1) * 2 <= targets.length && left > 1
    const finding = mayLeave ? findingOf(evidenceOf(target, known!, mark)) : 'good'
    if (typeof finding === 'string') next.set(keyOf(target), goOn(fresh, known!, finding === 'doubtful'))
    else {
      const after = eject(fresh, nowMs)
      next.set(keyOf(target), after)
      const { ejectedUntilMs: untilMs } = after
      const { url, address } = target
      ejections.push({ url, address, untilMs, detail: `${finding.fault}, for ${(untilMs - nowMs) / 1000} s` })
      ejected++
      left--
    }
  }
  return { memory: { good: poolGood, failed: poolFailed, targets: next }, ejections }
}

const keyOf = ({ url, address }: OutlierTarget): string => `${url} ${address}`

const isEjected = (target: OutlierTarget, known: TargetMemory | undefined, nowMs: number): boolean =>
  Math.max(target.ejectedUntilMs, known?.ejectedUntilMs ?? 0) > nowMs

/** What was counted since the last sweep; nothing while the target takes no part, or when it is not the one that was known. */
function growthOf(target: OutlierTarget, known: TargetMemory | undefined, nowMs: number) {
  const { good, failed } = target.counts
  const takesPart = target.eligible && !isEjected(target, known, nowMs)
  const isKnown =
    known !== undefined && known.slot === target.slot && good >= known.counts.good && failed >= known.counts.failed
  if (!takesPart || !isKnown) return { takesPart, isKnown, good: 0, failed: 0 }
  return { takesPart, isKnown, good: good - known.counts.good, failed: failed - known.counts.failed }
}

function evidenceOf(target: OutlierTarget, known: TargetMemory, now: Mark): Evidence {
  const { doubted } = known
  return {
    lanes: target.counts.lanes,
    excused: known.excused,
    isGoodNow: now.good > known.good,
    sinceGood: between(known.lastGood, now),
    sinceDoubt: doubted === null ? null : between(doubted, now),
    doubtMs: doubted === null ? 0 : now.atMs - doubted.atMs,
    lately: between(known.recentBefore, now),
    inWindow: between(known.window, now),
    inWindows: between(known.windowBefore, now),
  }
}

function between(then: Mark, now: Mark): Grown {
  const good = now.good - then.good
  const failed = now.failed - then.failed
  const othersGood = now.poolGood - then.poolGood - good
  const othersFailed = now.poolFailed - then.poolFailed - failed
  return { good, failed, othersGood, othersFailed }
}

/** The memory of a target that nothing is held against as of now. */
function anew(target: OutlierTarget, known: TargetMemory | undefined, now: Mark): TargetMemory {
  const { slot, counts, ejectedUntilMs } = target
  const isForgotten = known === undefined || now.atMs - known.ejectedUntilMs >= OUTLIER.quietMs
  return {
    slot,
    counts,
    good: now.good,
    failed: now.failed,
    excused: counts.lanes.map(({ failed }) => failed),
    lastGood: now,
    doubted: null,
    recent: now,
    recentBefore: now,
    window: now,
    windowBefore: now,
    ejections: isForgotten ? 0 : known.ejections,
    ejectedUntilMs: Math.max(known?.ejectedUntilMs ?? 0, ejectedUntilMs),
  }
}

/** The same with what was known of it before. */
function goOn(fresh: TargetMemory, known: TargetMemory, isDoubtful: boolean): TargetMemory {
  const now = fresh.window
  const inWindow = between(known.window, now)
  const ageMs = now.atMs - known.window.atMs
  const isLong = ageMs >= OUTLIER.windowMs && inWindow.good + inWindow.failed >= OUTLIER.windowAttempts
  const isOver = isLong || ageMs >= OUTLIER.windowMsMax
  const { othersGood, othersFailed } = between(known.recent, now)
  const isPast = othersGood + othersFailed >= DOUBT_ATTEMPTS
  return {
    ...fresh,
    excused: known.excused,
    lastGood: now.good > known.good ? now : known.lastGood,
    doubted: isDoubtful ? (known.doubted ?? now) : null,
    recent: isPast ? now : known.recent,
    recentBefore: isPast ? known.recent : known.recentBefore,
    window: isOver ? now : known.window,
    windowBefore: isOver ? known.window : known.windowBefore,
  }
}

function eject(fresh: TargetMemory, nowMs: number): TargetMemory {
  const ejections = fresh.ejections + 1
  const lengthMs = Math.min(OUTLIER.ejectionMs * ejections, OUTLIER.ejectionMsMax)
  return { ...fresh, ejections, ejectedUntilMs: nowMs + lengthMs }
}
