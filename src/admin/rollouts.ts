/**
 * Calls on rollouts: begin one, read them, and a person's verbs.
 *
 * A rollout is told as it stands at that moment; what becomes of it is the controller's (rollout/controller.ts).
 */
import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { RolloutSchema, type RolloutSpec } from '../config/schema-rollout.ts'
import { checkBody, checkedByHandler, findService } from './apply.ts'
import type { AdminDeps } from './deps.ts'
import { RolloutAnswer, RolloutsAnswer } from './rollout-schemas.ts'
import { answers } from './schemas.ts'

interface OfService {
  Params: { service: string }
}
interface OfRollout {
  Params: { service: string; id: string }
}

const BeginSchema = Type.Object(
  { to: Type.String({ description: 'Name of the pool with the new version.' }), ...RolloutSchema.properties },
  { additionalProperties: false },
)

/** Registers the calls. */
export function rolloutRoutes(app: FastifyInstance, { control, rollouts }: AdminDeps): void {
  app.post<OfService>('/v1/services/:service/rollouts', {
    validatorCompiler: checkedByHandler,
    schema: {
      summary: 'Begin a rollout, by the settings of the service and what is sent over them',
      body: BeginSchema,
      response: answers(RolloutAnswer, [201]),
    },
    handler: async (request, reply) => {
      const { service } = request.params
      findService(control.snapshot(), service)
      const { to, ...sent } = checkBody(BeginSchema, request.body) as RolloutSpec & { to: string }
      reply.code(201)
      return rollouts.begin(service, to, sent, request.actor)
    },
  })
  app.get<OfService>('/v1/services/:service/rollouts', {
    schema: { summary: 'Rollouts of a service, the newest first', response: answers(RolloutsAnswer) },
    handler: (request, reply) => {
      findService(control.snapshot(), request.params.service)
      reply.send({ rollouts: rollouts.list(request.params.service) })
    },
  })
  app.get<OfRollout>('/v1/services/:service/rollouts/:id', {
    schema: {
      summary: 'A rollout by its id, or as "current" the one that runs, else the last',
      response: answers(RolloutAnswer),
    },
    handler: (request, reply) => {
      findService(control.snapshot(), request.params.service)
      reply.send(rollouts.find(request.params.service, request.params.id))
    },
  })
  for (const [verb, summary] of Object.entries(VERBS) as [keyof typeof VERBS, string][]) {
    app.post<OfRollout>(`/v1/services/:service/rollouts/:id/${verb}`, {
      schema: { summary, response: answers(RolloutAnswer) },
      handler: (request) => {
        const { service, id } = request.params
        findService(control.snapshot(), service)
        return rollouts.command(service, id, verb, request.actor)
      },
    })
  }
}

const VERBS = {
  pause: 'Stop where it is; it is still judged',
  resume: 'Go on after a pause',
  promote: 'On to the next step, whatever the present one still misses',
  abort: 'Back to the split before it; answered once traffic is back',
} as const
