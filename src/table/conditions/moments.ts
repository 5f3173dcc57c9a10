/**
 * Conditions that say how many and when: a share of the visitors, and a time.
 *
 * A share is by the name of the rule: the same visitors for rules of one name, whatever the split is, and more of them when it
 * grows. Who has no visitor key (yet) is in no share.
 */
import { momentOf } from '../../config/calendar.ts'
import { child } from '../../config/pointer.ts'
import { closed } from '../../config/schema-parts.ts'
import { Type } from '../../config/type.ts'
import { BUCKETS, bucketOf, saltOf } from '../bucket.ts'
import type { Kind } from './kind.ts'

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
  from?: string
  until?: string
}

interface TimeAsks {
  readonly fromMs: number | null
  readonly untilMs: number | null
  readonly text: string
}

const ZONE = 'UTC'
const Moment = (description: string) =>
  Type.String({ title: 'a date such as 2026-12-24 or 2026-12-24T18:00:00+01:00', description })

/** A span of time. */
export const time = {
  schema: closed(
    {
      from: Type.Optional(
        Moment('Not before this moment, such as 2026-12-24T18:00:00+01:00; in UTC unless it says else.'),
      ),
      until: Type.Optional(Moment('Before this moment.')),
    },
    { minProperties: 1, description: 'It is between these moments.' },
  ),
  check(report, at, { from, until }) {
    const moment = (key: string, text: string | undefined): number | null => {
      if (text === undefined || !report.sound(child(at, key))) return null
      const ms = momentOf(text, ZONE)
      if (ms === null)
        report.add(child(at, key), `${JSON.stringify(text)} is not a date such as 2026-12-24T18:00:00+01:00`)
      return ms
    }
    const [fromMs, untilMs] = [moment('from', from), moment('until', until)]
    if (fromMs !== null && untilMs !== null && fromMs >= untilMs)
      report.add(child(at, 'until'), 'this is not after from, so the time never comes')
  },
  plan: ({ from, until }) => [
    {
      fromMs: from === undefined ? null : momentOf(from, ZONE),
      untilMs: until === undefined ? null : momentOf(until, ZONE),
      text: [from === undefined ? '' : `from ${from}`, until === undefined ? '' : `until ${until}`].join(' ').trim(),
    },
  ],
  keys: () => null,
  compile({ fromMs, untilMs }) {
    const [first, end] = [fromMs ?? -Infinity, untilMs ?? Infinity]
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
  ],
} satisfies Kind<TimeSpec, TimeAsks>
