/**
 * The description of the API (OpenAPI 3.1), where it says more than the schemas of the routes: what a caller may leave away,
 * names and numbers in paths, who needs a token, the headers that every change takes and answers, what follows from what.
 *
 * It is made from the routes by @fastify/swagger and must say neither more nor less than what is so: clients are made from it,
 * and .ci/run holds it against a running Turnout (test/schemathesis/). Nothing here checks anything.
 */
import type { SwaggerTransform, SwaggerTransformObject } from '@fastify/swagger'
import type { FastifySchema } from 'fastify'
import type { TSchema } from 'typebox'
import { asWritten } from '../config/schema-forms.ts'
import { NAME_PATTERN } from '../config/schema-parts.ts'
import { Type } from '../config/type.ts'

type Json = Readonly<Record<string, unknown>>

/** Whole numbers of our own (revisions, ids of events) are at most this: 15 digits, which every JSON parser reads exactly. */
export const NUMBER_MAX = 999_999_999_999_999

/** The name of every operation, for the clients that are generated from the description. */
const OPERATIONS: Readonly<Record<string, string>> = {
  'GET /healthz': 'isLive',
  'GET /readyz': 'isReady',
  'GET /metrics': 'metrics',
  'GET /openapi.json': 'describe',
  'GET /v1/status': 'status',
  'GET /v1/services': 'listServices',
  'GET /v1/services/:service': 'getService',
  'PUT /v1/services/:service': 'putService',
  'PATCH /v1/services/:service': 'patchService',
  'DELETE /v1/services/:service': 'deleteService',
  'GET /v1/services/:service/status': 'getServiceStatus',
  'PUT /v1/services/:service/split': 'split',
  'POST /v1/services/:service/switch': 'switch',
  'POST /v1/services/:service/hold': 'hold',
  'POST /v1/services/:service/release': 'release',
  'PUT /v1/services/:service/maintenance': 'setMaintenance',
  'POST /v1/services/:service/back': 'back',
  'PUT /v1/services/:service/rules': 'putRules',
  'PUT /v1/services/:service/pools/:pool': 'putPool',
  'DELETE /v1/services/:service/pools/:pool': 'deletePool',
  'PUT /v1/services/:service/pools/:pool/state': 'setPoolState',
  'PUT /v1/services/:service/pools/:pool/targets/:target/state': 'setTargetState',
  'POST /v1/services/:service/rollouts': 'beginRollout',
  'GET /v1/services/:service/rollouts': 'listRollouts',
  'GET /v1/services/:service/rollouts/:id': 'getRollout',
  'POST /v1/services/:service/rollouts/:id/pause': 'pauseRollout',
  'POST /v1/services/:service/rollouts/:id/resume': 'resumeRollout',
  'POST /v1/services/:service/rollouts/:id/promote': 'promoteRollout',
  'POST /v1/services/:service/rollouts/:id/abort': 'abortRollout',
  'POST /v1/services/:service/rollouts/:id/metrics': 'postMetric',
  'POST /v1/switch': 'switchServices',
  'POST /v1/services/:service/dry-run': 'dryRun',
  'POST /v1/explain': 'explain',
  'GET /v1/events': 'events',
  'GET /v1/audit': 'audit',
  'GET /v1/revisions': 'listRevisions',
  'GET /v1/revisions/:revision': 'getRevision',
  'POST /v1/revisions/:revision/restore': 'restoreRevision',
  'POST /v1/apply': 'applyFile',
  'POST /v1/upgrade': 'upgrade',
}

const PARAMETERS: Readonly<Record<string, TSchema>> = {
  service: Type.String({ pattern: NAME_PATTERN, description: 'Name of the service.' }),
  pool: Type.String({ pattern: NAME_PATTERN, description: 'Name of the pool.' }),
  target: Type.String({ minLength: 1, maxLength: 512, description: 'host:port of the target, or its whole URL.' }),
  revision: Type.Integer({ minimum: 0, maximum: NUMBER_MAX, description: 'Number of the revision.' }),
  id: Type.String({ pattern: '^[A-Za-z0-9-]{1,64}$', description: 'Id of the rollout, or "current".' }),
}
const IF_MATCH = Type.Object({
  'if-match': Type.Optional(
    Type.String({
      pattern: '^(\\*|[0-9]{1,15}|"[0-9]{1,15}")$',
      description: 'Make the change at this revision only (an ETag; * for any, of what is there), and answer 412 else.',
    }),
  ),
})
const LAST_EVENT_ID = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({
      pattern: '^[0-9]{0,15}$',
      description: 'Begin after this id; wins over the query, unless it is empty.',
    }),
  ),
})
const ETAG = { etag: { type: 'string', description: 'The revision, for If-Match.' } }

