/**
 * Shapes of answers, for OpenAPI and for whoever reads the code. What people send is in config/schema.ts.
 *
 * Answers are written by JSON.stringify, not by these schemas, so a field can never be dropped by a schema that lags behind;
 * a test compares the two.
 */
import type { TProperties, TSchema } from 'typebox'
import { ServiceSchema } from '../config/schema.ts'
import { Type } from '../config/type.ts'

/** An object with exactly these keys. */
export const object = <P extends TProperties>(properties: P, description?: string) =>
  Type.Object(properties, { additionalProperties: false, ...(description === undefined ? {} : { description }) })

/** The schema, or null. */
export const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])

/** A time or a duration in ms. */
export const Milliseconds = (description: string) => Type.Number({ description })
/** A number of things. */
export const Count = (description: string) => Type.Integer({ minimum: 0, description })

const ProblemSchema = object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: 'Stable; match on this.' }),
    detail: Type.String(),
    instance: Type.String({ description: 'The path that was asked for.' }),
    errors: Type.Array(
      object({
        pointer: Type.String({ description: 'JSON pointer into what was sent.' }),
        message: Type.String(),
        line: Type.Optional(Type.Integer({ description: '1-based, where a file was sent.' })),
        column: Type.Optional(Type.Integer({ description: '1-based, where a file was sent.' })),
      }),
    ),
  },
  'RFC 9457',
)

const problemAnswer = {
  description: 'A refusal or failure.',
  content: { 'application/problem+json': { schema: ProblemSchema } },
}

/** Responses of a route: the given statuses answer `schema`, everything else is a problem. */
export function answers(schema: TSchema, statuses: readonly number[] = [200], contentType = 'application/json') {
  const described = { description: 'Done.', content: { [contentType]: { schema } } }
  return { ...Object.fromEntries(statuses.map((status) => [status, described])), default: problemAnswer }
}

/** What is answered of instances that do not route by a change yet. */
export const late = {
  complete: Type.Optional(
    Type.Literal(false, {
      description: 'Not every instance routes by it yet, after five seconds; absent when all do.',
    }),
  ),
  waitingFor: Type.Optional(Type.Array(Type.String(), { description: 'The names of those that do not.' })),
}

/** What every change answers. */
export const changed = {
  revision: Count('Revision of the spec after the change.'),
  epoch: Count('Epoch of the table that every worker routes by now.'),
  appliedInMs: Milliseconds('From the validated change to the commit in every worker.'),
  changed: Type.Boolean({ description: 'False when everything was so already.' }),
  ...late,
}
export const WeightsAnswer = Type.Record(Type.String(), Type.Integer(), { description: 'Weight by pool.' })
export const ChangeAnswer = object(changed)
const held = Type.Optional(
  object(
    {
      requests: Count('Requests that waited when it ended, here.'),
      forMs: Milliseconds('How long the hold was.'),
      hookMs: nullable(Milliseconds('How long the hook took; null without one.')),
    },
    'Of a switch under a hold: what came of that.',
  ),
)
export const SplitChangeAnswer = object({
  ...changed,
  held,
  service: Type.String(),
  split: WeightsAnswer,
  warming: Type.Optional(
    Type.Record(Type.String(), Milliseconds('Wall time.'), {
      description:
        'Pools that take only a part of their share yet, by the slow start, and until when: others go on with the rest. Absent for none.',
    }),
  ),
})
export const GroupChangeAnswer = object({
  ...changed,
  held,
  to: Type.Record(Type.String(), Type.String(), { description: 'Pool by service.' }),
})

const DifferencesAnswer = (description: string) =>
  Type.Array(
    object({
      pointer: Type.String({ description: 'JSON pointer into the file.' }),
      runs: Type.Optional(Type.Unknown({ description: 'What runs; absent when it is not set.' })),
      file: Type.Optional(Type.Unknown({ description: 'What the file says; absent when it does not.' })),
    }),
    { description: `${description} At most 1,000 places.` },
  )
export const FileAnswer = object({
  ...changed,
  changes: DifferencesAnswer('Where the file changes what ran.'),
  kept: DifferencesAnswer('Where the file differs from what runs and was not applied: others have changed that since.'),
  others: Type.Array(Type.String(), { description: 'Services that run and that the file does not have.' }),
  refused: Type.Optional(Type.String({ description: 'Of a dry run: why the change would be refused.' })),
})

export const AdminStateAnswer = Type.Union(['ready', 'drain', 'standby', 'maint'].map((state) => Type.Literal(state)))
export const HealthAnswer = Type.Union(['unknown', 'healthy', 'unhealthy'].map((health) => Type.Literal(health)))
export const drainUntilMs = Milliseconds('Wall time at which the drain ends; 0 when there is none.')
export const states = {
  admin: AdminStateAnswer,
  drainUntilMs,
  health: HealthAnswer,
  ejectedUntilMs: Milliseconds('Wall time until which it is ejected; 0 when it is not.'),
}
export const address = {
  address: Type.String({ description: 'Where connections go.' }),
  alternate: nullable(Type.String({ description: 'Tried when the address does not accept.' })),
  srv: Type.Optional(
    object({
      host: Type.String({ description: 'The host of the record.' }),
      ip: Type.String(),
      port: Count('The port of the record.'),
      weight: Count('Its part of the target, by the ratio of the weights of the records.'),
    }),
  ),
  health: HealthAnswer,
  ejectedUntilMs: states.ejectedUntilMs,
}

const ServiceStatusAnswer = object({
  release: Type.String(),
  previous: nullable(object({ weights: WeightsAnswer, release: Type.String() }, 'What `back` returns to.')),
  pools: Type.Record(
    Type.String(),
    object({
      admin: AdminStateAnswer,
      drainUntilMs,
      targets: Type.Record(Type.String(), object({ ...states, addresses: Type.Array(object(address)) })),
    }),
  ),
})

const service = { name: Type.String(), spec: ServiceSchema, status: ServiceStatusAnswer }
export const position = { revision: Count('Revision of the spec.'), epoch: Count('Epoch of the table.') }
export const ServiceAnswer = object({ ...position, ...service })
export const ServicesAnswer = object({ ...position, services: Type.Array(object(service)) })

export const EventAnswer = object({
  id: Count('Grows by one.'),
  atMs: Milliseconds('Wall time.'),
  type: Type.String(),
  service: nullable(Type.String()),
  message: Type.String(),
  data: Type.Record(Type.String(), Type.Unknown()),
})
export const EventsAnswer = object({ events: Type.Array(EventAnswer) })

const ChangeData = Type.Object({ kind: Type.String() }, { additionalProperties: true })
const entry = { revision: Count('Revision'), atMs: Milliseconds('Wall time.'), actor: Type.String() }
export const AuditAnswer = object({ entries: Type.Array(object({ ...entry, change: ChangeData })) })
export const RevisionsAnswer = object({
  revisions: Type.Array(object({ ...entry, kind: Type.String(), service: nullable(Type.String()) })),
})
export const RevisionAnswer = object({
  ...entry,
  change: ChangeData,
  services: Type.Record(Type.String(), Type.Unknown(), {
    description: 'Specs by service; one that this version cannot serve any more is as it was stored.',
  }),
})
