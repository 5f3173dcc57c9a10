/** The shape of the answer to a dry run of a rollout. */
import { Type } from '../config/type.ts'
import { nullable, object, WeightsAnswer } from './schemas.ts'

const Text = Type.String()
const Ms = Type.Number({ minimum: 0 })

export const RunbookAnswer = object({
  dryRun: Type.Literal(true),
  service: Text,
  from: Text,
  to: Text,
  strategy: Text,
  passes: Type.Boolean({ description: 'No check fails now.' }),
  checks: Type.Array(
    object({
      check: Text,
      asks: Text,
      state: Type.Union((['ok', 'failed', 'skipped'] as const).map((state) => Type.Literal(state))),
      sentence: Text,
    }),
  ),
  steps: Type.Array(
    object({
      stage: Text,
      weight: Type.Integer({ minimum: 0, maximum: 100 }),
      split: WeightsAnswer,
      does: Type.Array(Text, { description: 'What is done, in order.' }),
      waitsFor: Type.Array(Text),
      atLeastMs: Ms,
      answersToPass: nullable(
        Type.Integer({ description: 'Answers of the new version that its verdict needs, about.' }),
      ),
      aboutMs: nullable(Type.Number({ description: 'How long that takes at the present rate.' })),
    }),
  ),
  back: object({ split: WeightsAnswer, does: Type.Array(Text) }),
  requestsPerSecond: nullable(Type.Number()),
  notice: Type.Array(
    object({
      failing: Type.Number({ description: 'Share of the answers that fail.' }),
      answers: Type.Integer({ description: 'Of the new version until it is sent back, about.' }),
      aboutMs: nullable(Ms),
    }),
  ),
  atLeastMs: Ms,
  waits: nullable(object({ why: Text, untilMs: nullable(Type.Number()) })),
  notTried: Text,
})
