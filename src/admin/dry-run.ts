/**
 * `POST /v1/services/{s}/dry-run`: what a proposed split, rules or the like would have made of the last requests. Nothing is changed,
 * and nothing written down.
 *
 * The body is a merge patch of the parts of a service that steer. It is checked as a `PATCH` with it would be. Only counts are told of the
 * requests; still, who may propose any rule can find out by counts what is in their headers, so it takes an operator.
 */
import type { FastifyInstance } from 'fastify'
import type { Static, TSchema } from 'typebox'
import type { Change } from '../change.ts'
import { validateWeights } from '../config/check.ts'
import { isRecord } from '../config/record.ts'
import { ServiceSchema, type ServiceSpec, STEERING, WeightsSchema } from '../config/schema.ts'
import { asPatch } from '../config/schema-forms.ts'
import { aimedShare, shareOf } from '../config/share.ts'
import { Type } from '../config/type.ts'
import { TurnoutError } from '../errors.ts'
import type { Comparison } from '../table/comparison.ts'
import type { ServiceIntent } from '../table/status.ts'
import type { ServiceTable } from '../table/types.ts'
import { asCaller, checkedByHandler, checkPatch, findService, soundValue } from './apply.ts'
import { SPEC_BYTES_MAX } from './body.ts'
import type { AdminDeps } from './deps.ts'
import { answers, Count, nullable, object } from './schemas.ts'

/** What came of a comparison (table/comparison.ts) over samples. */
export interface Compared {
  readonly comparison: Comparison
  /** Samples, and as many of equal weight as would tell the same. */
  readonly kept: number
  readonly effective: number
  /** When the oldest came, in wall time; null without any. */
  readonly sinceMs: number | null
  readonly before: ServiceTable
  readonly after: ServiceTable
}

/** Compares a service with its proposed spec, and what would be known of it, over the requests that were sampled. */
export type Compare = (service: string, spec: ServiceSpec, intent: ServiceIntent) => Promise<Compared>

const Steering = Type.Object(Object.fromEntries(STEERING.map((key) => [key, ServiceSchema.properties[key]])), {
  additionalProperties: false,
})
const patch = asPatch(Steering) as { readonly properties: Record<string, TSchema> }
const DryRunBody = {
  ...patch,
  minProperties: 1,
  properties: {
    ...patch.properties,
    weights: { ...WeightsSchema, description: 'All weights, as PUT …/split takes them.' },
  },
} as unknown as ReturnType<typeof Type.Object>

const Share = (description: string) => Type.Number({ description })
const sideAnswer = object({
  aimed: Share('Share by weight.'),
  requests: Count('Requests that the pool is meant for, by rules, pins and weights.'),
  share: nullable(Share('Share of the requests.')),
  elsewhere: Count('Of these, those that another pool would answer, or none, since no target of it can just now.'),
})
const PoolName = (description: string) => nullable(Type.String({ description }))

const DryRunAnswer = object({
  service: Type.String(),
  revision: Type.Integer(),
  epoch: Type.Integer(),
  refused: nullable(Type.String({ description: 'Why the change would be refused just now.' })),
  sample: object({
    requests: Count('Requests that were seen.'),
    kept: Count('Requests that were kept, each for as many as it stands for.'),
    sinceMs: nullable(Type.Number({ description: 'When the oldest came.' })),
    marginPoints: Type.Number({
      description: 'How far a share may be off, in points, 19 times of 20; 0 when all were kept.',
    }),
  }),
  withoutVisitor: Count('Requests without a visitor key, which go by turns.'),
  redirected: Count('Requests that the link of the service sends elsewhere.'),
  rules: Type.Array(
    object({
      name: Type.String(),
      to: nullable(Type.String()),
      deny: nullable(Type.String()),
      matched: Count('Requests for which all conditions hold.'),
      caught: Count('Requests that it decides, or keeps from its pool.'),
      share: nullable(Share('Of all requests.')),
      before: Count('Requests that the rule of this name decides now.'),
      shadowedBy: Type.Array(
        object({ rule: Type.String(), requests: Count('Requests that match, and that rule decides.') }),
      ),
    }),
    { description: 'Those proposed, in their order.' },
  ),
  gone: Type.Array(object({ name: Type.String(), before: Count('Requests that it decides now.') }), {
    description: 'Rules that would not be there any more and decide requests now.',
  }),
  pools: Type.Array(object({ name: Type.String(), version: Type.String(), now: sideAnswer, proposed: sideAnswer })),
  nobody: object({ now: Count('Requests that nobody answers now.'), proposed: Count('The same as proposed.') }),
  moves: Type.Array(
    object({
      from: PoolName('null: none'),
      to: PoolName('null: none'),
      requests: Count('Requests that would go to the other pool; not those that go by turns before and after.'),
      visitors: Count('Visitors.'),
    }),
  ),
  visitors: object({
    seen: Count('Different visitors among the requests that were kept.'),
    move: Count('Those of them that would move to another pool.'),
    forward: Count('To a pool that wins visitors, from one that loses some.'),
    backward: Count('All others.'),
  }),
})

