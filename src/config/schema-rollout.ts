/**
 * How a service is released: the part of the schema that a rollout begins with, and the body that begins one.
 *
 * Every key is optional, since the body of a rollout lies over the settings of its service, key by key; what is said nowhere is
 * decided when it begins (rollout/wish.ts).
 */
import type { Static } from 'typebox'
import {
  AnnouncesSchema,
  FingerprintSchema,
  HookSchema,
  type HookSpec,
  RolloutCapacitySchema,
  StepHookSchema,
} from './schema-gates.ts'
import { closed, Duration, Name, Statuses, HttpUrl as Url, UrlPath } from './schema-parts.ts'
import { ScheduleSchema } from './schema-schedule.ts'
import { Type } from './type.ts'

const Path = UrlPath('What is asked for.', '/')
const Share = (description: string) => Type.Number({ minimum: 0, maximum: 1, description })

const LeastAnswers = Type.Integer({
  minimum: 0,
  maximum: 1_000_000_000,
  description: 'Least answers of the new version.',
})

const StepSchema = closed({
  weight: Type.Integer({
    minimum: 0,
    maximum: 100,
    description: 'Per cent of the traffic; at 0 only rules lead there.',
  }),
  for: Type.Optional(Duration('Least time of the step.')),
  requests: Type.Optional(LeastAnswers),
  until: Type.Optional(Type.Literal('promoted', { description: 'Goes on only when a person says so.' })),
  hooks: Type.Optional(
    Type.Array(StepHookSchema, { maxItems: 50, description: 'Who is asked before this step alone.' }),
  ),
})

const PromQl = (description: string) =>
  Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 2_000,
      description: `${description} {pool} and {service} stand for their names.`,
    }),
  )

/** Which keys are there says what kind it is: posted, counted by Prometheus, or a value with a bound (check-rollout.ts). */
const MetricSchema = closed({
  name: Name('Name of the metric.'),
  margin: Type.Optional(
    Type.Number({
      exclusiveMinimum: 0,
      maximum: 0.5,
      description: 'Points of bad ones that are accepted. Default: that of the verdict.',
    }),
  ),
  optional: Type.Optional(
    Type.Boolean({ description: 'It can send the release back, but no step waits for it. Default false.' }),
  ),
  prometheus: Type.Optional(Url('Where Prometheus is; without, the counts are posted.')),
  bad: PromQl('Counters of what went bad.'),
  all: PromQl('Counters of all there was, the bad ones too.'),
  query: PromQl('One value, to be kept in bounds.'),
  above: Type.Optional(Type.Number({ description: 'A value of the query above this is out of bounds.' })),
  below: Type.Optional(Type.Number({ description: 'A value of the query below this is out of bounds.' })),
  for: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000,
      description: 'Values in a row that must be out of bounds. Default 1.',
    }),
  ),
  every: Type.Optional(Duration('How often Prometheus is asked. Default 15s.')),
})

const NotifySchema = closed({
  url: Url('Gets a POST with a text, as Slack and others take it.'),
  format: Type.Optional(
    Type.Union([Type.Literal('json'), Type.Literal('text')], {
      description: 'JSON with text, service, rollout and state, or the text alone. Default json.',
    }),
  ),
})

