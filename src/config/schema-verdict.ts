/**
 * The part of the schema about how a rollout judges the new version: what counts as failed, how sure the verdict is, and what else it
 * is judged by. See schema.ts for the invariants.
 */
import type { Static } from 'typebox'
import { closed, Duration, Name, Statuses, HttpUrl as Url } from './schema-parts.ts'
import { Type } from './type.ts'

const PromQl = (description: string, without: string) =>
  Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 2_000,
      description: `${description} {pool} and {service} stand for their names. Default: ${without}.`,
    }),
  )

/** Which keys are there says what kind it is: posted, counted by Prometheus, or a value with a bound (check-rollout.ts). */
const MetricSchema = closed({
  name: Name('Name of the metric.'),
  margin: Type.Optional(
    Type.Number({
      exclusiveMinimum: 0,
      maximum: 0.5,
      description:
        'Share of bad ones that is accepted beyond those of the live pool, 0.01 for one in a hundred. Default: that of the verdict.',
    }),
  ),
  optional: Type.Optional(
    Type.Boolean({ description: 'It can send the release back, but no step waits for it. Default false.' }),
  ),
  prometheus: Type.Optional(Url('Where Prometheus is. Default: none, the counts are posted.')),
  bad: PromQl('Counters of what went bad.', 'none'),
  all: PromQl('Counters of all there was, the bad ones too.', 'none'),
  query: PromQl('One value, to be kept in bounds.', 'none'),
  above: Type.Optional(
    Type.Number({ description: 'A value of the query above this is out of bounds. Default: none is.' }),
  ),
  below: Type.Optional(
    Type.Number({ description: 'A value of the query below this is out of bounds. Default: none is.' }),
  ),
  for: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000,
      description: 'Values in a row that must be out of bounds. Default 1.',
    }),
  ),
  every: Type.Optional(Duration('How often Prometheus is asked, from 1s to 1h. Default 15s.')),
})

export const VerdictSchema = closed(
  {
    alpha: Type.Number({
      default: 0.001,
      exclusiveMinimum: 0,
      maximum: 0.2,
      description: 'Share of equal releases that may be rolled back, 0.001 for one in a thousand.',
    }),
    beta: Type.Number({
      default: 0.05,
      exclusiveMinimum: 0,
      maximum: 0.5,
      description: 'Chance of passing a version that is worse by the margin.',
    }),
    margin: Type.Number({
      default: 0.02,
      exclusiveMinimum: 0,
      maximum: 0.5,
      description: 'Share of failed answers that is accepted beyond that of the live pool, 0.02 for two in a hundred.',
    }),
    failing: Type.Optional(
      Statuses('Statuses that are failures; what breaks on the way always is one. Default 500,502-599.'),
    ),
    earlyClose: Type.Optional(
      Duration(
        'A WebSocket that its target closes or breaks sooner is a failure; at most 60s, 0s for never. Default 5s.',
      ),
    ),
    tolerance: Type.Number({
      default: 1,
      minimum: 1,
      maximum: 2,
      description: 'Odds ratio of failures, new version by live pool, that is no fault.',
    }),
    harm: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 1_000_000_000,
        description: 'Failed answers of the new version that may reach clients. Default: no cap.',
      }),
    ),
    rate: closed(
      {
        above: Type.Number({
          default: 0.05,
          minimum: 0,
          maximum: 1,
          description: 'Share of failures from which it goes back, from 0 to 1.',
        }),
        over: Duration('Time over which these are counted.', '5m'),
      },
      { default: {}, description: 'What is judged where nothing runs beside the new version.' },
    ),
    metrics: Type.Optional(
      Type.Array(MetricSchema, {
        maxItems: 10,
        description:
          'What else the new version is judged by: counts that are posted, or what Prometheus knows. Default: nothing.',
      }),
    ),
  },
  { description: 'How the new version is judged. Default: as the keys below.' },
)

export type MetricSpec = Static<typeof MetricSchema>