/** What is answered. */
export type DryRunReport = Static<typeof DryRunAnswer>

type DryRunDeps = Pick<AdminDeps, 'control' | 'compare'>

/** Registers the call. */
export function dryRunRoutes(app: FastifyInstance, deps: DryRunDeps): void {
  app.post<{ Params: { service: string } }>('/v1/services/:service/dry-run', {
    bodyLimit: SPEC_BYTES_MAX,
    validatorCompiler: checkedByHandler,
    schema: {
      summary: 'What a proposed split or rules would have made of the last requests; nothing is changed',
      body: DryRunBody,
      response: answers(DryRunAnswer),
    },
    handler: async (request) => {
      const { service } = request.params
      const change = proposalOf(deps, service, request.body)
      if (deps.compare === null) {
        throw new TurnoutError('conflict', 'No requests are kept for dry runs here: limits.sampleBytesMax is 0.')
      }
      const tried = await asCaller(request, 0, (options) => deps.control.change(change, { ...options, dryRun: true }))
      const { services, intents, refused } = tried.dryRun!
      const compared = await deps.compare(service, services[service], intents[service])
      const { revision, epoch } = tried
      return { service, revision, epoch, refused, ...reportOf(compared) }
    },
  })
}

/** The change that the body proposes. */
function proposalOf({ control }: DryRunDeps, service: string, body: unknown): Change {
  const spec = findService(control.snapshot(), service)
  const { pools } = spec
  const { weights, ...patch } = (isRecord(body) ? body : {}) as Record<string, unknown>
  checkPatch(DryRunBody, body, patch, spec)
  if (weights === undefined) return { kind: 'service.patch', service, patch }
  if (patch['split'] !== undefined || patch['live'] !== undefined) {
    const message = 'weights say all of the split already'
    throw new TurnoutError('invalid', undefined, [{ pointer: '/weights', message }])
  }
  const all = soundValue(validateWeights(weights, Object.keys(pools)), '/weights')
  const none = Object.fromEntries(Object.keys(pools).map((pool) => [pool, 0]))
  return { kind: 'service.patch', service, patch: { ...patch, split: { ...none, ...all } } }
}

/** Half of the width of a confidence interval of 95 % at a share of a half, where it is widest, in points. */
const marginOf = (effective: number): number => (effective === 0 ? 0 : (1.96 * 0.5 * 100) / Math.sqrt(effective))

function reportOf({
  comparison,
  kept,
  effective,
  sinceMs,
  before,
  after,
}: Compared): Omit<DryRunReport, 'service' | 'revision' | 'epoch' | 'refused'> {
  const { requests, unknown, redirected, nobody } = comparison
  const { moves, visitors } = comparison.moves()
  const aimedOf = ({ plan, pools }: ServiceTable, pool: string): number =>
    aimedShare(plan.weights, Object.fromEntries(pools.map((it) => [it.name, it])), pool)
  return {
    sample: { requests, kept, sinceMs, marginPoints: kept === requests ? 0 : marginOf(effective) },
    withoutVisitor: unknown,
    redirected,
    rules: comparison.rules.map(({ shadowedBy, ...rule }) => ({
      ...rule,
      share: shareOf(rule.caught, requests),
      shadowedBy: [...shadowedBy].map(([name, count]) => ({ rule: name, requests: count })),
    })),
    gone: [...comparison.gone].map(([name, count]) => ({ name, before: count })),
    pools: after.pools.map(({ name, version }) => {
      const { now, proposed } = comparison.pools.get(name)!
      return {
        name,
        version,
        now: { aimed: aimedOf(before, name), ...now, share: shareOf(now.requests, requests) },
        proposed: { aimed: aimedOf(after, name), ...proposed, share: shareOf(proposed.requests, requests) },
      }
    }),
    nobody,
    moves: [...moves],
    visitors,
  }
}