export const RolloutSchema = closed(
  {
    strategy: Type.Optional(
      Type.String({
        maxLength: 128,
        description:
          'blue-green, canary, linear, all-at-once, rolling, weights such as 5-25-100, 20-percent-steps, or a name of CodeDeploy.',
      }),
    ),
    steps: Type.Optional(
      Type.Array(Type.Union([Type.Integer({ minimum: 0, maximum: 100 }), StepSchema]), {
        minItems: 1,
        maxItems: 100,
        description: 'Steps: per cent, or what each waits for.',
      }),
    ),
    step: Type.Optional(
      closed({
        for: Type.Optional(Duration('Least time of every step that does not say.')),
        requests: Type.Optional(LeastAnswers),
      }),
    ),
    warmup: Type.Optional(
      closed({
        requests: Type.Array(closed({ path: Path }), { minItems: 1, maxItems: 100, description: 'Asked for in turn.' }),
        rate: Type.Number({
          default: 20,
          minimum: 0.1,
          maximum: 1_000,
          description: 'Requests a second, all targets together.',
        }),
        for: Duration('How long.', '30s'),
        success: Type.Optional(Share('Share of answers that must be well.')),
        p95: Type.Optional(Duration('95 of 100 answers must come within this time.')),
      }),
    ),
    smoke: Type.Optional(
      Type.Array(
        closed({
          path: Path,
          status: Statuses('Statuses that are well.', '200-299'),
          body: Type.Optional(
            Type.String({ minLength: 1, maxLength: 1_000, description: 'The body must have this in it.' }),
          ),
          json: Type.Optional(
            Type.Record(Type.String(), Type.Unknown(), {
              description: 'Dotted fields of the JSON body and what each must be.',
            }),
          ),
          within: Duration('The whole answer must come within this time.', '5s'),
        }),
        { maxItems: 100, description: 'Asked of every target of the new version before it gets traffic.' },
      ),
    ),
    schedule: Type.Optional(ScheduleSchema),
    announces: Type.Optional(AnnouncesSchema),
    fingerprint: Type.Optional(FingerprintSchema),
    capacity: Type.Optional(RolloutCapacitySchema),
    hooks: Type.Optional(Type.Array(HookSchema, { maxItems: 50, description: 'Who is asked, and when.' })),
    rolling: Type.Optional(
      closed({
        batchSize: Type.Optional(
          Type.Union(
            [
              Type.Integer({ minimum: 1, maximum: 1_000 }),
              Type.String({ pattern: '^([1-9]|[1-9][0-9])%$', title: 'a share such as 25%' }),
            ],
            { description: 'Targets that are replaced at the same time. Default: what the strategy says.' },
          ),
        ),
        maxUnavailable: Type.Optional(
          Type.Integer({
            minimum: 1,
            maximum: 1_000,
            description: 'Targets of the pool that may be out at the same time, for any reason. Default: a batch.',
          }),
        ),
        within: Type.Optional(Duration('A target must be healthy so long after its hook has said yes. Default 60s.')),
      }),
    ),
    verdict: Type.Optional(
      closed({
        alpha: Type.Number({
          default: 0.001,
          exclusiveMinimum: 0,
          maximum: 0.2,
          description: 'Share of equal releases that may be rolled back.',
        }),
        beta: Type.Number({
          default: 0.05,
          exclusiveMinimum: 0,
          maximum: 0.5,
          description: 'Chance of passing one that is worse by the margin.',
        }),
        margin: Type.Number({
          default: 0.02,
          exclusiveMinimum: 0,
          maximum: 0.5,
          description: 'Points of failed answers that are accepted.',
        }),
        failing: Type.Optional(
          Statuses(
            'Statuses that are failures. Default: 500 to 599 but for 501. What breaks on the way always is one.',
          ),
        ),
        earlyClose: Type.Optional(
          Duration('A WebSocket that its target closes or breaks sooner is a failure; default 5s, 0s for never.'),
        ),
        tolerance: Type.Number({ default: 1, minimum: 1, maximum: 2, description: 'Odds ratio that is no fault.' }),
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
              description: 'Share of failures, where nothing runs beside it.',
            }),
            over: Duration('Over this time.', '5m'),
          },
          { default: {} },
        ),
        metrics: Type.Optional(
          Type.Array(MetricSchema, {
            maxItems: 10,
            description: 'What else the new version is judged by: counts that are posted, or what Prometheus knows.',
          }),
        ),
      }),
    ),
    advance: Type.Optional(
      Type.Union([Type.Literal('verdict'), Type.Literal('time')], { description: 'What ends a step.' }),
    ),
    keep: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 50, description: 'Per cent left on the old version until the bake ends.' }),
    ),
    bake: Type.Optional(Duration('How long all traffic is watched before the rollout is done. Default 5m.')),
    standby: Type.Optional(
      Duration(
        'How long what it has replaced is kept once it is done; ending it earlier needs force. Default: not at all.',
      ),
    ),
    onFailure: Type.Optional(
      Type.Union([Type.Literal('rollback'), Type.Literal('pause')], { description: 'Default rollback.' }),
    ),
    insufficientAfter: Type.Optional(Duration('Time of a step after which onInsufficient counts. Default: never.')),
    onInsufficient: Type.Optional(
      Type.Union([Type.Literal('wait'), Type.Literal('pause'), Type.Literal('rollback')], {
        description: 'Default wait.',
      }),
    ),
    notify: Type.Optional(
      Type.Array(NotifySchema, {
        maxItems: 20,
        description: 'Told of every end, and of every pause that waits for a person.',
      }),
    ),
  },
  { description: 'How the service is released.' },
)

export type RolloutSpec = Omit<Static<typeof RolloutSchema>, 'hooks'> & { hooks?: HookSpec[] }
export type NotifySpec = Static<typeof NotifySchema>
export type MetricSpec = Static<typeof MetricSchema>
