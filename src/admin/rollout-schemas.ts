/**
 * Shapes of what is told of rollouts. CONTRACT names their keys, which may become more but not other ones.
 */
import type { Static } from 'typebox'
import { Type } from '../config/type.ts'
import { STATES, type State } from '../rollout/rollout.ts'
import type { ToldRollout } from '../rollout/told.ts'
import { OUTCOMES } from '../rollout/verdict.ts'
import { late, nullable, object } from './schemas.ts'

const Count = Type.Integer({ minimum: 0 })
const Step = Type.Integer({ minimum: -1, description: 'Index of the present step; -1 before the first.' })
const Weight = Type.Integer({ minimum: 0, maximum: 100, description: 'Per cent of the traffic that it is given.' })
const StateAnswer = Type.Unsafe<State>(Type.Union(STATES.map((state) => Type.Literal(state))))
const Side = object({ requests: Count, failed: Count, slow: Count })

const Counts = object({ all: Count, bad: Count })

const MetricAnswer = object({
  name: Type.String(),
  canary: nullable(Counts),
  control: nullable(Counts),
  value: nullable(Type.Number({ description: 'Of one value with a bound: what it was when it was last known.' })),
  evidence: Type.Number({ description: 'From 0 to 1, where the new version has failed.' }),
  passed: Type.Boolean({ description: 'In this step.' }),
  lastError: nullable(Type.String({ description: 'Why nothing came of it when it was last asked for.' })),
})

export const PostedAnswer = object({
  counted: Type.Boolean({
    description:
      'The verdict has these counts, or gets them once the other side has posted of much the same time, if nothing moves until then.',
  }),
  reason: nullable(Type.String({ description: 'Why they do not count.' })),
})

const ShareAnswer = object({
  name: Type.String(),
  isSelf: Type.Boolean({ description: 'It is the one that judges.' }),
  canary: object({ requests: Count, failed: Count }),
  control: object({ requests: Count, failed: Count }),
  silentMs: Type.Number({ description: 'For how long nothing was heard of it, in ms; 0 where it is heard.' }),
})

const VerdictAnswer = object({
  outcome: Type.Union(OUTCOMES.map((outcome) => Type.Literal(outcome))),
  metric: Type.String({ description: 'What has failed, holds or is missing.' }),
  evidence: Type.Number({ description: 'From 0 to 1, where the new version has failed.' }),
  p: Type.Number({ description: 'Share of equal releases that would ever look as bad as this one has, at most.' }),
  canary: Side,
  control: Side,
  wouldNotice: nullable(Type.Number({ description: 'Share of failed answers that would have been noticed by now.' })),
  sentence: Type.String(),
  metrics: Type.Array(MetricAnswer, { description: 'Those that are given from outside.' }),
  instances: Type.Array(ShareAnswer, {
    description: 'The instances that it is pooled from, and what each has counted; none where there is one only.',
  }),
})

const GateAnswer = object({
  gate: Type.String({ description: 'A check, the event of a hook, smoke or warm-up.' }),
  at: nullable(Type.String({ description: 'The hook or the path, where there may be several.' })),
  state: Type.Union((['waiting', 'passed', 'failed', 'skipped'] as const).map((state) => Type.Literal(state))),
  reason: nullable(Type.String()),
  startedAtMs: Type.Number(),
  endedAtMs: nullable(Type.Number()),
})

export const RolloutAnswer = object({
  id: Type.String(),
  runsElsewhere: Type.Boolean({
    description: 'Another Turnout process on the same store runs it; it is told as it was kept last.',
  }),
  service: Type.String(),
  from: Type.String(),
  to: Type.String(),
  strategy: Type.String(),
  state: StateAnswer,
  step: Step,
  steps: Type.Array(object({ weight: Count, forMs: Type.Number(), requests: Count })),
  weight: Weight,
  startedAtMs: Type.Number(),
  updatedAtMs: Type.Number(),
  endedAtMs: nullable(Type.Number()),
  by: Type.String(),
  reason: nullable(Type.String()),
  verdict: nullable(VerdictAnswer),
  harm: object({ failed: Count, budget: nullable(Count) }),
  next: nullable(object({ weight: Count, inMs: Type.Number(), waitsFor: Type.String() })),
  standbyUntilMs: nullable(Type.Number({ description: 'Wall time until which what it has replaced is kept.' })),
  retire: nullable(
    object(
      {
        tries: Count,
        reason: Type.String(),
        againAtMs: nullable(Type.Number({ description: 'Wall time of the next try; null when it was given up.' })),
      },
      'The hook Retire has failed.',
    ),
  ),
  gates: Type.Array(GateAnswer, {
    description: 'Checks, hooks, warm-up and smoke tests: the last 200, the oldest first.',
  }),
  history: Type.Array(
    object({ atMs: Type.Number(), state: StateAnswer, weight: Count, reason: nullable(Type.String()) }),
  ),
})

/** What an abort answers. */
export const AbortAnswer = object({
  ...RolloutAnswer.properties,
  ...late,
  answered: Type.Boolean({
    description:
      'Somebody can answer for the service now; false where no target of the pools that have traffic again can.',
  }),
})

export const RolloutsAnswer = object({ rollouts: Type.Array(RolloutAnswer) })

/** A rollout that runs, in short. */
export const RunningAnswer = object(
  {
    id: Type.String(),
    to: Type.String(),
    state: StateAnswer,
    step: Step,
    steps: Type.Integer({ minimum: 1, description: 'How many there are.' }),
    weight: Weight,
    inMs: nullable(Type.Number({ description: 'At the earliest when it goes on; null on the way back.' })),
    waitsFor: nullable(Type.String({ description: 'Null on the way back.' })),
  },
  'The rollout that runs and decides the weights.',
)

/** What is told of it in short; null when none runs. */
export function toldRunning(rollout: ToldRollout | null): Static<typeof RunningAnswer> | null {
  if (rollout === null) return null
  const { id, to, state, step, steps, weight, next } = rollout
  return {
    id,
    to,
    state,
    step,
    steps: steps.length,
    weight,
    inMs: next?.inMs ?? null,
    waitsFor: next?.waitsFor ?? null,
  }
}
