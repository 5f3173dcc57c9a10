/** The part of the schema about what visitors are told while a service is in maintenance. See schema.ts for the invariants. */
import { WhenSchema } from '../table/conditions/kinds.ts'
import { closed, Duration } from './schema-parts.ts'
import { Type } from './type.ts'

/** Bytes of a page, which every worker keeps in memory. */
export const PAGE_BYTES_MAX = 262_144

export const MaintenanceSchema = closed(
  {
    status: Type.Integer({ default: 503, minimum: 400, maximum: 599, description: 'Status of the page.' }),
    body: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: PAGE_BYTES_MAX,
        description: 'The page itself. Default: a short one of Turnout.',
      }),
    ),
    file: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'A file with the page, of at most 256 KiB; it is watched. Default: none.',
      }),
    ),
    contentType: Type.String({
      default: 'text/html; charset=utf-8',
      pattern: '^[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}([ \\t]*;[\\x20-\\x7E]{1,128})?$',
      title: 'a content type such as text/html; charset=utf-8',
      description: 'Content-Type of the page.',
    }),
    retryAfter: Duration(
      'When clients are told to come again (Retry-After), at most a year; 0s: they are not told.',
      '120s',
    ),
    allow: Type.Optional({
      ...WhenSchema,
      description: 'Whoever meets all of these conditions goes on as usual. Default: nobody does.',
    } as typeof WhenSchema),
  },
  { description: 'What visitors are answered while the service is in maintenance. Default: a short page of Turnout.' },
)
