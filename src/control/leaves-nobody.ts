/**
 * What a change may not do: the one place that looks at who would answer after it. Pure, and the same for every kind of change, since it
 * compares what was with what would be. `force` (`prune` for a file that removes services) does it all the same.
 *
 * - Where traffic is sent by name (switch, split, back), and where a share grows by any other change, the pool must take visitors: state
 *   `ready`, with a target that is ready. So nobody is told of a success that is none, not even where the weights were so already.
 * - Such a pool must be *proven* (table/proven.ts) when a switch goes to it or when it had no share; one whose share only grows must have
 *   a target that does not fail. What a probe may still mend is `Unproven`: who made the change may wait for it (waiting.ts).
 *   `back` never asks for that. Nor is it asked of a pool that is new in the same change: nothing could have probed it before.
 * - A service that somebody answers is not left to nobody: by states, by targets that go, by pools that are emptied, by going back to a pool that
 *   fails, by a rule that denies the only pool that answers, also an old one when the others who have answered go; but a rollout and `back` are not refused for an old one;
 *   nor, where a probe has found somebody healthy, to targets that are all new.
 * - Services are removed one by one and by name; a file or a revision without them is no such word.
 */
import type { Change } from '../change.ts'
import { questionIn } from '../config/question.ts'
import { equalJson, own } from '../config/record.ts'
import type { ServiceSpec } from '../config/schema.ts'
import { ANYWAY, TurnoutError } from '../errors.ts'
import { movesBetween } from '../table/allotment.ts'
import {
  answering,
  canAnswer,
  fitTargets,
  isProven,
  isWell,
  letsInNew,
  stateForNew,
  type Targets,
} from '../table/proven.ts'
import { observedOf, type ServiceIntent, type ServiceObserved, seenOf } from '../table/status.ts'
import type { AddressesOf } from './observe.ts'
import { type Content, splitOf } from './reconcile.ts'
import { touchedBy } from './touched.ts'

/** Refused only because a pool is not proven: the next probe may change that. */
export class Unproven extends TurnoutError {
  /** Steady time in ms at which the first ejection ends, which may change it too and is told by nobody; Infinity without one. */
  readonly endsMs: number

  constructor(message: string, targets: Targets, nowMs: number) {
    super('conflict', `${message} ${ANYWAY}`)
    const ends = targets.map(({ ejectedUntilMs }) => ejectedUntilMs)
    this.endsMs = Math.min(...ends.filter((untilMs) => untilMs > nowMs))
  }
}

/** What the maker of a change knows and wants all the same. */
export interface Insistence {
  readonly force?: boolean
  /** A config file may remove services. */
  readonly prune?: boolean
}

interface Service {
  readonly name: string
  readonly spec: ServiceSpec
  readonly intent: ServiceIntent
  readonly observed: ServiceObserved | undefined
  readonly addressesOf: AddressesOf
}

/** Throws `conflict` when the change would leave traffic to nobody. */
export function assertAnswered(
  before: Content,
  after: Content,
  change: Change,
  nowMs: number,
  addressesOf: AddressesOf,
  { force = false, prune = false }: Insistence = {},
): void {
  assertKept(before, after, change, force, prune)
  if (force) return
  for (const name of new Set([...namedBy(change), ...changedServices(before, after, change)])) {
    const [was, is] = [serviceIn(before, name, addressesOf), serviceIn(after, name, addressesOf)]
    // A new service has nothing to lose, and one that goes was looked at above.
    if (was === undefined || is === undefined) continue
    for (const pool of aimedAt(was, is, change)) assertTakesVisitors(is, pool)
    const isBack = change.kind === 'back'
    if (!isBack) assertHealth(was, is, change, nowMs)
    assertSomebody(was, is, nowMs)
    if (isBack || change.kind === 'shift') continue
    assertNotDenied(was, is, nowMs)
    assertKnown(was, is, nowMs)
  }
}

const conflict = (why: string) => new TurnoutError('conflict', `${why} ${ANYWAY}`)