/** Calls by POST that change nothing of the services. */
const ASKS = /^POST .*\/(explain|dry-run|upgrade|metrics)$/

const isChange = (operation: string): boolean => !operation.startsWith('GET ') && !ASKS.test(operation)
/** Calls that answer an ETag. */
const hasETag = (operation: string): boolean =>
  isChange(operation) || operation === 'GET /v1/services' || operation === 'GET /v1/services/:service'

/** The options of @fastify/swagger. */
export function documentOptions(version: string, needsToken: boolean) {
  const token = { components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } as const } } }
  return {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Turnout admin API', version },
      ...(needsToken ? { ...token, security: [{ token: [] }] } : {}),
    },
    transform: described(needsToken),
    transformObject: linked,
  }
}

const described =
  (needsToken: boolean): SwaggerTransform =>
  ({ schema, url, route }) => {
    const operation = `${[route.method].flat().filter((method) => method !== 'HEAD')[0]} ${url}`
    const { body, querystring, response, ...rest } = (schema ?? {}) as FastifySchema
    const parameters = [...url.matchAll(/:(\w+)/g)].map(([, name]) => [name, PARAMETERS[name]] as const)
    return {
      url,
      schema: {
        ...rest,
        operationId: OPERATIONS[operation],
        ...(parameters.length === 0 ? {} : { params: Type.Object(Object.fromEntries(parameters)) }),
        ...(isChange(operation) ? { headers: IF_MATCH } : {}),
        ...(operation === 'GET /v1/events' ? { headers: LAST_EVENT_ID } : {}),
        ...(querystring === undefined ? {} : { querystring: asWritten(querystring) }),
        ...(body === undefined ? {} : { body: portable(asWritten(route.config?.describedBody ?? body)) }),
        ...(needsToken && route.config?.isOpen === true ? { security: [] } : {}),
        response: responses(portable(response) as Record<string, Json>, hasETag(operation)),
      },
    }
  }

const responses = (response: Readonly<Record<string, Json>>, withETag: boolean): object =>
  Object.fromEntries(
    Object.entries(response).map(([status, answer]) => [
      status,
      status === 'default' || !withETag ? answer : { ...answer, headers: ETAG },
    ]),
  )

/** Maps of named things in a form that generators know too: OpenAPI tools tend to lose `patternProperties`. */
function portable(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(portable)
  if (typeof schema !== 'object' || schema === null) return schema
  const { patternProperties, ...rest } = schema as Json
  const plain = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, portable(value)]))
  if (patternProperties === undefined) return plain
  const [[pattern, value], ...others] = Object.entries(patternProperties as Json)
  if (others.length > 0) throw new Error('a map has one pattern for its keys')
  const names = pattern === '^.*$' ? {} : { propertyNames: { pattern } }
  return { ...plain, ...names, additionalProperties: portable(value) }
}

/** What names a service, a pool and a target that were put. */
const SERVICE = { service: '$request.path.service' }
const POOL = { ...SERVICE, pool: '$request.path.pool' }
const TARGET = { ...POOL, target: '$request.body#/targets/0' }
const LINKS: readonly (readonly [path: string, takes: string, parameters: Readonly<Record<string, string>>])[] = [
  ['/v1/services/{service}', 'service', SERVICE],
  ['/v1/services/{service}', 'service,pool', SERVICE],
  ['/v1/services/{service}/pools/{pool}', 'service,pool', POOL],
  ['/v1/services/{service}/pools/{pool}', 'service,pool,target', TARGET],
]

/** Says which calls what was put is for. */
const linked: SwaggerTransformObject = (documented) => {
  if (!('openapiObject' in documented)) return documented.swaggerObject
  const { openapiObject } = documented
  const operations = Object.entries(openapiObject.paths ?? {}).flatMap(([path, methods]) =>
    Object.values(methods as Record<string, { operationId: string }>).map(({ operationId }) => ({
      operationId,
      takes: [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).join(),
    })),
  )
  for (const [path, wanted, parameters] of LINKS) {
    const put = openapiObject.paths?.[path]?.put
    const followers = operations.filter(
      ({ takes, operationId }) => takes === wanted && operationId !== put?.operationId,
    )
    for (const status of ['200', '201']) {
      const answer = put?.responses?.[status] as { links?: object }
      answer.links = {
        ...answer.links,
        ...Object.fromEntries(followers.map(({ operationId }) => [operationId, { operationId, parameters }])),
      }
    }
  }
  return openapiObject
}
