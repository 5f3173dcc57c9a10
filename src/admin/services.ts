/**
 * Calls on whole services: list, read, put, patch, delete, split, back, rules; switches are in switches.ts.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { TSchema } from 'typebox'
import type { Change, ChangeResult, Snapshot } from '../change.ts'
import { type Checked, validateRules, validateService, validateWeights } from '../config/check.ts'
import { child } from '../config/pointer.ts'
import { isRecord } from '../config/record.ts'
import { RulesBodySchema, ServiceSchema, type ServiceSpec, type Weights, WeightsSchema } from '../config/schema.ts'
import { asPatch } from '../config/schema-forms.ts'
import { Type } from '../config/type.ts'
import { type Fault, TurnoutError } from '../errors.ts'
import type { ServiceStatus } from '../table/status.ts'
import {
  apply,
  ChangeQuery,
  changedAnswer,
  checkedByHandler,
  checkName,
  checkPatch,
  findService,
  serviceNames,
  setETag,
  soundValue,
  WaitSchema,
  waitFaults,
  waitMsOf,
} from './apply.ts'
import { SPEC_BYTES_MAX } from './body.ts'
import type { AdminDeps } from './deps.ts'
import { abortLeft } from './going-back.ts'
import { RemovalAnswer, RemovalQuery, withDraining } from './removals.ts'
import { answers, ChangeAnswer, ServiceAnswer, ServicesAnswer, SplitChangeAnswer } from './schemas.ts'
import { rampsOf, toldSnapshot } from './status.ts'

/** null removes a key; a key that there cannot be is a fault even so. */
const PatchSchema = asPatch(ServiceSchema) as TSchema

interface OfService {
  Params: { service: string }
}

/** Registers the calls. */
export function serviceRoutes(app: FastifyInstance, deps: AdminDeps): void {
  readRoutes(app, deps)
  writeRoutes(app, deps)
  splitRoutes(app, deps)
}

function readRoutes(app: FastifyInstance, deps: AdminDeps): void {
  app.get('/v1/services', {
    schema: { summary: 'Every service with spec and status', response: answers(ServicesAnswer) },
    handler: (_request, reply) => {
      const snapshot = toldSnapshot(deps)
      const { revision, epoch } = snapshot
      setETag(reply, revision)
      reply.send({ revision, epoch, services: serviceNames(snapshot).map((name) => describe(snapshot, name)) })
    },
  })
  app.get<OfService>('/v1/services/:service', {
    schema: { summary: 'Spec, status and revision (ETag) of a service', response: answers(ServiceAnswer) },
    handler: (request, reply) => {
      const snapshot = toldSnapshot(deps)
      const { revision, epoch } = snapshot
      findService(snapshot, request.params.service)
      setETag(reply, snapshot.revisions[request.params.service] ?? revision)
      reply.send({ revision, epoch, ...describe(snapshot, request.params.service) })
    },
  })
}

function writeRoutes(app: FastifyInstance, deps: AdminDeps): void {
  app.put<OfService>('/v1/services/:service', {
    bodyLimit: SPEC_BYTES_MAX,
    validatorCompiler: checkedByHandler,
    schema: {
      summary: 'Create or replace a service',
      querystring: RemovalQuery,
      body: ServiceSchema,
      response: answers(RemovalAnswer, [200, 201]),
    },
    handler: async (request, reply) => {
      const { service } = request.params
      checkName('service', service)
      const spec = soundValue(validateService(request.body))
      const isNew = !Object.hasOwn(deps.control.snapshot().services, service)
      const result = await withDraining(deps, request, { service }, () =>
        apply(deps, request, reply, { kind: 'service.put', service, spec }),
      )
      if (isNew && result.changed) reply.code(201)
      return result
    },
  })
  app.patch<OfService & { Body: Record<string, unknown> }>('/v1/services/:service', {
    bodyLimit: SPEC_BYTES_MAX,
    validatorCompiler: checkedByHandler,
    schema: {
      summary: 'Change parts of a service (RFC 7386 merge patch)',
      consumes: ['application/merge-patch+json', 'application/json'],
      querystring: RemovalQuery,
      body: PatchSchema,
      response: answers(RemovalAnswer),
    },
    handler: (request, reply) => {
      const { service } = request.params
      const before = findService(deps.control.snapshot(), service)
      checkPatch(PatchSchema, request.body, request.body, before)
      return withDraining(deps, request, { service }, () =>
        apply(deps, request, reply, { kind: 'service.patch', service, patch: request.body }),
      )
    },
  })
  app.delete<OfService>('/v1/services/:service', {
    schema: { summary: 'Remove a service', querystring: RemovalQuery, response: answers(RemovalAnswer) },
    handler: (request, reply) => {
      const { service } = request.params
      return withDraining(deps, request, { service }, () =>
        apply(deps, request, reply, { kind: 'service.delete', service }),
      )
    },
  })
}

