/**
 * Calls on pools and on the admin state of pools and targets.
 *
 * A target stands in a path as `host:port` (or its whole URL), percent-encoded where needed; control finds it within its
 * pool, and refuses what names two.
 */
import type { FastifyInstance } from 'fastify'
import { validatePool, validateState } from '../config/check.ts'
import { PoolSchema, StateBodySchema } from '../config/schema.ts'
import { apply, ChangeQuery, checkedByHandler, checkName, findService, soundValue } from './apply.ts'
import type { AdminDeps } from './deps.ts'
import { RemovalAnswer, RemovalQuery, withDraining } from './removals.ts'
import { answers, ChangeAnswer } from './schemas.ts'

interface OfPool {
  Params: { service: string; pool: string }
}
interface OfTarget {
  Params: { service: string; pool: string; target: string }
}

/** Registers the calls. */
export function poolRoutes(app: FastifyInstance, deps: AdminDeps): void {
  const { control } = deps
  app.put<OfPool>('/v1/services/:service/pools/:pool', {
    validatorCompiler: checkedByHandler,
    schema: {
      summary: 'Create or replace a pool: its version and targets',
      querystring: RemovalQuery,
      body: PoolSchema,
      response: answers(RemovalAnswer, [200, 201]),
    },
    handler: async (request, reply) => {
      const { service, pool } = request.params
      const { pools } = findService(control.snapshot(), service)
      checkName('pool', pool)
      const spec = soundValue(validatePool(request.body))
      const isNew = !Object.hasOwn(pools, pool)
      const result = await withDraining(deps, request, { service, pool }, () =>
        apply(deps, request, reply, { kind: 'pool.put', service, pool, spec }),
      )
      if (isNew && result.changed) reply.code(201)
      return result
    },
  })
  app.delete<OfPool>('/v1/services/:service/pools/:pool', {
    schema: { summary: 'Remove a pool', querystring: RemovalQuery, response: answers(RemovalAnswer) },
    handler: (request, reply) => {
      const { service, pool } = request.params
      return withDraining(deps, request, { service, pool }, () =>
        apply(deps, request, reply, { kind: 'pool.delete', service, pool }),
      )
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
      const state = soundValue(validateState(request.body))
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
      const state = soundValue(validateState(request.body))
      return apply(deps, request, reply, { kind: 'target.state', service, pool, target, state })
    },
  })
}
