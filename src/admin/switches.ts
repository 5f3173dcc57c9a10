/**
 * Calls that send all traffic of a service, or of several in one commit, to one pool: at once, or under a hold (held-switch.ts).
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import { poolNamed } from '../config/named.ts'
import { closed } from '../config/schema-parts.ts'
import { Type } from '../config/type.ts'
import { apply, asCaller, ChangeQuery, changedAnswer, findService, WaitSchema, waitMsOf } from './apply.ts'
import type { AdminDeps } from './deps.ts'
import { abortLeft } from './going-back.ts'
import { type AskedSwitch, askedSwitch, HeldHow, type HeldResult, switchUnderHold } from './held-switch.ts'
import { answers, GroupChangeAnswer, SplitChangeAnswer } from './schemas.ts'
import { changeSplit, splitNow } from './services.ts'

/** What every switch may be asked with. */
const how = { wait: Type.Optional(WaitSchema), ...HeldHow }
const SwitchSchema = closed({ to: Type.String({ description: 'Name of the pool.' }), ...how })
const GroupSchema = closed({
  to: Type.Record(Type.String(), Type.String(), {
    minProperties: 1,
    examples: [{ shop: 'green' }],
    description: 'Pool by service.',
  }),
  ...how,
})

/** Registers the calls. */
export function switchRoutes(app: FastifyInstance, deps: AdminDeps): void {
  app.post<{ Params: { service: string }; Body: Static<typeof SwitchSchema> }>('/v1/services/:service/switch', {
    schema: {
      summary: 'All to one pool, in one commit, once it is proven; under a hold where that is asked for',
      querystring: ChangeQuery,
      body: SwitchSchema,
      response: answers(SplitChangeAnswer),
    },
    handler: async (request, reply) => {
      const { service } = request.params
      const { to: pool, wait, ...posted } = request.body
      const to = { [service]: pool }
      const asked = askedSwitch(to, posted)
      const waitMs = waitMsOf(wait)
      if (asked === null) return changeSplit(deps, request, reply, { kind: 'switch', to }, waitMs)
      const result = await underHold(deps, request, waitMs, asked)
      return { ...changedAnswer(reply, result), ...splitNow(deps, service), held: result.held }
    },
  })
  app.post<{ Body: Static<typeof GroupSchema> }>('/v1/switch', {
    schema: {
      summary:
        'Several services to one pool each, in one commit, once all are proven; under a hold where that is asked for',
      querystring: ChangeQuery,
      body: GroupSchema,
      response: answers(GroupChangeAnswer),
    },
    handler: async (request, reply) => {
      const { to, wait, ...posted } = request.body
      const asked = askedSwitch(to, posted)
      const snapshot = deps.control.snapshot()
      for (const [service, pool] of Object.entries(to)) poolNamed(findService(snapshot, service), service, pool)
      const waitMs = waitMsOf(wait)
      if (asked === null) {
        await abortLeft(deps, request, to)
        return { ...(await apply(deps, request, reply, { kind: 'switch', to }, waitMs)), to }
      }
      const result = await underHold(deps, request, waitMs, asked)
      return { ...changedAnswer(reply, result), to, held: result.held }
    },
  })
}

const underHold = (deps: AdminDeps, request: FastifyRequest, waitMs: number, asked: AskedSwitch): Promise<HeldResult> =>
  asCaller(request, waitMs, (options) => switchUnderHold(deps, asked, options, request.server.ending))
