/**
 * When a release may begin, and when it may go on: times of a schedule on the calendar of a time zone. Pure.
 *
 * A span of a day (`from: "16:00"`) begins on each of its days; where `to` is not after `from` it ends on the day after. Where clocks are
 * set back, a local time comes twice: a span begins at the first and ends at the last. Where they are set forward, a time that
 * does not come is the moment so much later. A range (`from: 2026-12-24`) is one span; without a zone of its own it is in that of the schedule.
 */
import type { ScheduleSpec, SpanSpec } from './schema-schedule.ts'
import { dateOf, dayOf, type Offset, offsetOf } from './zone.ts'

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const
/** Spans that may follow each other without a gap; after so many none is in sight. */
const SPANS_MAX = 400
/** A span of a day that is looked for comes within so many days. */
const DAYS_MAX = 8

interface Span {
  readonly fromMs: number
  readonly toMs: number
}

/** What keeps a release from going on, and until when; null for never. */
export interface Closed {
  readonly why: string
  readonly untilMs: number | null
}

const DATE = /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d(?:\.\d{1,3})?))?(Z|[+-]\d\d:\d\d)?)?$/
const CLOCK = /^(\d\d):(\d\d)$/
/** No place on earth is further from UTC. */
const OFFSET_HOURS_MAX = 14

export const isClock = (text: string): boolean => CLOCK.test(text)

