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
import { closed, Duration, Statuses, HttpUrl as Url, UrlPath } from './schema-parts.ts'
import { ScheduleSchema } from './schema-schedule.ts'
import { VerdictSchema } from './schema-verdict.ts'
import { Type } from './type.ts'

/** Hooks in one list. */
export const HOOKS_MAX = 50

const Path = UrlPath('What is asked for.', '/')
const Share = (description: string) => Type.Number({ minimum: 0, maximum: 1, description })

const LeastAnswers = Type.Integer({
  minimum: 0,
  maximum: 1_000_000_000,
  description: 'Least answers of the new version. Default 0.',
})

const StepSchema = closed({
  weight: Type.Integer({
    minimum: 0,
    maximum: 100,
    description: 'Per cent of the traffic; at 0 only rules lead there.',
  }),
  for: Type.Optional(Duration('Least time of the step. Default: that of step.')),
  requests: Type.Optional(LeastAnswers),
  until: Type.Optional(
    Type.Literal('promoted', { description: 'Goes on only when a person says so. Default: by itself.' }),
  ),
  hooks: Type.Optional(
    Type.Array(StepHookSchema, {
      maxItems: HOOKS_MAX,
      description: 'Who is asked before this step alone. Default: nobody.',
    }),
  ),
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
          'blue-green, canary, linear, all-at-once, rolling, weights such as 5-25-100, 20-percent-steps, or a name of CodeDeploy such as Canary10Percent5Minutes. Default canary.',
      }),
    ),
    steps: Type.Optional(
      Type.Array(Type.Union([Type.Integer({ minimum: 0, maximum: 100 }), StepSchema]), {
        minItems: 1,
        maxItems: 100,
        description: 'Steps: per cent, or what each waits for. Default: those of the strategy.',
      }),
    ),
    step: Type.Optional(
      closed(
        {
          for: Type.Optional(Duration('Least time of every step that does not say. Default 0s.')),
          requests: Type.Optional(LeastAnswers),
        },
        { description: 'What every step waits for that does not say. Default: the verdict alone.' },
      ),
    ),
    warmup: Type.Optional(
      closed(
        {
          requests: Type.Array(closed({ path: Path }), {
            minItems: 1,
            maxItems: 100,
            description: 'Asked for in turn.',
          }),
          rate: Type.Number({
            default: 20,
            minimum: 0.1,
            maximum: 1_000,
            description: 'Requests a second, all targets together.',
          }),
          for: Duration('How long; at most a day.', '30s'),
          success: Type.Optional(Share('Share of answers that must be well, from 0 to 1. Default: any.')),
          p95: Type.Optional(Duration('95 of 100 answers must come within this time. Default: any.')),
        },
        { description: 'Requests that each target of the new version is sent before it is tried. Default: none.' },
      ),
    ),
    smoke: Type.Optional(
      Type.Array(
        closed({
          path: Path,
          status: Statuses('Statuses that are well.', '200-299'),
          body: Type.Optional(
            Type.String({
              minLength: 1,
              maxLength: 1_000,
              description: 'The body must have this in it. Default: anything.',
            }),
          ),
          json: Type.Optional(
            Type.Record(Type.String(), Type.Unknown(), {
              description: 'Dotted fields of the JSON body and what each must be. Default: anything.',
            }),
          ),
          within: Duration('The whole answer must come within this time.', '5s'),
        }),
        {
          maxItems: 100,
          description: 'Asked of every target of the new version before it gets traffic. Default: nothing.',
        },
      ),
    ),
    schedule: Type.Optional(ScheduleSchema),
    announces: Type.Optional(AnnouncesSchema),
    fingerprint: Type.Optional(FingerprintSchema),
    capacity: Type.Optional(RolloutCapacitySchema),
    hooks: Type.Optional(
      Type.Array(HookSchema, { maxItems: HOOKS_MAX, description: 'Who is asked, and when. Default: nobody.' }),
    ),
    rolling: Type.Optional(
      closed(
        {
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
        },
        { description: 'How the targets of a rolling release are taken. Default: as the strategy says.' },
      ),
    ),
    verdict: Type.Optional(VerdictSchema),
    advance: Type.Optional(
      Type.Union([Type.Literal('verdict'), Type.Literal('time')], {
        description:
          'What ends a step: the verdict on it, or its time while nothing has failed. Default: as the strategy says.',
      }),
    ),
    keep: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 50,
        description: 'Per cent left on the old version until the bake ends. Default: as the strategy says.',
      }),
    ),
    bake: Type.Optional(
      Duration('How long the new version is watched with all traffic before the rollout is done. Default 5m.'),
    ),
    standby: Type.Optional(
      Duration(
        'How long what it has replaced is kept once it is done; ending it earlier needs force. From 1s to a year. Default: not at all.',
      ),
    ),
    onFailure: Type.Optional(
      Type.Union([Type.Literal('rollback'), Type.Literal('pause')], {
        description:
          'What becomes of a version that has failed: back by itself, or wait for a person. Default rollback.',
      }),
    ),
    insufficientAfter: Type.Optional(Duration('Time of a step after which onInsufficient counts. Default: never.')),
    onInsufficient: Type.Optional(
      Type.Union([Type.Literal('wait'), Type.Literal('pause'), Type.Literal('rollback')], {
        description: 'What becomes of a step that has had too little traffic for too long. Default wait.',
      }),
    ),
    notify: Type.Optional(
      Type.Array(NotifySchema, {
        maxItems: 20,
        description: 'Told of every end, and of every pause that waits for a person. Default: nobody.',
      }),
    ),
  },
  {
    description:
      'What the service wants of its rollouts; deploy and the API lie over it key by key. Default: a canary by the verdict.',
    examples: [{ strategy: 'canary' }],
  },
)

export type RolloutSpec = Omit<Static<typeof RolloutSchema>, 'hooks'> & { hooks?: HookSpec[] }
export type NotifySpec = Static<typeof NotifySchema>
