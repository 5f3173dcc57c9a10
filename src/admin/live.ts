/**
 * Calls for machines: live, ready, metrics, and the description of the API.
 */
import type { FastifyInstance } from 'fastify'
import type { Static } from 'typebox'
import { Type } from '../config/type.ts'
import { TurnoutError } from '../errors.ts'
import type { AdminDeps } from './deps.ts'
import { answers } from './schemas.ts'

const LiveAnswer = Type.Object({ status: Type.Literal('live') }, { additionalProperties: false })
const ReadyAnswer = Type.Object(
  { status: Type.Literal('ready'), revision: Type.Integer(), epoch: Type.Integer() },
  { additionalProperties: false },
)

const ReadyQuery = Type.Object(
  {
    strict: Type.Optional(
      Type.Union([Type.Boolean(), Type.Literal('')], {
        description:
          'Whether it is also to reach and follow the store that it shares with other instances; without a value it is. Default: as `onPartition` of the config says.',
      }),
    ),
  },
  { additionalProperties: false },
)

/** Registers the calls. */
export function liveRoutes(
  app: FastifyInstance,
  deps: Pick<AdminDeps, 'control' | 'isReady' | 'exposition' | 'instances' | 'unreadyWhenCutOff'>,
): void {
  const { control, isReady, exposition, instances } = deps
  app.get('/healthz', {
    config: { isOpen: true },
    schema: { summary: 'The process is live', response: answers(LiveAnswer) },
    handler: (_request, reply) => {
      reply.send({ status: 'live' })
    },
  })
  app.get<{ Querystring: Static<typeof ReadyQuery> }>('/readyz', {
    config: { isOpen: true },
    schema: {
      summary: 'A table is committed in every worker',
      querystring: ReadyQuery,
      response: answers(ReadyAnswer),
    },
    handler: (request, reply) => {
      if (!isReady()) throw new TurnoutError('not_ready')
      const { strict = deps.unreadyWhenCutOff } = request.query
      const cutOff = strict === false ? null : instances.cutOff
      if (cutOff !== null) throw new TurnoutError('not_ready', cutOff)
      const { revision, epoch } = control.snapshot()
      reply.send({ status: 'ready', revision, epoch })
    },
  })
  app.get('/metrics', {
    schema: { summary: 'Metrics for Prometheus', response: answers(Type.String(), [200], 'text/plain') },
    handler: async (_request, reply) => reply.type(exposition.contentType).send(await exposition.text()),
  })
  app.get('/openapi.json', {
    schema: {
      summary: 'This description',
      response: answers(Type.Object({ openapi: Type.String() }, { additionalProperties: true })),
    },
    handler: (_request, reply) => {
      reply.send(app.swagger())
    },
  })
}
