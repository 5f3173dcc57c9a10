/**
 * Conditions that say how many and when: a share of the visitors, and a time.
 *
 * A share is by the name of the rule: the same visitors for rules of one name, whatever the split is, and more of them when it
 * grows. Who has no visitor key (yet) is in no share.
 */
import { type Daily, dailyAt, isClock, momentOf } from '../../config/calendar.ts'
import { checkSpan, checkZone } from '../../config/check-schedule.ts'
import type { Report } from '../../config/check-service.ts'
import { child } from '../../config/pointer.ts'
import { closed } from '../../config/schema-parts.ts'
import { Days, Moment, type SpanSpec, TimeZone } from '../../config/schema-schedule.ts'
import { Type } from '../../config/type.ts'
import { changesOf, offsetIn } from '../../config/zone.ts'
import { BUCKETS, bucketOf, saltOf } from '../bucket.ts'
import type { Condition, Kind } from './kind.ts'

/** A share of the visitors. */
export const share = {
  schema: Type.Integer({
    minimum: 1,
    maximum: 100,
    description: 'So many of 100 visitors, always the same ones for rules of one name; who has no visitor key is none.',
  }),
  check: () => {},
  plan: (percent, rule) => [{ percent, rule }],
  keys: () => null,
  compile({ percent, rule }) {
    const salt = saltOf('rule', rule)
    const end = (percent * BUCKETS) / 100
    return { holds: (_view, visitor) => visitor !== null && bucketOf(visitor, salt) < end }
  },
  words: ({ percent }) => `${percent} % of the visitors`,
  examples: [{ spec: 40, held: { headers: { 'x-user': 'u-4' } }, failed: { headers: { 'x-user': 'u-1' } } }],
} satisfies Kind<number, { readonly percent: number; readonly rule: string }>

interface TimeSpec {
  days?: NonNullable<SpanSpec['days']>
  from?: string
  until?: string
  timezone?: string
}

/** One span of time, or one on certain days; then `changes` are those of the zone. */
export type TimeAsks =
  | { readonly fromMs: number | null; readonly untilMs: number | null; readonly text: string }
  | { readonly daily: SpanSpec; readonly changes: readonly number[]; readonly text: string }

const UTC = 'UTC'
/** Time zones of all rules of a service: to find the changes of each takes milliseconds. */
const ZONES_MAX = 32

/** The span of a day that is asked for; null where none is, but dates. */
function dailyOf({ days, from, until }: TimeSpec): SpanSpec | null {
  if (days === undefined && ![from, until].some((text) => text !== undefined && isClock(text))) return null
  return { ...(days && { days }), from: from ?? '00:00', to: until ?? '24:00' }
}

function textOf({ days, from, until, timezone }: TimeSpec): string {
  const parts = [days === undefined ? '' : `on ${days.join(', ')}`, from && `from ${from}`, until && `until ${until}`]
  return [...parts, timezone].filter(Boolean).join(' ')
}

/** A time: between two moments, or on certain days and hours, as windows of a schedule are (config/calendar.ts). */
export const time = {
  schema: closed(
    {
      days: Days,
      from: Type.Optional(
        Moment('Not before this moment, such as 2026-12-24T18:00; or not before "08:00" on each of the days.'),
      ),
      until: Type.Optional(
        Moment('Before this moment, or this time of the day; one that is not after from is on the day after.'),
      ),
      timezone: TimeZone,
    },
    { minProperties: 1, description: 'It is between these moments, or on these days and hours.' },
  ),
  check(report, at, spec, { zones }) {
    const { from, until } = spec
    // Beyond that no more are asked for.
    const zone = zones.size > ZONES_MAX ? UTC : checkZone(report, child(at, 'timezone'), spec.timezone)
    if (zones.add(zone).size > ZONES_MAX)
      report.add(child(at, 'timezone'), `the rules of a service have at most ${ZONES_MAX} time zones`)
    if (!report.sound(at)) return
    const daily = dailyOf(spec)
    if (daily !== null) checkSpan(report, at, daily, zone, 'until')
    else if (from === undefined && until === undefined) report.add(at, 'this asks for no time')
    else checkMoments(report, at, spec, zone)
  },
  plan(spec) {
    const { from, until, timezone = UTC } = spec
    const daily = dailyOf(spec)
    const text = textOf(spec)
    if (daily !== null) return [{ daily, changes: changesOf(timezone), text }]
    const msOf = (moment: string | undefined) => (moment === undefined ? null : momentOf(moment, timezone))
    return [{ fromMs: msOf(from), untilMs: msOf(until), text }]
  },
  keys: () => null,
  compile(asks) {
    if ('daily' in asks) return compileDaily(asks)
    const [first, end] = [asks.fromMs ?? -Infinity, asks.untilMs ?? Infinity]
    return {
      holds(view) {
        const nowMs = view.wallMs()
        return first <= nowMs && nowMs < end
      },
    }
  },
  words: ({ text }) => `time ${text}`,
  examples: [
    {
      spec: { from: '2030-01-01', until: '2030-01-01T01:00:00+00:30' },
      held: { atMs: 1_893_456_000_000 },
      failed: { atMs: 1_893_457_800_000 },
    },
    {
      // Monday, 1 July 2030: 08:00 in Berlin is 06:00 in UTC.
      spec: { days: ['mon', 'fri'], from: '08:00', until: '18:00', timezone: 'Europe/Berlin' },
      held: { atMs: 1_909_116_000_000 },
      failed: { atMs: 1_909_152_000_000 },
    },
  ],
} satisfies Kind<TimeSpec, TimeAsks>

function checkMoments(report: Report, at: string, { from, until }: TimeSpec, zone: string): void {
  const moment = (key: string, text: string | undefined): number | null => {
    const ms = text === undefined ? null : momentOf(text, zone)
    if (text !== undefined && ms === null)
      report.add(child(at, key), `${JSON.stringify(text)} is not a date such as 2026-12-24T18:00:00+01:00`)
    return ms
  }
  const [fromMs, untilMs] = [moment('from', from), moment('until', until)]
  if (fromMs !== null && untilMs !== null && fromMs >= untilMs)
    report.add(child(at, 'until'), 'this is not after from, so the time never comes')
}

/** What is so now stays so until the span ends or the next begins, so the calendar is asked a few times a day. */
function compileDaily({ daily, changes }: Extract<TimeAsks, { daily: SpanSpec }>): Condition {
  const offset = offsetIn(changes)
  let known: Daily = { isIn: false, fromMs: Infinity, untilMs: Infinity }
  return {
    holds(view) {
      const nowMs = view.wallMs()
      if (nowMs < known.fromMs || nowMs >= known.untilMs) known = dailyAt(daily, nowMs, offset)
      return known.isIn
    },
  }
}