function assertKept(before: Content, after: Content, change: Change, force: boolean, prune: boolean): void {
  if (change.kind !== 'file' && change.kind !== 'restore') return
  const gone = Object.keys(before.services).filter((name) => !Object.hasOwn(after.services, name))
  if (gone.length === 0) return
  const names = gone.join(', ')
  if (change.kind === 'file' && !prune) {
    const message = `The file no longer has ${names}, which would be removed. Nothing has changed; prune removes them.`
    throw new TurnoutError('conflict', message)
  }
  if (change.kind === 'restore' && !force)
    throw conflict(`Revision ${change.from} has no ${names}, which would be removed.`)
}

function namedBy(change: Change): readonly string[] {
  if (change.kind === 'switch') return Object.keys(change.to)
  return change.kind === 'split' || change.kind === 'back' ? [change.service] : []
}

function changedServices(before: Content, after: Content, change: Change): string[] {
  return (touchedBy(change) ?? Object.keys(after.services)).filter(
    (name) =>
      own(before.services, name) !== own(after.services, name) ||
      own(before.intents, name) !== own(after.intents, name),
  )
}

function serviceIn(
  { services, intents, observed }: Content,
  name: string,
  addressesOf: AddressesOf,
): Service | undefined {
  const [spec, intent] = [own(services, name), own(intents, name)]
  if (spec === undefined || intent === undefined) return undefined
  return { name, spec, intent, observed: own(observed, name), addressesOf }
}

/** The targets of a pool as they are known; those of weight 0 are there for nobody new. */
const targetsOf = (
  { spec, intent, observed, addressesOf }: Service,
  pool: string,
  among?: ReadonlySet<string>,
): Targets =>
  Object.entries(intent.pools[pool].targets)
    .filter(([url]) => among?.has(url) !== false)
    .map(([url, { admin }]) => ({
      admin: stateForNew(spec.pools[pool], url, admin),
      ...seenOf(addressesOf(url), observedOf(observed, pool, url)),
    }))

/** The pools that the change sends traffic to: by name, or by a larger share. */
function aimedAt(was: Service, is: Service, change: Change): readonly string[] {
  if (change.kind === 'switch') return [change.to[is.name]]
  const weighted = Object.entries(splitOf(is.spec)).filter(([, weight]) => weight > 0)
  if (change.kind === 'split' || change.kind === 'back') return weighted.map(([pool]) => pool)
  return grown(was, is)
}

/** The pools whose share is larger; what the checks of the spec will refuse is left to them. */
const grown = (was: Service, is: Service): readonly string[] =>
  movesBetween(splitOf(was.spec), splitOf(is.spec)).takers.filter((pool) => Object.hasOwn(is.intent.pools, pool))

function assertTakesVisitors({ name, spec, intent }: Service, pool: string): void {
  const { admin, targets } = intent.pools[pool]
  const what = `Pool ${pool} of ${name}`
  if (admin !== 'ready') throw conflict(`${what} is in state ${admin}; set it ready first.`)
  if (Object.keys(targets).length === 0) throw conflict(`${what} has no targets.`)
  const ready = Object.entries(targets).some(([url, target]) => letsInNew(spec.pools[pool], url, target.admin))
  if (!ready) throw conflict(`${what} has no target that is ready.`)
}

function assertHealth(was: Service, is: Service, change: Change, nowMs: number): void {
  const switched = change.kind === 'switch'
  for (const pool of switched ? [change.to[is.name]] : grown(was, is)) {
    if (!couldBeProven(was, is, pool)) continue
    const [targets, probed] = [targetsOf(is, pool), isProbed(is)]
    if (!switched && weightIn(was, pool) > 0) {
      if (canAnswer(targets, probed, nowMs)) continue
      throw new Unproven(`All targets of pool ${pool} of ${is.name} that are ready fail.`, targets, nowMs)
    }
    // Nobody could be asked yet what is asked only with the change.
    const question = probed ? questionIn(was.spec, pool) : null
    if (isProven(targets, question, nowMs)) continue
    const { ready, fit } = fitTargets(targets, question, nowMs)
    const found = probed ? 'found healthy by a probe' : 'not ejected'
    throw new Unproven(
      `Pool ${pool} of ${is.name} is not proven: of its ${ready} ready targets ${fit} are ${found}, and half must be.`,
      targets,
      nowMs,
    )
  }
}