/** Time in ms of a date such as `2026-12-24`, `2026-12-24T18:00` or `2026-12-24T18:00:00+01:00`; null when it is none. */
export function momentOf(text: string, zone: string): number | null {
  const parts = DATE.exec(text)
  if (parts === null) return null
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map((part = '0') => Number(part))
  const isDay = month >= 1 && month <= 12 && day >= 1 && dayOf(year, month, day) < firstOfNext(year, month)
  if (!isDay || hour > 23 || minute > 59 || second >= 60) return null
  const localMs = dayOf(year, month, day) * DAY_MS + (hour * 60 + minute) * MINUTE_MS + Math.round(second * 1_000)
  const [, , , , , , , own] = parts
  if (own === undefined) return zonedMs(localMs, offsetOf(zone), 'first')
  if (own === 'Z') return localMs
  const [hours, minutes] = own.slice(1).split(':').map(Number)
  if (hours > OFFSET_HOURS_MAX || minutes > 59) return null
  return localMs - (own.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * MINUTE_MS
}

const zoneOf = ({ timezone }: ScheduleSpec): string => timezone ?? 'UTC'

/** Why a release may not begin at this time; null when it may. */
export function closedToBegin(schedule: ScheduleSpec, nowMs: number): Closed | null {
  const zone = zoneOf(schedule)
  const notBeforeMs = schedule.notBefore === undefined ? nowMs : (momentOf(schedule.notBefore, zone) ?? nowMs)
  const offset = offsetOf(zone)
  const windows = schedule.window === undefined ? null : [schedule.window].flat()
  let why: string | null = notBeforeMs > nowMs ? 'not before its time' : null
  let ms = Math.max(nowMs, notBeforeMs)
  for (let spans = 0; spans < SPANS_MAX; spans++) {
    const frozen = spanAt(schedule.freeze ?? [], ms, offset, zone)
    const opensMs = frozen !== null ? frozen.toMs : windows === null ? ms : nextIn(windows, ms, offset, zone)
    if (opensMs === ms) return why === null ? null : { why, untilMs: ms }
    why ??= frozen !== null ? 'a freeze' : 'outside its window'
    if (opensMs === null) return { why, untilMs: null }
    ms = opensMs
  }
  return { why: why ?? 'a freeze', untilMs: null }
}

/** Why a release that has begun may not go on at this time; null when it may. Only freezes count. */
export function closedToGoOn({ freeze = [], timezone = 'UTC' }: ScheduleSpec, nowMs: number): Closed | null {
  return closedToBegin({ freeze, timezone }, nowMs)
}

/** What keeps it, and until when, for people. */
export function closedInWords({ why, untilMs }: Closed, schedule: ScheduleSpec): string {
  if (untilMs === null) return `${why}, and no end of it is in sight`
  const zone = zoneOf(schedule)
  const localMs = untilMs + offsetOf(zone)(untilMs)
  const day = Math.floor(localMs / DAY_MS)
  const minutes = Math.floor((localMs % DAY_MS) / MINUTE_MS)
  const two = (value: number) => String(value).padStart(2, '0')
  const weekday = DAYS[(day + 4) % 7]
  return `${why}, until ${weekday} ${dateOf(day)} ${two(Math.floor(minutes / 60))}:${two(minutes % 60)} ${zone}`
}

/** The span that a time is in; null for none. */
function spanAt(specs: readonly SpanSpec[], ms: number, offset: Offset, zone: string): Span | null {
  for (const spec of specs) {
    const found = spansNear(spec, ms, offset, zone, 0).find(({ fromMs, toMs }) => fromMs <= ms && ms < toMs)
    if (found !== undefined) return found
  }
  return null
}

/** The time itself where it is in a window, else when the next one begins; null when none comes. */
function nextIn(specs: readonly SpanSpec[], ms: number, offset: Offset, zone: string): number | null {
  if (spanAt(specs, ms, offset, zone) !== null) return ms
  const starts = specs.flatMap((spec) => spansNear(spec, ms, offset, zone, DAYS_MAX).map(({ fromMs }) => fromMs))
  const next = Math.min(...starts.filter((fromMs) => fromMs > ms))
  return next === Infinity ? null : next
}

function spansNear(spec: SpanSpec, ms: number, offset: Offset, zone: string, daysAfter: number): Span[] {
  if (isClock(spec.from)) return dailyNear(spec, ms, offset, daysAfter)
  const [fromMs, toMs] = [momentOf(spec.from, zone), momentOf(spec.to, zone)]
  return fromMs === null || toMs === null ? [] : [{ fromMs, toMs }]
}

/** Spans of a day that begin on the day before this time, on its day, and on so many days after it. */
function dailyNear({ from, to, days }: SpanSpec, ms: number, offset: Offset, daysAfter: number): Span[] {
  const today = Math.floor((ms + offset(ms)) / DAY_MS)
  const [begins, ends] = [minutesOf(from), minutesOf(to)]
  const spans: Span[] = []
  for (let day = today - 1; day <= today + daysAfter; day++) {
    if (days !== undefined && !days.includes(DAYS[(day + 4) % 7])) continue
    const lastDay = ends > begins ? day : day + 1
    spans.push({
      fromMs: zonedMs(day * DAY_MS + begins * MINUTE_MS, offset, 'first'),
      toMs: zonedMs(lastDay * DAY_MS + ends * MINUTE_MS, offset, 'last'),
    })
  }
  return spans
}

/** Whether a moment is in a span of a day, and from when until when (at least) that is so. */
export interface Daily {
  readonly isIn: boolean
  readonly fromMs: number
  readonly untilMs: number
}

/** Where a moment is beside the spans of a day. */
export function dailyAt(spec: SpanSpec, ms: number, offset: Offset): Daily {
  const spans = dailyNear(spec, ms, offset, DAYS_MAX)
  const found = spans.find(({ fromMs, toMs }) => fromMs <= ms && ms < toMs)
  if (found !== undefined) return { isIn: true, fromMs: found.fromMs, untilMs: found.toMs }
  return {
    isIn: false,
    fromMs: ms,
    untilMs: Math.min(...spans.map(({ fromMs }) => fromMs).filter((fromMs) => fromMs > ms)),
  }
}

function minutesOf(clock: string): number {
  const [hours, minutes] = clock.split(':').map(Number)
  return hours * 60 + minutes
}

const firstOfNext = (year: number, month: number): number =>
  month === 12 ? dayOf(year + 1, 1, 1) : dayOf(year, month + 1, 1)

/** When clocks show this; where they do so twice, the first or the last time. */
function zonedMs(localMs: number, offset: Offset, which: 'first' | 'last'): number {
  const [before, after] = [localMs - offset(localMs - DAY_MS), localMs - offset(localMs + DAY_MS)]
  const found = [before, after].filter((ms) => ms + offset(ms) === localMs)
  if (found.length === 0) return before
  return which === 'first' ? Math.min(...found) : Math.max(...found)
}
