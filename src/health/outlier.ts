/**
 * Passive ejection: which targets failed the traffic itself, from what the workers counted since the last sweep. Pure.
 *
 * Rule per target, over results in a row (a sweep that saw any success starts the count again):
 *   3 connect errors, or 5 failures (5xx, time-outs, broken answers, connect errors)  →  ejected
 *   for 10 s × how often it was ejected lately, at most 300 s; forgotten after 300 s without an ejection
 *
 * Counters have no order within a sweep, so failures mixed with successes are not held against a target: slower to eject
 * than to look at each request, never unjust. Envoy's figures are 5 in a row, 30 s and 300 s; ours start at 10 s because
 * the sweep is twenty times as frequent and a target that still fails is ejected again at once.
 * Invariants: at most half of a pool is ejected, so a pool of one never is; the last eligible target stays; ejection ends
 * by time alone (the table compares with the clock), health and admin state are other axes. The memory holds exactly the
 * targets of the last sweep, so it cannot grow.
 */

/** Running totals of one target, summed over all workers. */
export interface TargetCounts {
  /** Answers below 500: the target works, whatever the client asked for. */
  readonly successes: number
  /** Answers from 500 on, ours in its place included. */
  readonly answered5xx: number
  /** Answers of our own (502, 504) after this target was chosen. */
  readonly answeredByUs: number
  readonly connectErrors: number
  readonly timeouts: number
}

/** One target of a pool as a sweep finds it. */
export interface OutlierTarget {
  readonly url: string
  /** Counter slot; when it changes, the totals are those of another life. */
  readonly slot: number
  readonly counts: TargetCounts
  /** Ready and not unhealthy: takes traffic unless ejected. */
  readonly eligible: boolean
  /** Wall time in ms; 0 when not ejected. */
  readonly ejectedUntilMs: number
}

/** What is remembered of a target between sweeps. */
export interface TargetMemory {
  readonly slot: number
  readonly seen: TargetCounts
  /** In a row, without a success. */
  readonly failures: number
  readonly connectErrors: number
  readonly failedAtMs: number
  readonly ejections: number
  readonly ejectedUntilMs: number
}

export type PoolMemory = ReadonlyMap<string, TargetMemory>

export interface Ejection {
  readonly url: string
  readonly untilMs: number
  /** For people. */
  readonly detail: string
}

/** The figures above, in one place; times in milliseconds. */
export const OUTLIER = Object.freeze({
  failuresInRow: 5,
  connectErrorsInRow: 3,
  ejectionMs: 10_000,
  ejectionMsMax: 300_000,
  quietMs: 300_000,
  /** Failures further apart than this are not in a row. */
  rowGapMs: 60_000,
})

/** One sweep over the targets of a pool: whom to eject, and what to remember for the next one. Wall time in ms. */
export function sweepPool(
  memory: PoolMemory,
  targets: readonly OutlierTarget[],
  nowMs: number,
): { memory: PoolMemory; ejections: readonly Ejection[] } {
  const next = new Map<string, TargetMemory>()
  const ejections: Ejection[] = []
  for (const target of targets) next.set(target.url, remember(memory.get(target.url), target, nowMs))
  let ejected = targets.filter((target) => isEjected(target, next.get(target.url)!, nowMs)).length
  let eligible = targets.filter((target) => target.eligible && !isEjected(target, next.get(target.url)!, nowMs)).length
  for (const target of targets) {
    const now = next.get(target.url)!
    if (!target.eligible || isEjected(target, now, nowMs) || !isOutlier(now)) continue
    if ((ejected + 1) * 2 > targets.length || eligible <= 1) continue
    const after = eject(now, nowMs)
    next.set(target.url, after)
    ejections.push({ url: target.url, untilMs: after.ejectedUntilMs, detail: why(now, after, nowMs) })
    ejected++
    eligible--
  }
  return { memory: next, ejections }
}

const isEjected = (target: OutlierTarget, memory: TargetMemory, nowMs: number): boolean =>
  Math.max(target.ejectedUntilMs, memory.ejectedUntilMs) > nowMs

const isOutlier = (memory: TargetMemory): boolean =>
  memory.connectErrors >= OUTLIER.connectErrorsInRow || memory.failures >= OUTLIER.failuresInRow

function remember(before: TargetMemory | undefined, target: OutlierTarget, nowMs: number): TargetMemory {
  const fresh = before === undefined || before.slot !== target.slot || wentBack(before.seen, target.counts)
  const ejections = before === undefined || isForgotten(before, nowMs) ? 0 : before.ejections
  const ejectedUntilMs = Math.max(before?.ejectedUntilMs ?? 0, target.ejectedUntilMs)
  const still = { slot: target.slot, seen: target.counts, ejections, ejectedUntilMs }
  const none = { ...still, failures: 0, connectErrors: 0, failedAtMs: 0 }
  if (fresh || isEjected(target, before, nowMs) || target.counts.successes > before.seen.successes) return none
  const connectErrors = target.counts.connectErrors - before.seen.connectErrors
  const failures = failuresBetween(before.seen, target.counts)
  const apart = nowMs - before.failedAtMs > OUTLIER.rowGapMs
  if (failures === 0) return apart ? none : { ...before, ...still }
  return {
    ...still,
    failures: (apart ? 0 : before.failures) + failures,
    connectErrors: (apart ? 0 : before.connectErrors) + connectErrors,
    failedAtMs: nowMs,
  }
}

const isForgotten = (memory: TargetMemory, nowMs: number): boolean =>
  memory.ejections > 0 && nowMs - memory.ejectedUntilMs >= OUTLIER.quietMs

/**
 * Failed requests between two sweeps. An answer of our own is a 5xx too and stands for the time-out or connect error behind
 * it, and a failure that another target made good has no such answer: the largest of these counts, never their sum.
 */
function failuresBetween(seen: TargetCounts, now: TargetCounts): number {
  const broken = now.connectErrors - seen.connectErrors + now.timeouts - seen.timeouts
  return Math.max(now.answered5xx - seen.answered5xx, now.answeredByUs - seen.answeredByUs, broken)
}

const COUNTS = ['successes', 'answered5xx', 'answeredByUs', 'connectErrors', 'timeouts'] as const

const wentBack = (seen: TargetCounts, now: TargetCounts): boolean => COUNTS.some((name) => now[name] < seen[name])

function eject(memory: TargetMemory, nowMs: number): TargetMemory {
  const ejections = memory.ejections + 1
  const lengthMs = Math.min(OUTLIER.ejectionMs * ejections, OUTLIER.ejectionMsMax)
  return { ...memory, failures: 0, connectErrors: 0, failedAtMs: 0, ejections, ejectedUntilMs: nowMs + lengthMs }
}

function why(before: TargetMemory, after: TargetMemory, nowMs: number): string {
  const byConnect = before.connectErrors >= OUTLIER.connectErrorsInRow
  const what = byConnect ? `${before.connectErrors} connect errors` : `${before.failures} failures`
  return `${what} in a row, for ${(after.ejectedUntilMs - nowMs) / 1000} s`
}
