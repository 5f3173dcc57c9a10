/**
 * Errors as RFC 9457 `application/problem+json`, for whatever was thrown.
 *
 * `code` is the stable part (errors.ts). An expected failure shows its message; anything else is `internal`, logged in full
 * and shown without any detail of the inside. What fastify refuses by itself is given one of our codes, its status kept
 * where it says more (415).
 */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { child } from '../config/pointer.ts'
import { ERRORS, type ErrorCode, type Fault, isTurnoutError } from '../errors.ts'
import { UnsupportedType } from './body.ts'

export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: ErrorCode
  readonly detail: string
  readonly instance: string
  readonly errors: readonly Fault[]
}

const FASTIFY_CODES: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'too_large',
  FST_ERR_NOT_FOUND: 'not_found',
  // Nothing has a name of such a length.
  FST_ERR_MAX_PARAM_LENGTH: 'not_found',
}

/** The path of a request, without its query. */
export const pathOf = (url: string): string => url.split('?', 1)[0]

/** Describes a failure; `instance` is the path that was asked for. */
export function problem(
  code: ErrorCode,
  detail: string,
  instance: string,
  errors: readonly Fault[] = [],
  status: number = ERRORS[code].status,
): Problem {
  return { type: `urn:turnout:error:${code}`, title: ERRORS[code].message, status, code, detail, instance, errors }
}

/** Describes whatever was thrown; unexpected values say nothing of themselves. */
export function problemOf(error: unknown, instance: string): Problem {
  if (isTurnoutError(error)) return problem(error.code, error.message, instance, error.faults.map(shown))
  const { code, statusCode, validation, message } = error as Partial<FastifyError>
  if (validation !== undefined) return problem('invalid', ERRORS.invalid.message, instance, validation.map(faultOf))
  if (statusCode === undefined || statusCode < 400 || statusCode > 499) {
    return problem('internal', ERRORS.internal.message, instance)
  }
  if (code !== undefined && Object.hasOwn(FASTIFY_CODES, code)) {
    return problem(FASTIFY_CODES[code], ERRORS[FASTIFY_CODES[code]].message, instance)
  }
  return problem('malformed', message ?? ERRORS.malformed.message, instance, [], statusCode)
}

/** A fault without what only the inside knows; faults of a file have a place. */
function shown({
  pointer,
  message,
  line,
  column,
}: Fault & { readonly line?: number; readonly column?: number }): Fault {
  return { pointer, message, ...(line === undefined ? {} : { line, column }) }
}

/** What the schema of a route says against a call (compilers.ts). */
type SchemaFault = Pick<NonNullable<FastifyError['validation']>[number], 'instancePath' | 'keyword' | 'params'> & {
  readonly parentSchema?: { readonly title?: string }
}

function faultOf({ instancePath, keyword, params, parentSchema }: SchemaFault): Fault {
  if (keyword === 'additionalProperties') {
    return { pointer: child(instancePath, String(params['additionalProperty'])), message: 'is not a known key' }
  }
  if (keyword === 'required') {
    return { pointer: child(instancePath, String(params['missingProperty'])), message: 'is required' }
  }
  const title = parentSchema?.title
  if (keyword === 'pattern' && title !== undefined) return { pointer: instancePath, message: `must be ${title}` }
  return { pointer: instancePath, message: Object.hasOwn(WORDS, keyword) ? WORDS[keyword](params) : 'is not valid' }
}

const WORDS: Readonly<Record<string, (params: Readonly<Record<string, unknown>>) => string>> = {
  type: ({ type }) => `must be ${[type].flat().join(' or ')}`,
  const: ({ allowedValue }) => `must be ${allowedValue}`,
  enum: ({ allowedValues }) => `must be one of ${listOf(allowedValues)}`,
  pattern: ({ pattern }) => `must match pattern "${pattern}"`,
  minimum: ({ limit }) => `must be at least ${limit}`,
  maximum: ({ limit }) => `must be at most ${limit}`,
  exclusiveMinimum: ({ limit }) => `must be above ${limit}`,
  minLength: ({ limit }) => (limit === 1 ? 'must not be empty' : `must have at least ${limit} characters`),
  maxLength: ({ limit }) => `must have at most ${limit} characters`,
  minItems: ({ limit }) => `must have at least ${limit} entries`,
  maxItems: ({ limit }) => `must have at most ${limit} entries`,
  minProperties: ({ limit }) => `must have at least ${limit} entries`,
  uniqueItems: () => 'must not have the same entry twice',
}

const listOf = (values: unknown): string => (Array.isArray(values) ? values.join(', ') : String(values))

/** Answers with the problem; unexpected errors and our own failures (5xx) are logged. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const described = problemOf(error, pathOf(request.url))
  if (described.code === 'internal') request.log.error({ err: error, url: request.url }, 'admin request failed')
  if (described.status === 401) reply.header('www-authenticate', 'Bearer')
  if (error instanceof UnsupportedType) reply.header('accept', error.accept)
  if (described.status === 503) reply.header('retry-after', '1')
  return reply
    .code(described.status)
    .header('cache-control', 'no-store')
    .type('application/problem+json')
    .send(described)
}
