/**
 * `GET /v1/status` and `GET /v1/services/{s}/status`: what each pool and target is doing, as one picture of this moment; the first
 * of all services in one answer, with the process.
 *
 * States come from the snapshot, figures from shared memory (metrics/layout.ts says what each counts). Rates, shares and quantiles cover the window of the last ten
 * seconds or so; quantiles of an empty window cover everything since the target was added, and say so (`latencyOver`), so
 * that a quiet service still shows some. A target shows the sum over its addresses, a pool that over its targets.
 */
import type { FastifyInstance } from 'fastify'
import type { Snapshot } from '../change.ts'
import { wallShiftMs } from '../clock.ts'
import { durationMs } from '../config/duration.ts'
import { questionIn } from '../config/question.ts'
import type { ServiceSpec } from '../config/schema.ts'
import { aimedShare, shareOf } from '../config/share.ts'
import { targetWeight } from '../config/target-weight.ts'
import { DEPARTURE, sumDepartures } from '../metrics/departures.ts'
import { holdOf } from '../metrics/hold-families.ts'
import { FIELD, sumField } from '../metrics/layout.ts'
import { queueOf } from '../metrics/queue-families.ts'
import { authorityOf, histogramCount, quantileMs, sumTallies, type Tally } from '../metrics/summary.ts'
import type { ServiceTraffic, TargetTraffic } from '../metrics/window.ts'
import { hostOf } from '../names/address.ts'
import type { NameState } from '../names/state.ts'
import { statusesMovedBy } from '../table/deadlines.ts'
import { isFoundBy } from '../table/proven.ts'
import type { PoolStatus, ServiceStatus, TargetStatus } from '../table/status.ts'
import { rampUntilMs, targetWarmUntilMs, warmUntilMs } from '../table/warmth.ts'
import { findService, serviceNames } from './apply.ts'
import type { AdminDeps } from './deps.ts'
import { drainedOf } from './drained.ts'
import { toldMaintenance } from './maintenance.ts'
import { mirrorOf } from './mirror.ts'
import { toldRunning } from './rollout-schemas.ts'
import { answers } from './schemas.ts'
import { ProcessStatusAnswer, StatusAnswer } from './status-schemas.ts'

/** The present snapshot for people: with deadlines by the wall clock of now. */
export function toldSnapshot({ control, clock }: Pick<AdminDeps, 'control' | 'clock'>): Snapshot {
  const snapshot = control.snapshot()
  return { ...snapshot, status: statusesMovedBy(snapshot.status, wallShiftMs(clock)) }
}

type StatusDeps = Pick<
  AdminDeps,
  | 'control'
  | 'clock'
  | 'departures'
  | 'traffic'
  | 'rollouts'
  | 'memory'
  | 'names'
  | 'lookups'
  | 'version'
  | 'isReady'
  | 'process'
  | 'instances'
  | 'busyPredecessor'
>

/** Registers the calls. */
export function statusRoutes(app: FastifyInstance, deps: StatusDeps): void {
  app.get('/v1/status', {
    schema: { summary: 'Status of all services at once, and of the process', response: answers(ProcessStatusAnswer) },
    handler: (_request, reply) => {
      const snapshot = toldSnapshot(deps)
      const { revision, epoch } = snapshot
      const { workers, ...process } = deps.process
      reply.send({
        revision,
        epoch,
        version: deps.version,
        workers: { count: workers, ready: deps.isReady() },
        ...process,
        storeStaleMs: Math.round(deps.instances.staleMs),
        storeFault: deps.instances.storeFault,
        snapshot: deps.instances.local,
        instances: deps.instances.told(),
        lookups: deps.lookups.told(),
        services: serviceNames(snapshot).map((name) => describe(snapshot, name, deps.traffic.service(name)!, deps)),
      })
    },
  })
  app.get<{ Params: { service: string } }>('/v1/services/:service/status', {
    schema: { summary: 'States, traffic and shares of every pool and target', response: answers(StatusAnswer) },
    handler: (request, reply) => {
      const { service } = request.params
      const snapshot = toldSnapshot(deps)
      findService(snapshot, service)
      reply.send(describe(snapshot, service, deps.traffic.service(service)!, deps))
    },
  })
}

