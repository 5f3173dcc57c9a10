/**
 * `POST /v1/explain`: which pool and target a request would get, and why, by the very function that decides.
 *
 * Main runs `decide` on what the data plane reads of the request; this file holds what it would be on the wire (`ExplainInput`)
 * and how a decision is told (`explanationOf`). The URL becomes what a client makes of it: other letters of its host are A-labels,
 * those of its path percent-encoded. Nothing else is normalised, because nothing else is on the way to a target.
 */

import type { FastifyInstance } from 'fastify'
import type { Static } from 'typebox'
import { hostAndPort } from '../config/address.ts'
import { child } from '../config/pointer.ts'
import { isSrvUrl } from '../config/srv-url.ts'
import { Type } from '../config/type.ts'
import { ERRORS, type ErrorCode, TurnoutError } from '../errors.ts'
import type { ToldRollout } from '../rollout/told.ts'
import { explainDecision } from '../table/explain.ts'
import { asciiHost } from '../table/host.ts'
import { canonicalAddress, parseAddress } from '../table/network.ts'
import { textOfOctets } from '../table/octets.ts'
import { encodedPath } from '../table/path.ts'
import type { Decision } from '../table/types.ts'
import { checkBody, checkedByHandler } from './apply.ts'
import { RunningAnswer, toldRunning } from './rollout-schemas.ts'
import { answers, nullable } from './schemas.ts'

/** Scheme and host and perhaps a path, or a path; then a query, and what is not sent. Without spaces and control characters. */
const URL_PATTERN =
  '^(?:[Hh][Tt][Tt][Pp][Ss]?://([^/?#\\x00-\\x20\\x7F]+)(/[^?#\\x00-\\x20\\x7F]*)?|(/[^?#\\x00-\\x20\\x7F]*))(\\?[^#\\x00-\\x20\\x7F]*)?(?:#[^\\x00-\\x20\\x7F]*)?$'
const URL_PARTS = new RegExp(URL_PATTERN)
const LINE_PATTERN = '^[^\\r\\n]*$'
const LINE = new RegExp(LINE_PATTERN)
const HEADERS = 'Header values by name; an array for a header that comes more than once. Each is one line.'

const ExplainBody = Type.Object(
  {
    method: Type.String({
      default: 'GET',
      pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$",
      title: 'a method such as GET',
      description: 'The method.',
    }),
    url: Type.String({
      pattern: URL_PATTERN,
      maxLength: 16_384,
      title: 'http://host/path or /path',
      description: 'http://host/path, or /path with a Host header.',
    }),
    headers: Type.Record(Type.String(), Type.Union([Type.String(), Type.Array(Type.String())]), {
      default: {},
      description: HEADERS,
    }),
    ip: Type.String({ default: '127.0.0.1', maxLength: 64, description: 'Client address.' }),
  },
  { additionalProperties: false },
)

