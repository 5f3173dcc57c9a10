/**
 * What happened and going back: the audit, the revisions, and restoring one.
 */
import type { FastifyInstance } from 'fastify'
import type { Static } from 'typebox'
import type { Control, Revision } from '../change.ts'
import { Type } from '../config/type.ts'
import { TurnoutError } from '../errors.ts'
import { apply } from './apply.ts'
import type { AdminDeps } from './deps.ts'
import { NUMBER_MAX } from './document.ts'
import { RemovalAnswer, RemovalQuery, withDraining } from './removals.ts'
import { AuditAnswer, answers, RevisionAnswer, RevisionsAnswer } from './schemas.ts'

const PageQuery = Type.Object(
  {
    limit: Type.Integer({ default: 50, minimum: 1, maximum: 1_000, description: 'At most so many, newest first.' }),
    before: Type.Optional(Type.Integer({ minimum: 0, maximum: NUMBER_MAX, description: 'Only revisions below this.' })),
  },
  { additionalProperties: false },
)
interface Paged {
  Querystring: Static<typeof PageQuery>
}
interface OfRevision {
  Params: { revision: string }
}

type HistoryDeps = Pick<AdminDeps, 'busyPredecessor' | 'clock' | 'control' | 'instances' | 'memory' | 'store'>

/** Registers the calls. */
export function historyRoutes(app: FastifyInstance, deps: HistoryDeps): void {
  const { control, store } = deps
  app.get<Paged>('/v1/audit', {
    schema: { summary: 'Who changed what', querystring: PageQuery, response: answers(AuditAnswer) },
    handler: async ({ query }) => ({ entries: await store.revisions(query.limit, query.before) }),
  })
  app.get<Paged>('/v1/revisions', {
    schema: { summary: 'Revisions that there were', querystring: PageQuery, response: answers(RevisionsAnswer) },
    handler: async ({ query }) => {
      const entries = await store.revisions(query.limit, query.before)
      return {
        revisions: entries.map(({ revision, atMs, actor, change }) => {
          return { revision, atMs, actor, kind: change.kind, service: change.service ?? null }
        }),
      }
    },
  })
  app.get<OfRevision>('/v1/revisions/:revision', {
    schema: { summary: 'A revision in full', response: answers(RevisionAnswer) },
    handler: async (request) => {
      const { revision, atMs, actor, change, services } = await findRevision(control, request.params.revision)
      return { revision, atMs, actor, change, services }
    },
  })
  app.post<OfRevision>('/v1/revisions/:revision/restore', {
    schema: {
      summary: 'Make the services as they were in a revision',
      querystring: RemovalQuery,
      response: answers(RemovalAnswer),
    },
    handler: (request, reply) => {
      const from = numberOf(request.params.revision)
      return withDraining(deps, request, {}, () => apply(deps, request, reply, { kind: 'restore', from }))
    },
  })
}

function numberOf(text: string): number {
  if (/^[0-9]{1,15}$/.test(text)) return Number(text)
  throw noRevision(text)
}

async function findRevision(control: Pick<Control, 'revision'>, text: string): Promise<Revision> {
  const found = await control.revision(numberOf(text))
  if (found === null) throw noRevision(text)
  return found
}

const noRevision = (text: string) =>
  new TurnoutError('not_found', `There is no revision ${text}, or it is no longer kept.`)