const sumOf = <T>(items: readonly T[], of: (item: T) => number): number =>
  items.reduce((sum, item) => sum + of(item), 0)

const recentlyDecided = (targets: readonly TargetTraffic[]): number =>
  sumOf(targets, ({ recent }) => recent[FIELD.decided])
const decidedSinceSplit = (targets: readonly TargetTraffic[]): number =>
  sumOf(targets, (target) => target.decidedSinceSplit)

function describe(
  snapshot: Snapshot,
  service: string,
  { windowMs, pools: traffic, visitors, visitorsWindowMs }: ServiceTraffic,
  deps: StatusDeps,
): object {
  const spec = snapshot.services[service]
  const { pools, split = {}, capacity } = spec
  const status = snapshot.status[service]
  const all = [...traffic.values()].flat()
  const weightOf = (pool: string): number => (Object.hasOwn(split, pool) ? split[pool] : 0)
  const nowMs = deps.clock.nowMs()
  const visitorSum = sumOf([...visitors.values()], (count) => count)
  return {
    revision: snapshot.revision,
    epoch: snapshot.epoch,
    service,
    release: status.release,
    probed: spec.health !== undefined,
    predecessor: deps.busyPredecessor(),
    windowMs,
    visitorsWindowMs,
    rollout: toldRunning(deps.rollouts.running(service)),
    mirror: mirrorOf(snapshot, service, traffic, deps),
    hold: toldHold(status, nowMs),
    held: heldOf(deps, status.slot),
    maintenance: toldMaintenance(status, deps),
    pools: Object.entries(pools).map(([name, pool]) => {
      const targets = traffic.get(name) ?? []
      const question = questionIn(spec, name)
      const told = targets.map((target) => {
        const state = status.pools[name].targets[target.url]
        const proven = isFoundBy(question, state)
        const drains = drainedOf(deps, snapshot, [service, name], target)
        return { ...describeTarget(spec, name, state, target, windowMs, deps), proven, ...drains }
      })
      return {
        name,
        version: pool.version,
        weight: weightOf(name),
        admin: status.pools[name].admin,
        drainUntilMs: status.pools[name].drainUntilMs,
        rampUntilMs: rampOf(spec, name, status.pools[name], nowMs),
        drained: told.every(({ drained }) => drained),
        share: {
          aimed: aimedShare(split, status.pools, name),
          seen: shareOf(recentlyDecided(targets), recentlyDecided(all)),
          seenSinceSplit: shareOf(decidedSinceSplit(targets), decidedSinceSplit(all)),
          visitors: shareOf(visitors.get(name) ?? 0, visitorSum),
        },
        visitors: visitors.get(name) ?? 0,
        ...figures(
          sumTallies(targets.map(({ total }) => total)),
          sumTallies(targets.map(({ recent }) => recent)),
          windowMs,
        ),
        streams: streamsAt(Object.values(status.pools[name].targets), deps),
        letGo: deps.departures.of(service, name),
        queue: capacity === undefined ? null : queueOf(deps.memory, status.pools[name]),
        targets: told,
      }
    }),
  }
}

/** The pools of a service that take only a part of their share yet, and when each takes all, in wall time; undefined for none. */
export function rampsOf(
  { services, status }: Pick<Snapshot, 'services' | 'status'>,
  service: string,
  nowMs: number,
): Record<string, number> | undefined {
  const [spec, { pools, fallback = [] }] = [services[service], status[service]]
  const rampIn = (pool: string) => rampOf(spec, pool, pools[pool], nowMs)
  const weighted = Object.entries(spec.split ?? {}).flatMap(([pool, weight]) => (weight > 0 ? [pool] : []))
  const warming = weighted.filter((pool) => rampIn(pool) > 0)
  // Only who is older goes on for another.
  const last = Math.max(0, ...warming.map(rampIn))
  const isHelped = [...weighted, ...fallback].some((pool) => rampIn(pool) < last)
  return warming.length > 0 && isHelped ? Object.fromEntries(warming.map((pool) => [pool, rampIn(pool)])) : undefined
}

/** The hold of a service that has not ended by itself. */
function toldHold({ hold }: ServiceStatus, nowMs: number): object | null {
  if (hold === undefined || hold.untilMs <= nowMs) return null
  const { only, sinceMs, untilMs, queueMax, bytesMax, isOfSwitch } = hold
  return { only, sinceMs, untilMs, queue: queueMax, bytes: bytesMax, ofSwitch: isOfSwitch === true }
}