/** Whether there was anything to prove a pool by: not when it, its targets or the probes are as new as the change. */
function couldBeProven(was: Service, is: Service, pool: string): boolean {
  if (isProbed(is) && !isProbed(was)) return false
  const old = own(was.intent.pools, pool)
  return old !== undefined && Object.keys(is.intent.pools[pool].targets).some((url) => Object.hasOwn(old.targets, url))
}

function assertSomebody(was: Service, is: Service, nowMs: number): void {
  for (const [pool, { targets }] of Object.entries(is.intent.pools)) {
    const old = own(was.intent.pools, pool)
    const emptied = Object.keys(targets).length === 0 && old !== undefined && Object.keys(old.targets).length > 0
    if (emptied && weightIn(is, pool) > 0) {
      throw conflict(`Pool ${pool} of ${is.name} has traffic and would have no targets; shift its weight to 0 first.`)
    }
  }
  if (!isAnswered(was, nowMs) || isAnswered(is, nowMs)) return
  throw conflict(
    `Nobody would be left to answer for ${is.name}: no pool with weight, and none that takes over, has a ready target that does not fail.`,
  )
}

/** What a probe has found healthy is not given up for targets that nobody has ever seen. */
function assertKnown(was: Service, is: Service, nowMs: number): void {
  if (!isProbed(was) || !isProbed(is)) return
  const isFit = (pool: string) => targetsOf(was, pool).some((target) => isWell(target, true, nowMs))
  if (!answeringIn(was, nowMs).some(isFit)) return
  const known = new Set(Object.values(was.intent.pools).flatMap(({ targets }) => Object.keys(targets)))
  if (answeringIn(is, nowMs).some((pool) => canAnswer(targetsOf(is, pool, known), true, nowMs))) return
  throw conflict(
    `All targets that would answer for ${is.name} are new, and no probe has found one healthy. Add them beside those of now first, and take these out once they are.`,
  )
}

/** Whom a rule denies a pool is left to another: when the rule is new, and when the others who have answered them go. */
function assertNotDenied(was: Service, is: Service, nowMs: number): void {
  const denying = is.spec.rules.filter(({ deny }) => deny !== undefined)
  if (denying.length === 0) return
  const [before, after] = [answeringIn(was, nowMs), answeringIn(is, nowMs)]
  for (const rule of denying) {
    const others = (pools: readonly string[]) => pools.some((pool) => pool !== rule.deny)
    if (after.length === 0 || others(after)) continue
    const isKnown = was.spec.rules.some((known) => equalJson(known, rule))
    // Nobody has answered them before, or a rollout is replacing those that have.
    if (isKnown && (!others(before) || is.intent.trial !== undefined)) continue
    throw conflict(
      `Whom rule ${rule.name} of ${is.name} denies pool ${rule.deny} would be answered by nobody: no other pool can.`,
    )
  }
}

const isAnswered = (service: Service, nowMs: number): boolean => answeringIn(service, nowMs).length > 0

/** The pools that traffic comes to, by weight or by failover, and that can answer. */
function answeringIn(service: Service, nowMs: number): string[] {
  const { spec, intent } = service
  const poolOf = (name: string) => {
    const pool = own(intent.pools, name)
    return pool && { admin: pool.admin, targets: targetsOf(service, name) }
  }
  const going = { weights: splitOf(spec), takeOver: spec.failover ?? intent.fallback ?? [] }
  return answering(going, poolOf, isProbed(service), nowMs)
}

const isProbed = ({ spec }: Service): boolean => spec.health !== undefined

const weightIn = ({ spec }: Service, pool: string): number => own(splitOf(spec), pool) ?? 0
