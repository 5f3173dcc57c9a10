/**
 * Calls that hold the requests of a service, and let them go on.
 *
 * A release is made like a way back: before all changes that wait, and in every worker before the store has it. So it helps with the store
 * away too; what it could not store it says.
 */
import { randomBytes } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { Static } from 'typebox'
import type { AskedHold, Change, ChangeOptions, ChangeResult } from '../change.ts'
import { durationMs } from '../config/duration.ts'
import { Type } from '../config/type.ts'
import { apply, asCaller, ChangeQuery, changeAtOnce, changedAnswer, findService, MINUTES } from './apply.ts'
import type { AdminDeps } from './deps.ts'
import { answers, Count, changed, Milliseconds, nullable, object } from './schemas.ts'

const FOR_DEFAULT = '30s'
/** As long as somebody may wait, but not for no time at all. */
const FOR = {
  pattern: MINUTES.pattern.replace('^', '^(?![0.]+[a-z]+$)'),
  title: MINUTES.title.replace('of at most', 'above 0 and of at most'),
} as const
const QUEUE_DEFAULT = 10_000
const BYTES_DEFAULT = 67_108_864

const bounds = {
  only: Type.Optional(
    Type.Union([Type.Literal('all'), Type.Literal('writes')], {
      default: 'all',
      description: 'All requests, or those that are not safe by their method, and upgrades.',
    }),
  ),
  queue: Type.Optional(
    Type.Integer({
      default: QUEUE_DEFAULT,
      minimum: 1,
      maximum: 1_000_000,
      description: 'Requests that may wait, over all workers; more are answered 503.',
    }),
  ),
  bytes: Type.Optional(
    Type.Integer({
      default: BYTES_DEFAULT,
      minimum: 65_536,
      maximum: 1_073_741_824,
      description: 'Bytes that these may take in memory.',
    }),
  ),
}

/** How requests are held: the body of a hold, and `hold` of a switch. */
export const HoldSchema = Type.Object(
  {
    for: Type.Optional(
      Type.String({
        ...FOR,
        default: FOR_DEFAULT,
        description: 'When the hold ends by itself; who still waits is answered 503 then.',
      }),
    ),
    ...bounds,
  },
  { additionalProperties: false },
)

/** Told of the hold of a service. */
export const HoldAnswer = nullable(
  object(
    {
      only: Type.Union([Type.Literal('all'), Type.Literal('writes')]),
      sinceMs: Milliseconds('Wall time at which it began.'),
      untilMs: Milliseconds('Wall time at which it ends by itself.'),
      queue: Count('Requests that may wait.'),
      bytes: Count('Bytes that these may take.'),
      ofSwitch: Type.Boolean({ description: 'A switch is under way that has begun it.' }),
    },
    'null while it is not held.',
  ),
)

/** A hold as it is posted, with what was not said. */
export function askedHold(posted: Static<typeof HoldSchema>): AskedHold {
  const { for: duration = FOR_DEFAULT, only = 'all', queue = QUEUE_DEFAULT, bytes = BYTES_DEFAULT } = posted
  const id = `h-${randomBytes(4).toString('hex')}`
  return { id, forMs: durationMs(duration), only, queueMax: queue, bytesMax: bytes }
}

interface OfService {
  Params: { service: string }
}

/** Registers the calls. */
export function holdRoutes(app: FastifyInstance, deps: AdminDeps): void {
  app.post<OfService & { Body: Static<typeof HoldSchema> }>('/v1/services/:service/hold', {
    schema: {
      summary: 'Hold the requests of a service, or its writes: they wait in order',
      querystring: ChangeQuery,
      body: HoldSchema,
      response: answers(
        object({ ...changed, service: Type.String(), untilMs: Milliseconds('When it ends by itself.') }),
      ),
    },
    handler: async (request, reply) => {
      const { service } = request.params
      findService(deps.control.snapshot(), service)
      const hold = askedHold(request.body)
      const untilMs = deps.clock.nowMs() + hold.forMs
      return { ...(await apply(deps, request, reply, { kind: 'hold', services: [service], hold })), service, untilMs }
    },
  })
  app.post<OfService>('/v1/services/:service/release', {
    schema: {
      summary: 'Let the held requests of a service go on',
      querystring: ChangeQuery,
      response: answers(object({ ...changed, service: Type.String() })),
    },
    handler: async (request, reply) => {
      const { service } = request.params
      const result = await asCaller(request, 0, (options) =>
        release(deps, { kind: 'release', services: [service] }, options),
      )
      return { ...changedAnswer(reply, result), service }
    },
  })
}

const RELEASED =
  'The requests go on all the same. That is stored by itself as soon as it can be; a restart before that would hold again.'

/** Releases at once. */
export const release = (
  deps: Pick<AdminDeps, 'control'>,
  change: Change,
  options: ChangeOptions,
): Promise<ChangeResult> => changeAtOnce(deps, change, options, RELEASED)
