/**
 * Calls on rollouts: begin one, read them, and a person's verbs.
 *
 * A rollout is told as it stands at that moment; what becomes of it is the controller's (rollout/controller.ts).
 */
import type { FastifyInstance } from 'fastify'
import type { Snapshot } from '../change.ts'
import { validateRollout } from '../config/check.ts'
import { durationMs } from '../config/duration.ts'
import { isRecord, own } from '../config/record.ts'
import { closed, Duration } from '../config/schema-parts.ts'
import { RolloutSchema } from '../config/schema-rollout.ts'
import { Type } from '../config/type.ts'
import { validate } from '../config/validate.ts'
import { TurnoutError } from '../errors.ts'
import type { Asked } from '../rollout/asked.ts'
import { isAnswered } from '../table/proven.ts'
import {
  assertFaultless,
  checkBody,
  checkedByHandler,
  findService,
  lateAnswer,
  onlyAt,
  setETag,
  soundValue,
} from './apply.ts'
import type { AdminDeps } from './deps.ts'
import { AbortAnswer, PostedAnswer, RolloutAnswer, RolloutsAnswer } from './rollout-schemas.ts'
import { RunbookAnswer } from './runbook-schema.ts'
import { answers } from './schemas.ts'

interface OfService {
  Params: { service: string }
}
interface OfRollout {
  Params: { service: string; id: string }
}

const BeginSchema = Type.Object(
  {
    to: Type.String({ description: 'Name of the pool with the new version.' }),
    version: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 128,
        description: 'The version that the pool has, or that a rolling release brings.',
      }),
    ),
    now: Type.Optional(Type.Boolean({ description: 'Begin and go on whatever the schedule says.' })),
    without: Type.Optional(
      Type.Array(Type.String(), {
        maxItems: 10,
        description: 'Names of metrics of the settings that it is not judged by.',
      }),
    ),
    dryRun: Type.Optional(
      Type.Boolean({ description: 'Only tell what it would do, and what its checks find now. Nothing is changed.' }),
    ),
    ...RolloutSchema.properties,
  },
  { additionalProperties: false },
)

interface Begin {
  readonly asked: Asked
  readonly isDry: boolean
}

/** What is asked for; throws `invalid` with every fault of it, those that the schema cannot say too. */
function beginOf(body: unknown): Begin {
  const { value, findings } = validate(BeginSchema, body)
  const {
    to,
    version,
    now,
    without,
    dryRun = false,
    ...sent
  } = (isRecord(value) ? value : {}) as unknown as Asked & { readonly dryRun?: boolean }
  const checked = validateRollout(sent)
  assertFaultless(findings, 'faults' in checked ? checked.faults : [])
  const beside = {
    to,
    ...(version !== undefined && { version }),
    ...(now !== undefined && { now }),
    ...(without !== undefined && { without }),
  }
  return { asked: { ...beside, ...soundValue(checked) }, isDry: dryRun }
}

const POSTED_MAX = 1_000_000_000

const PostSchema = closed({
  name: Type.String({ minLength: 1, maxLength: 63, description: 'Name of the metric.' }),
  pool: Type.String({ minLength: 1, maxLength: 63, description: 'Pool that they are of.' }),
  good: Type.Integer({ minimum: 0, maximum: POSTED_MAX, description: 'Good ones since the last post.' }),
  bad: Type.Integer({ minimum: 0, maximum: POSTED_MAX, description: 'Bad ones since the last post.' }),
  over: Type.Optional(
    Duration('Time over which was counted. Without, the first post of a pool in a step does not count.'),
  ),
})

const KEY_PATTERN = '^[!-~]{1,128}$'
const KeyHeader = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({ pattern: KEY_PATTERN, description: 'What is sent again under the same key counts once.' }),
  ),
})

/** The key of a post, or null; throws `malformed`. */
function keyOf(header: string | string[] | undefined): string | null {
  if (header === undefined) return null
  if (typeof header === 'string' && new RegExp(KEY_PATTERN).test(header)) return header
  throw new TurnoutError('malformed', 'Idempotency-Key must be 1 to 128 visible characters of ASCII.')
}

