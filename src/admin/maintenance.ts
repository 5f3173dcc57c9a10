/**
 * The call that puts a service into maintenance, and out of it. Out is made like a release (holds.ts): before all changes that wait, and in every
 * worker before the store has it, so that it helps with the store away too.
 */
import type { FastifyInstance } from 'fastify'
import type { Static } from 'typebox'
import { Type } from '../config/type.ts'
import { pagesGiven } from '../metrics/maintenance.ts'
import type { ServiceStatus } from '../table/status.ts'
import { asCaller, ChangeQuery, changeAtOnce, changedAnswer, findService } from './apply.ts'
import type { AdminDeps } from './deps.ts'
import { answers, Count, changed, Milliseconds, nullable, object } from './schemas.ts'

const MaintenanceBody = Type.Object(
  { on: Type.Boolean({ description: 'Whether visitors are answered by the maintenance page from now on.' }) },
  { additionalProperties: false },
)

/** Told of the maintenance of a service. */
export const MaintenanceAnswer = object({
  sinceMs: nullable(Milliseconds('Wall time at which it was switched on; null while it is off.')),
  answered: Count('Requests that its page has answered.'),
})

/** The maintenance of a service, for people. */
export function toldMaintenance(
  { maintenance, slot }: ServiceStatus,
  { memory }: Pick<AdminDeps, 'memory'>,
): Static<typeof MaintenanceAnswer> {
  return { sinceMs: maintenance?.sinceMs ?? null, answered: pagesGiven(memory, slot) }
}

/** Registers the call. */
export function maintenanceRoutes(app: FastifyInstance, deps: AdminDeps): void {
  app.put<{ Params: { service: string }; Body: Static<typeof MaintenanceBody> }>('/v1/services/:service/maintenance', {
    schema: {
      summary: 'Answer the visitors of a service by its maintenance page, or no longer',
      querystring: ChangeQuery,
      body: MaintenanceBody,
      response: answers(object({ ...changed, service: Type.String(), on: Type.Boolean() })),
    },
    handler: async (request, reply) => {
      const { service } = request.params
      const { on } = request.body
      findService(deps.control.snapshot(), service)
      const change = { kind: 'maintenance', service, on } as const
      const result = await asCaller(request, 0, (options) =>
        on
          ? deps.control.change(change, options)
          : changeAtOnce(
              deps,
              change,
              options,
              'Visitors are served again all the same. That is stored by itself as soon as it can be; after a restart before that it would be on again.',
            ),
      )
      return { ...changedAnswer(reply, result), service, on }
    },
  })
}
