/**
 * `POST /v1/upgrade`: another process takes the place of this one (upgrade/upgrade.ts).
 *
 * It is answered by the old process, when the new one serves, or when all is as before and why. Whoever has asked for it cannot see any more what
 * the old one holds, which the new one does not count, so that is part of the answer.
 */
import type { FastifyInstance } from 'fastify'
import type { Static } from 'typebox'
import { durationMs } from '../config/duration.ts'
import { Type } from '../config/type.ts'
import { TurnoutError } from '../errors.ts'
import type { AdminDeps } from './deps.ts'
import { answers, Count, Milliseconds, nullable, object } from './schemas.ts'

const UpgradeQuery = Type.Object(
  {
    timeout: Type.String({
      default: '60s',
      pattern: '^(?:[1-9]|[1-9][0-9]|[1-5][0-9]{2}|600)s$|^(?:[1-9]|10)m$',
      title: 'a duration from 1s to 10m, such as 60s',
      description:
        'The new process has so long until it serves; then it is ended, and all is as before. From 1s to 10m.',
    }),
  },
  { additionalProperties: false },
)

const pid = Type.Integer({ description: 'Its process id.' })
const version = Type.String({ description: 'Version of Turnout.' })

const UpgradedAnswer = object({
  pid,
  version,
  from: object({ pid, version }, 'The process that it has replaced.'),
  listeners: Type.Array(Type.String({ description: 'URL of a listener.' })),
  admin: Type.String({ description: 'URL of the admin API.' }),
  revision: Count('Revision of the spec.'),
  held: nullable(
    object(
      {
        requests: Count('How many it holds.'),
        refusedInMs: Milliseconds(
          'They are refused then, at the end of `timeouts.shutdown`, unless they are released.',
        ),
      },
      'Requests that the old process still holds, where their hold is longer than it may last itself.',
    ),
  ),
  tookMs: Milliseconds('From the start of the new process until it serves.'),
})

/** Registers the call. */
export function upgradeRoutes(app: FastifyInstance, { upgrade }: Pick<AdminDeps, 'upgrade'>): void {
  app.post<{ Querystring: Static<typeof UpgradeQuery> }>('/v1/upgrade', {
    schema: {
      summary: 'Have another process take the place of this one, without a connection lost',
      querystring: UpgradeQuery,
      response: answers(UpgradedAnswer),
    },
    handler: ({ query }) => {
      if (upgrade === undefined)
        throw new TurnoutError('conflict', 'Only what "turnout serve" has started can be upgraded.')
      return upgrade(durationMs(query.timeout))
    },
  })
}