/** With what the handler checks by itself. */
const DescribedBody = Type.Object(
  {
    ...ExplainBody.properties,
    headers: Type.Record(
      Type.String({ pattern: LINE_PATTERN }),
      Type.Union([Type.String({ pattern: LINE_PATTERN }), Type.Array(Type.String({ pattern: LINE_PATTERN }))]),
      { default: {}, additionalProperties: false, description: HEADERS },
    ),
    ip: Type.Union([Type.String({ format: 'ipv4' }), Type.String({ format: 'ipv6' })], {
      default: '127.0.0.1',
      description: 'Client address.',
    }),
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
    address: nullable(Type.String({ description: 'The address of the target that the request is sent to.' })),
    why: Type.String({ description: 'The decision in one sentence.' }),
    reason: nullable(
      Type.String({ description: 'rule, pin, bucket, picker, failover, warming, skew, preview or link.' }),
    ),
    rule: nullable(Type.String({ description: 'Name of the rule that decided.' })),
    visitor: nullable(Type.String({ description: 'The visitor key that was found.' })),
    visitorFrom: nullable(
      Type.String({
        description: 'Where it was found; of a JWT also whether that was verified, such as jwt:sub (verified).',
      }),
    ),
    bucket: Type.Integer({ description: '0 to 9999, or -1 without a visitor.' }),
    aimed: nullable(Type.String({ description: 'The pool that was meant before health was looked at.' })),
    panic: Type.Boolean({ description: 'Fewer than half of the pool were eligible, so health was ignored.' }),
    error: nullable(Type.String({ description: 'Error code when the request goes nowhere.' })),
    rollout: nullable(RunningAnswer),
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

/** A posted request as a client would send it, checked and with defaults; header names are lower-case. */
export interface ExplainInput {
  readonly method: string
  /** Host with port by the URL; null when only a Host header may tell. */
  readonly authority: string | null
  /** Path and query, not normalised. */
  readonly path: string
  readonly headers: ReadonlyMap<string, readonly string[]>
  readonly ip: string
}

export type Explain = (input: ExplainInput) => Promise<Explanation> | Explanation

/** Registers the call. */
export function explainRoutes(app: FastifyInstance, deps: { readonly explain: Explain }): void {
  app.post('/v1/explain', {
    config: { role: 'viewer', describedBody: DescribedBody },
    validatorCompiler: checkedByHandler,
    schema: {
      summary: 'Which pool and target a request would get, and why',
      body: ExplainBody,
      response: answers(ExplanationSchema),
    },
    handler: (request) => deps.explain(explainInput(request.body)),
  })
}

function explainInput(body: unknown): ExplainInput {
  const { method, url, ip, headers: posted } = checkBody(ExplainBody, body)
  const headers = new Map<string, string[]>()
  for (const [name, lines] of Object.entries(posted)) {
    const lower = name.toLowerCase()
    headers.set(lower, [...(headers.get(lower) ?? []), ...(typeof lines === 'string' ? [lines] : lines)])
  }
  const [, authority, path, pathOnly, query = ''] = URL_PARTS.exec(url)!
  if (parseAddress(ip) === null) throw badValue('/ip', 'must be an IP address such as 10.0.0.7')
  for (const [name, lines] of headers) {
    if (![name, ...lines].every((line) => LINE.test(line))) throw badValue(child('/headers', name), 'must be one line')
  }
  return {
    method,
    authority: authority === undefined ? null : asSent(authority),
    path: encodedPath((path ?? pathOnly ?? '/') + query),
    headers,
    ip: canonicalAddress(ip),
  }
}

/** The authority of a URL as a client sends it; one that none would send stays, to be refused. */
function asSent(authority: string): string {
  const [, host, port] = /^(.*?)(:[0-9]*)?$/.exec(authority) ?? [null, authority]
  return (asciiHost(host) ?? host) + (port ?? '')
}

const badValue = (pointer: string, message: string): TurnoutError =>
  new TurnoutError('invalid', undefined, [{ pointer, message }])

/** As `status` tells it: of SRV records with the port. */
function placeOf(target: Decision['target']): string | null {
  if (target === null) return null
  return isSrvUrl(target.url) ? hostAndPort(target.address, target.port) : target.address
}

/** Tells a decision made by the table of this epoch and revision; `running` gives the rollout of a service, if one runs. */
export function explanationOf(
  decision: Decision,
  table: { epoch: number; revision: number },
  running: (service: string) => ToldRollout | null = () => null,
  visitorFrom: string | null = null,
): Explanation {
  // A rule and a pin decide by themselves, whatever the weights.
  const byWeight = decision.reason === 'bucket' || decision.reason === 'picker'
  return {
    service: decision.service?.name ?? null,
    release: decision.service?.release ?? null,
    pool: decision.pool?.name ?? null,
    version: decision.pool?.version ?? null,
    target: decision.target?.url ?? null,
    address: placeOf(decision.target),
    why: explainDecision(decision),
    reason: decision.reason,
    rule: decision.rule,
    visitor: decision.visitor === null ? null : textOfOctets(decision.visitor),
    visitorFrom,
    bucket: decision.bucket,
    aimed: decision.aimed?.name ?? null,
    panic: decision.panic,
    error: decision.error,
    // By the table that has decided: one that has gone back, and is not over yet, decides nothing any more.
    rollout: byWeight && decision.service?.trial ? toldRunning(running(decision.service.name)) : null,
    setsCookie: (decision.redirect ?? decision).setCookie !== null,
    epoch: table.epoch,
    revision: table.revision,
  }
}

/** Tells that a request is refused before anything is decided. */
export function refusalOf(code: ErrorCode, table: { epoch: number; revision: number }): Explanation {
  const why = `the request is refused as it is: ${ERRORS[code].message}`
  const nobody = { service: null, release: null, pool: null, version: null, target: null, address: null }
  const { epoch, revision } = table
  return {
    ...nobody,
    reason: null,
    rule: null,
    why,
    visitor: null,
    visitorFrom: null,
    bucket: -1,
    aimed: null,
    panic: false,
    rollout: null,
    error: code,
    setsCookie: false,
    epoch,
    revision,
  }
}