function splitRoutes(app: FastifyInstance, deps: AdminDeps): void {
  app.put<OfService>('/v1/services/:service/split', {
    validatorCompiler: checkedByHandler,
    schema: {
      summary: 'Shift weights',
      querystring: ChangeQuery,
      body: Type.Object({ weights: WeightsSchema, wait: Type.Optional(WaitSchema) }, { additionalProperties: false }),
      response: answers(SplitChangeAnswer),
    },
    handler: (request, reply) => {
      const { service } = request.params
      const { pools } = findService(deps.control.snapshot(), service)
      const { weights, waitMs } = splitIn(request.body, (posted) => validateWeights(posted, Object.keys(pools)))
      return changeSplit(deps, request, reply, { kind: 'split', service, weights }, waitMs)
    },
  })
  app.post<OfService>('/v1/services/:service/back', {
    schema: {
      summary: 'Return to the split before the last change of it, whatever the probes say',
      querystring: ChangeQuery,
      response: answers(SplitChangeAnswer),
    },
    handler: (request, reply) => changeSplit(deps, request, reply, { kind: 'back', service: request.params.service }),
  })
  app.put<OfService>('/v1/services/:service/rules', {
    bodyLimit: SPEC_BYTES_MAX,
    validatorCompiler: checkedByHandler,
    schema: {
      summary: 'Replace the rules',
      querystring: ChangeQuery,
      body: RulesBodySchema,
      response: answers(ChangeAnswer),
    },
    handler: (request, reply) => {
      const { service } = request.params
      const { pools } = findService(deps.control.snapshot(), service)
      const rules = soundValue(validateRules(request.body, Object.keys(pools)))
      return apply(deps, request, reply, { kind: 'rules', service, rules })
    },
  })
}

/** What stands at `weights` and `wait`, the only keys of the body; throws `invalid` with every fault of all of it. */
function splitIn(body: unknown, check: (weights: unknown) => Checked<Weights>): { weights: Weights; waitMs: number } {
  const { weights: posted, wait, ...others } = isRecord(body) ? body : {}
  const faults: Fault[] = Object.keys(others).map((key) => ({ pointer: child('', key), message: 'is not a known key' }))
  faults.push(...waitFaults(wait))
  const checked: Checked<Weights> =
    posted === undefined ? { faults: [{ pointer: '', message: 'is required' }] } : check(posted)
  const ofWeights = 'faults' in checked ? checked.faults : []
  faults.push(...ofWeights.map(({ pointer, message }) => ({ pointer: `/weights${pointer}`, message })))
  if ('faults' in checked || faults.length > 0) throw new TurnoutError('invalid', undefined, faults)
  return { weights: checked.spec, waitMs: waitMsOf(wait) }
}

/** Makes a change of the split and tells what it has become. */
export async function changeSplit(
  deps: AdminDeps,
  request: FastifyRequest<OfService>,
  reply: FastifyReply,
  change: Change,
  waitMs?: number,
): Promise<ChangeResult & { service: string; split: Record<string, number>; warming?: Record<string, number> }> {
  const { service } = request.params
  findService(deps.control.snapshot(), service)
  const isBack = change.kind === 'back'
  const left = isBack ? { [service]: null } : change.kind === 'switch' ? change.to : {}
  const isBackByNow = (await abortLeft(deps, request, left)) && isBack
  const result = isBackByNow ? await presentAnswer(deps, reply) : await apply(deps, request, reply, change, waitMs)
  return { ...result, ...splitNow(deps, service) }
}

/** What the split of a service is, and which pools take a part of their share only. */
export function splitNow(
  deps: AdminDeps,
  service: string,
): { service: string; split: Record<string, number>; warming?: Record<string, number> } {
  const now = toldSnapshot(deps)
  if (!Object.hasOwn(now.services, service)) return { service, split: {} }
  const warming = rampsOf(now, service, deps.clock.nowMs())
  return { service, split: now.services[service].split ?? {}, ...(warming && { warming }) }
}

/** As the answer to a change that somebody else has made for the caller. */
async function presentAnswer(
  { control, instances }: Pick<AdminDeps, 'control' | 'instances'>,
  reply: FastifyReply,
): Promise<ChangeResult> {
  const { revision, epoch } = control.snapshot()
  return changedAnswer(reply, await instances.everywhere({ revision, epoch, appliedInMs: 0, changed: true }))
}

function describe(snapshot: Snapshot, name: string): { name: string; spec: ServiceSpec; status: object | null } {
  const status = Object.hasOwn(snapshot.status, name) ? outside(snapshot.status[name]) : null
  return { name, spec: snapshot.services[name], status }
}

/** The status without what only the inside knows (slots, release numbers). */
function outside({ release, previous, pools }: ServiceStatus): object {
  const outsidePools = Object.entries(pools).map(([name, { admin, drainUntilMs, targets }]) => {
    const outsideTargets = Object.entries(targets).map(([url, { slots: _slots, addresses, ...states }]) => {
      return [
        url,
        {
          ...states,
          addresses: addresses.map(({ slot: _slot, warmFromMs: _began, question: _question, ...address }) => address),
        },
      ]
    })
    return [name, { admin, drainUntilMs, targets: Object.fromEntries(outsideTargets) }]
  })
  return { release, previous, pools: Object.fromEntries(outsidePools) }
}
