/**
 * `POST /v1/explain`: which pool and target a request would get, and why, by the very function that decides.
 *
 * Main runs `decide`; this file holds what is the same whoever decides: how the posted request is read (`requestView`) and how
 * a decision is told (`explanationOf`). The path is cut out of the URL as it stands, never normalised, because that is what
 * the data plane matches and forwards.
 */
import type { FastifyInstance } from 'fastify'
import Type, { type Static } from 'typebox'
import { TurnoutError } from '../errors.ts'
import { nameHint } from '../table/condition-index.ts'
import { cookieValue } from '../table/cookie-header.ts'
import { explainDecision } from '../table/explain.ts'
import { parseAddress } from '../table/network.ts'
import type { Decision, OwnCookie, RequestView } from '../table/types.ts'
import { answers, nullable } from './schemas.ts'

const METHOD = /^[A-Za-z!#$%&'*+.^_`|~0-9-]{1,64}$/

const ExplainBody = Type.Object(
  {
    method: Type.Optional(Type.String({ description: 'Default GET.' })),
    url: Type.String({
      minLength: 1,
      maxLength: 16_384,
      description: 'http://host/path, or /path with a Host header.',
    }),
    headers: Type.Optional(
      Type.Record(Type.String(), Type.Union([Type.String(), Type.Array(Type.String())]), {
        description: 'Header values by name; an array for a header that comes more than once.',
      }),
    ),
    ip: Type.Optional(Type.String({ maxLength: 64, description: 'Client address; default 127.0.0.1.' })),
  },
  { additionalProperties: false },
)

const ExplanationSchema = Type.Object(
  {
    service: nullable(Type.String()),
    release: nullable(Type.String()),
    pool: nullable(Type.String()),
    version: nullable(Type.String()),
    target: nullable(Type.String({ description: 'URL of the target.' })),
    why: Type.String({ description: 'The decision in one sentence.' }),
    reason: nullable(Type.String({ description: 'rule, pin, bucket, picker or failover.' })),
    rule: nullable(Type.String({ description: 'Name of the rule that decided.' })),
    visitor: nullable(Type.String({ description: 'The visitor key that was found.' })),
    bucket: Type.Integer({ description: '0 to 9999, or -1 without a visitor.' }),
    aimed: nullable(Type.String({ description: 'The pool that was meant before health was looked at.' })),
    panic: Type.Boolean({ description: 'Fewer than half of the pool were eligible, so health was ignored.' }),
    error: nullable(Type.String({ description: 'Error code when the request goes nowhere.' })),
    setsCookie: Type.Boolean({
      description: 'Whether the answer would set our cookie, if no shared cache may keep it.',
    }),
    epoch: Type.Integer(),
    revision: Type.Integer(),
  },
  { additionalProperties: false },
)

/** A decision as plain data. */
export type Explanation = Static<typeof ExplanationSchema>

/** A request as posted, checked and with defaults; header names are lower-case. */
export interface ExplainInput {
  readonly method: string
  /** As posted: absolute, or a path. */
  readonly url: string
  /** Lower-case host without port; empty when neither the URL nor a Host header gave one. */
  readonly host: string
  /** Path without query, not normalised. */
  readonly path: string
  readonly headers: ReadonlyMap<string, readonly string[]>
  readonly ip: string
}

export type Explain = (input: ExplainInput) => Promise<Explanation> | Explanation

/** Registers the call. */
export function explainRoutes(app: FastifyInstance, deps: { readonly explain: Explain }): void {
  app.post<{ Body: Static<typeof ExplainBody> }>('/v1/explain', {
    config: { role: 'viewer' },
    schema: {
      summary: 'Which pool and target a request would get, and why',
      body: ExplainBody,
      response: answers(ExplanationSchema),
    },
    handler: (request) => deps.explain(explainInput(request.body)),
  })
}

function explainInput(body: Static<typeof ExplainBody>): ExplainInput {
  const headers = new Map<string, string[]>()
  for (const [name, value] of Object.entries(body.headers ?? {})) {
    const lower = name.toLowerCase()
    headers.set(lower, [...(headers.get(lower) ?? []), ...(typeof value === 'string' ? [value] : value)])
  }
  const parts = /^(?:https?:\/\/([^/?#\s]+))?(\/[^?#\s]*)?(?:[?#].*)?$/i.exec(body.url)
  if (parts === null || (parts[1] === undefined && parts[2] === undefined)) {
    throw badValue('/url', 'must be http://host/path or /path')
  }
  const { method = 'GET', ip = '127.0.0.1' } = body
  if (!METHOD.test(method)) throw badValue('/method', 'must be a method such as GET')
  if (parseAddress(ip) === null) throw badValue('/ip', 'must be an IP address such as 10.0.0.7')
  const authority = parts[1] ?? headers.get('host')?.[0] ?? ''
  return {
    method,
    url: body.url,
    host: authority.replace(/:[0-9]*$/, '').toLowerCase(),
    path: parts[2] ?? '/',
    headers,
    ip,
  }
}

const badValue = (pointer: string, message: string): TurnoutError =>
  new TurnoutError('invalid', undefined, [{ pointer, message }])

/** The posted request as `decide` reads it; `verify` checks the value of our own cookie of this name. */
export function requestView(
  input: ExplainInput,
  verify: (name: string, value: string) => OwnCookie | null,
): RequestView {
  const fields = [...input.headers].flatMap(([name, values]) => values.map((value) => [name, value] as const))
  const valuesOf = (name: string) => input.headers.get(name) ?? []
  const cookie = (name: string) => {
    for (const value of valuesOf('cookie')) {
      const found = cookieValue(value, name)
      if (found !== undefined) return found
    }
    return undefined
  }
  return {
    method: input.method,
    host: input.host,
    path: input.path,
    address: input.ip,
    header: (name) => valuesOf(name)[0],
    headerHas(name, value) {
      const values = valuesOf(name)
      return values.length > 0 && (value === '*' || values.includes(value) || values.join(', ') === value)
    },
    cookie,
    fieldCount: fields.length,
    fieldHint: (at) => nameHint(fields[at][0], 0, fields[at][0].length),
    fieldName: (at) => fields[at][0],
    fieldValue: (at) => fields[at][1],
    joinedAt(at) {
      const isSecond = at > 0 && fields[at - 1][0] === fields[at][0] && fields[at - 2]?.[0] !== fields[at][0]
      return isSecond ? valuesOf(fields[at][0]).join(', ') : null
    },
    ownCookie(name) {
      const value = cookie(name)
      return value === undefined ? null : verify(name, value)
    },
  }
}

/** Tells a decision made by the table of this epoch and revision. */
export function explanationOf(decision: Decision, table: { epoch: number; revision: number }): Explanation {
  return {
    service: decision.service?.name ?? null,
    release: decision.service?.release ?? null,
    pool: decision.pool?.name ?? null,
    version: decision.pool?.version ?? null,
    target: decision.target?.url ?? null,
    why: explainDecision(decision),
    reason: decision.reason,
    rule: decision.rule,
    visitor: decision.visitor,
    bucket: decision.bucket,
    aimed: decision.aimed?.name ?? null,
    panic: decision.panic,
    error: decision.error,
    setsCookie: decision.setCookie !== null,
    epoch: table.epoch,
    revision: table.revision,
  }
}
