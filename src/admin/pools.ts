/**
 * Calls on pools and on the admin state of pools and targets.
 *
 * A target stands in a path as `host:port` (or its whole URL), percent-encoded where needed; control finds it within its
 * pool, and refuses what names two.
 */
import type { FastifyInstance } from 'fastify'
import { PoolSchema, StateBodySchema } from '../config/schema.ts'
import { apply, ChangeQuery, checkedByHandler, checkName, findService, soundValue } from './apply.ts'
import type { AdminDeps } from './deps.ts'
import { DrainingAnswer, drainingOf, RemovalQuery, removalWaitMs } from './removals.ts'
import { answers, ChangeAnswer, changed, object } from './schemas.ts'

const PoolChangeAnswer = object({ ...changed, draining: DrainingAnswer })

interface OfPool {
  Params: { service: string; pool: string }
}
interface OfTarget {
  Params: { service: string; pool: string; target: string }
}

/** Registers the calls. */
export function poolRoutes(app: FastifyInstance, deps: AdminDeps): void {
  const { control, validate } = deps
  app.put<OfPool>('/v1/services/:service/pools/:pool', {
    validatorCompiler: checkedByHandler,
    schema: {
      summary: 'Create or replace a pool: its version and targets',
      querystring: RemovalQuery,
      body: PoolSchema,
      response: answers(PoolChangeAnswer, [200, 201]),
    },
    handler: async (request, reply) => {
      const { service, pool } = request.params
      const before = control.snapshot()
      const { pools } = findService(before, service)
      checkName('pool', pool)
      const spec = soundValue(validate.pool(request.body))
      const waitMs = removalWaitMs(request)
      const result = await apply(deps, request, reply, { kind: 'pool.put', service, pool, spec })
      if (result.changed && !Object.hasOwn(pools, pool)) reply.code(201)
      return { ...result, ...(await drainingOf(deps, request, before, request.params, waitMs)) }
    },
  })
  app.delete<OfPool>('/v1/services/:service/pools/:pool', {
    schema: { summary: 'Remove a pool', querystring: RemovalQuery, response: answers(PoolChangeAnswer) },
    handler: async (request, reply) => {
      const { service, pool } = request.params
      const [before, waitMs] = [control.snapshot(), removalWaitMs(request)]
      const result = await apply(deps, request, reply, { kind: 'pool.delete', service, pool })
      return { ...result, ...(await drainingOf(deps, request, before, request.params, waitMs)) }
    },
  })
  stateRoutes(app, deps)
}

function stateRoutes(app: FastifyInstance, deps: AdminDeps): void {
  app.put<OfPool>('/v1/services/:service/pools/:pool/state', {
    validatorCompiler: checkedByHandler,
    schema: {
      summary: 'Admin state of a pool',
      querystring: ChangeQuery,
      body: StateBodySchema,
      response: answers(ChangeAnswer),
    },
    handler: (request, reply) => {
      const { service, pool } = request.params
      const state = soundValue(deps.validate.state(request.body))
      return apply(deps, request, reply, { kind: 'pool.state', service, pool, state })
    },
  })
  app.put<OfTarget>('/v1/services/:service/pools/:pool/targets/:target/state', {
    validatorCompiler: checkedByHandler,
    schema: {
      summary: 'Admin state of a target',
      querystring: ChangeQuery,
      body: StateBodySchema,
      response: answers(ChangeAnswer),
    },
    handler: (request, reply) => {
      const { service, pool, target } = request.params
      const state = soundValue(deps.validate.state(request.body))
      return apply(deps, request, reply, { kind: 'target.state', service, pool, target, state })
    },
  })
}
