/**
 * The part of the schema about when a rollout may begin and go on, in words that conditions of rules on the time share; calendar.ts
 * says what they mean.
 */
import type { Static } from 'typebox'
import { closed } from './schema-parts.ts'
import { Type } from './type.ts'

const DAY_NAMES = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
const CLOCK = '([01][0-9]|2[0-3]):[0-5][0-9]|24:00'
const DATE = '[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,3})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?'

/** Days of the week on which a span begins. */
export const Days = Type.Optional(
  Type.Array(
    Type.Unsafe<(typeof DAY_NAMES)[number]>(
      Type.Union(
        DAY_NAMES.map((day) => Type.Literal(day)),
        { description: 'A day of the week.' },
      ),
    ),
    { minItems: 1, maxItems: 7, description: 'Days on which it begins. Default: every day.' },
  ),
)

/** A time of a day, or a date. */
export const Moment = (description: string) =>
  Type.String({ pattern: `^(${CLOCK}|${DATE})$`, title: 'a time such as "16:00" or 2026-12-24T18:00', description })

/** A time zone. */
export const TimeZone = Type.Optional(
  Type.String({ minLength: 1, maxLength: 64, description: 'IANA name, such as Europe/Berlin. Default UTC.' }),
)

const SpanSchema = closed({
  days: Days,
  from: Moment('"16:00" on each of the days, or a date such as 2026-12-24T18:00.'),
  to: Moment('As from; a clock time that is not after it is on the day after. "24:00" is the end of the day.'),
})

export const ScheduleSchema = closed(
  {
    notBefore: Type.Optional(
      Type.String({
        pattern: `^${DATE}$`,
        title: 'a date such as 2026-12-24T18:00 or 2026-12-24T18:00:00+01:00',
        description: 'The rollout begins then at the earliest. Default: at once.',
      }),
    ),
    freeze: Type.Optional(
      Type.Array(SpanSchema, {
        maxItems: 100,
        description: 'Then it neither begins nor gives the new version more. Default: never.',
      }),
    ),
    window: Type.Optional(
      Type.Array(SpanSchema, {
        minItems: 1,
        maxItems: 100,
        description: 'It begins only then; what has begun goes on outside. Default: always.',
      }),
    ),
    timezone: TimeZone,
  },
  { description: 'When it may begin, and go on; it may always go back. Default: always.' },
)

export type ScheduleSpec = Static<typeof ScheduleSchema>
export type SpanSpec = Static<typeof SpanSchema>