/** Registers the calls. */
export function rolloutRoutes(app: FastifyInstance, deps: AdminDeps): void {
  const { control, rollouts } = deps
  app.post<OfService>('/v1/services/:service/rollouts', {
    validatorCompiler: checkedByHandler,
    schema: {
      summary: 'Begin a rollout, by the settings of the service and what is sent over them',
      body: BeginSchema,
      response: { ...answers(RunbookAnswer), ...answers(RolloutAnswer, [201]) },
    },
    handler: async (request, reply) => {
      const { service } = request.params
      findService(control.snapshot(), service)
      const { asked, isDry } = beginOf(request.body)
      const { ifMatch, only } = onlyAt({ control }, request)
      only()
      if (isDry) {
        setETag(reply, control.snapshot().revision)
        return rollouts.dryRun(service, asked, request.actor)
      }
      const begun = await rollouts.begin(service, asked, request.actor, ifMatch)
      setETag(reply, control.snapshot().revision)
      reply.code(201)
      return begun
    },
  })
  app.get<OfService>('/v1/services/:service/rollouts', {
    schema: { summary: 'Rollouts of a service, the newest first', response: answers(RolloutsAnswer) },
    handler: async ({ params: { service } }) => {
      findService(control.snapshot(), service)
      await rollouts.refresh(service)
      return { rollouts: rollouts.list(service) }
    },
  })
  app.get<OfRollout>('/v1/services/:service/rollouts/:id', {
    schema: {
      summary: 'A rollout by its id, or as "current" the one that runs, else the last',
      response: answers(RolloutAnswer),
    },
    handler: async ({ params: { service, id } }) => {
      findService(control.snapshot(), service)
      await rollouts.refresh(service)
      return rollouts.find(service, id)
    },
  })
  app.post<OfRollout>('/v1/services/:service/rollouts/:id/metrics', {
    validatorCompiler: checkedByHandler,
    schema: {
      summary: 'Counts of a metric that is judged beside the traffic, since the last post',
      headers: KeyHeader,
      body: PostSchema,
      response: answers(PostedAnswer),
    },
    handler: (request, reply) => {
      const { service, id } = request.params
      findService(control.snapshot(), service)
      const { name, over, ...counts } = checkBody(PostSchema, request.body)
      const key = keyOf(request.headers['idempotency-key'])
      const overMs = over === undefined ? null : durationMs(over)
      reply.send(rollouts.post(service, id, name, { ...counts, overMs, key }))
    },
  })
  steeringRoutes(app, deps)
}

function steeringRoutes(
  app: FastifyInstance,
  { control, rollouts, clock, instances }: Pick<AdminDeps, 'clock' | 'control' | 'instances' | 'rollouts'>,
): void {
  for (const [verb, summary] of Object.entries(VERBS) as [keyof typeof VERBS, string][]) {
    const isAbort = verb === 'abort'
    const querystring = own(FORCE, verb)
    app.post<OfRollout>(`/v1/services/:service/rollouts/:id/${verb}`, {
      schema: {
        summary,
        ...(querystring && { querystring }),
        response: answers(isAbort ? AbortAnswer : RolloutAnswer),
      },
      handler: async (request, reply) => {
        const { service, id } = request.params
        findService(control.snapshot(), service)
        await rollouts.refresh(service)
        const { force } = (request.query ?? {}) as { readonly force?: boolean }
        const { only } = onlyAt({ control }, request)
        const told = await rollouts.command(service, id, verb, request.actor, {
          ...(force !== undefined && { force }),
          only,
        })
        const snapshot = control.snapshot()
        setETag(reply, snapshot.revision)
        if (!isAbort) return told
        // Traffic is back here; the answer is for all.
        const late = lateAnswer(await instances.everywhere({ revision: snapshot.revision }))
        return { ...told, ...late, answered: isServed(control.snapshot(), service, clock.steadyMs()) }
      },
    })
  }
}

/** Whether somebody can answer for a service; one that is gone meanwhile wants nobody. */
function isServed({ services, status }: Snapshot, name: string, nowMs: number): boolean {
  const [spec, is] = [own(services, name), own(status, name)]
  return spec === undefined || is === undefined || isAnswered(spec, is, nowMs)
}

const forceQuery = (isDefault: boolean, description: string) =>
  closed({ force: Type.Optional(Type.Boolean({ default: isDefault, description })) })

const FORCE = {
  promote: forceQuery(false, 'Whatever its schedule and its capacity say.'),
  abort: forceQuery(true, 'Even where nobody would be left to answer; false is refused there.'),
}

const VERBS = {
  pause: 'Stop where it is; it is still judged',
  resume: 'Go on after a pause',
  promote: 'On to the next step, whatever the present one still misses',
  abort: 'Back to the split before it; answered once traffic is back',
} as const