function heldOf({ memory, clock }: StatusDeps, slot: number): object {
  const { firstSinceMs, ...figures } = holdOf(memory, slot)
  return { ...figures, longestMs: firstSinceMs === 0 ? 0 : Math.max(0, clock.steadyMs() - firstSinceMs) }
}

/** When a pool in which all is new gets all that is aimed at it; 0 when it does so now. */
function rampOf(
  { health, pools, slowStart = '0s' }: ServiceSpec,
  name: string,
  pool: PoolStatus,
  nowMs: number,
): number {
  const slowStartMs = durationMs(slowStart)
  if (slowStartMs === 0) return 0
  const addresses = Object.entries(pool.targets).flatMap(([url, { admin, addresses }]) =>
    addresses.map((address) => ({
      ...address,
      admin,
      weight: targetWeight(pools[name], url),
      warmUntilMs: warmUntilMs(address, slowStartMs),
    })),
  )
  const untilMs = rampUntilMs(addresses, health !== undefined)
  return untilMs > nowMs ? untilMs : 0
}

/** Streams that are open at these targets. */
const streamsAt = (targets: readonly TargetStatus[], { memory }: StatusDeps): number =>
  sumOf(targets, ({ slots }) => sumDepartures(memory, slots, DEPARTURE.streams))

function reasonOf({ fault, unused, addresses, failingHosts = [] }: NameState): string | null {
  if (fault !== null) return `the name cannot be resolved: ${fault.message}`
  if (failingHosts.length > 0) return `hosts of its SRV records cannot be resolved: ${failingHosts.join(', ')}`
  return unused === 0 ? null : `the name has ${unused} more addresses than the ${addresses.length} that are used`
}

function describeTarget(
  { pools, slowStart = '0s' }: ServiceSpec,
  pool: string,
  status: TargetStatus,
  { url, total, recent }: TargetTraffic,
  windowMs: number,
  deps: StatusDeps,
): object {
  const { names, memory, clock } = deps
  const { slots: _slots, addresses, ...states } = status
  return {
    target: authorityOf(url),
    url,
    weight: targetWeight(pools[pool], url),
    warmUntilMs: targetWarmUntilMs(addresses, durationMs(slowStart), clock.nowMs()),
    ...states,
    reason: reasonOf(names.of(hostOf(url))),
    addresses: addresses.map(({ slot, warmFromMs: _began, question: _question, ...address }) => ({
      ...address,
      inFlight: sumField(memory, slot, FIELD.inFlight),
      tunnels: sumField(memory, slot, FIELD.tunnels),
    })),
    streams: streamsAt([status], deps),
    ...figures(total, recent, windowMs),
  }
}

function figures(total: Tally, recent: Tally, windowMs: number): object {
  const judged = recent[FIELD.attemptsGood] + recent[FIELD.attemptsFailed]
  const rateOf = (field: number): number => (windowMs === 0 ? 0 : (recent[field] * 1_000) / windowMs)
  const hasRecent = histogramCount(recent, FIELD.duration) > 0
  const quantile = (share: number): number | null => quantileMs(hasRecent ? recent : total, FIELD.duration, share)
  return {
    inFlight: total[FIELD.inFlight],
    tunnels: total[FIELD.tunnels],
    requests: total[FIELD.requests],
    rate: rateOf(FIELD.requests),
    attempts: {
      started: total[FIELD.attemptsStarted],
      good: total[FIELD.attemptsGood],
      failed: total[FIELD.attemptsFailed],
      void: total[FIELD.attemptsVoid],
      rate: rateOf(FIELD.attemptsStarted),
    },
    failures: total[FIELD.attemptsFailed],
    failureShare: shareOf(recent[FIELD.attemptsFailed], judged),
    responses: {
      '2xx': total[FIELD.status2xx],
      '3xx': total[FIELD.status3xx],
      '4xx': total[FIELD.status4xx],
      '5xx': total[FIELD.status5xx],
    },
    p50Ms: quantile(0.5),
    p90Ms: quantile(0.9),
    p99Ms: quantile(0.99),
    latencyOver: hasRecent ? 'window' : 'start',
  }
}
