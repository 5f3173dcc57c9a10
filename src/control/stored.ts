/**
 * From what a store gave to what control works on. What was stored is not believed: it may be years old, of a newer Turnout, or
 * edited by hand. Pure.
 *
 * - A spec goes through the schema and the checks of now, which fill in what it lacks. Keys that are not known here are left
 *   out; whoever wrote them knew more.
 * - An intent is mended piece by piece: what makes no sense is taken for what it would be in a new service. Only then is it
 *   brought in step with its spec.
 * - A service that cannot be served even so, alone or beside the others, is left out and the rest is served. What was stored
 *   of it stays in the store as it is until somebody puts or removes a service of its name.
 * All of this is told, in `notes`; a default that was filled in is not, since that is what defaults are for.
 */
import { completeService } from '../config/check.ts'
import { isRecord } from '../config/record.ts'
import { RouteOwners } from '../config/route-owners.ts'
import { ADMIN_STATES, type ServiceSpec, type Services } from '../config/schema.ts'
import { type Fault, TurnoutError } from '../errors.ts'
import type { StoredContent } from '../store/store.ts'
import { BUCKETS } from '../table/bucket.ts'
import type { Hold } from '../table/hold.ts'
import type { MaintenanceIntent } from '../table/maintenance.ts'
import type { BegunTrial, PoolIntent, ServiceIntent, TargetIntent } from '../table/status.ts'
import type { AdminState, Allotment, BucketRange } from '../table/types.ts'
import { type Base, NOTHING, reconcileService } from './reconcile.ts'
import { Issuer, type Releases } from './releases.ts'

/** A service of which nothing can be served. */
export interface LeftOut {
  readonly stored: StoredContent
  readonly faults: readonly Fault[]
}

/** What became of stored services. */
export interface Completed {
  readonly services: Services
  readonly intents: Readonly<Record<string, ServiceIntent>>
  readonly releases: Releases
  readonly leftOut: ReadonlyMap<string, LeftOut>
  /** What was stored of the services whose intent had to be mended. */
  readonly mended: ReadonlyMap<string, StoredContent>
  /** For people: what was not taken as it was. */
  readonly notes: readonly string[]
}

/**
 * Stored services as they can be served now; `releases` are those that were given out, and `others` the services that are
 * served beside them and stay as they are.
 */
export function completed(
  stored: Readonly<Record<string, StoredContent>>,
  releases: Releases,
  others: Services = {},
): Completed {
  const notes: string[] = []
  const leftOut = new Map<string, LeftOut>()
  const specs: [string, ServiceSpec][] = []
  const owners = new RouteOwners()
  owners.settle(others, Object.keys(others))
  for (const [name, service] of Object.entries(stored)) {
    const { gone, ...checked } = completeService(service.spec)
    const faults = 'spec' in checked ? owners.faults({ [name]: checked.spec }, [name]) : checked.faults
    if (gone.length > 0) notes.push(`service ${name}: ${gone.join(', ')} not known to this version, and not taken`)
    if ('faults' in checked || faults.length > 0) {
      leftOut.set(name, { stored: service, faults })
      const why = faults.map(({ pointer, message }) => `${pointer} ${message}`).join('; ')
      notes.push(`service ${name} is left out, since it cannot be served: ${why}. What was stored of it is kept.`)
      continue
    }
    owners.settle({ [name]: checked.spec }, [name])
    specs.push([name, checked.spec])
  }
  const issuer = new Issuer(releases)
  const mended = new Map<string, StoredContent>()
  const intents = specs.map(([name, spec]): [string, ServiceIntent] => {
    const faults: string[] = []
    const intent = intentOf(stored[name].intent, spec, issuer, faults)
    if (faults.length > 0) {
      mended.set(name, stored[name])
      notes.push(
        `what people had set of service ${name} was partly malformed, and is as in a new one: ${faults.join(', ')}`,
      )
    }
    // What a rollout has set apart stays so, what is held, and what is in maintenance: all go on after a restart.
    const { trial, done, undone, hold, maintenance } = intent
    const kept = {
      ...(trial && { trial }),
      ...(done && { done }),
      ...(undone !== undefined && { undone }),
      ...(hold && { hold }),
      ...(maintenance && { maintenance }),
    }
    return [name, { ...reconcileService(spec, issuer, undefined, intent), ...kept }]
  })
  const [services, all] = [Object.fromEntries(specs), Object.fromEntries(intents)]
  return { services, intents: all, releases: issuer.given, leftOut, mended, notes }
}

/** An intent without what nobody has set: `completed` puts it back. */
export function packed(intent: ServiceIntent): ServiceIntent {
  const isSet = ({ admin, drainUntilMs }: TargetIntent): boolean => admin !== 'ready' || drainUntilMs !== 0
  const pools = Object.entries(intent.pools).flatMap(([name, { targets, ...pool }]): [string, PoolIntent][] => {
    const kept = Object.entries(targets).filter(([, target]) => isSet(target))
    if (kept.length === 0 && !isSet(pool) && pool.born === undefined && pool.keptUntilMs === undefined) return []
    return [[name, { ...pool, targets: Object.fromEntries(kept) }]]
  })
  return { ...intent, pools: Object.fromEntries(pools) }
}

/** The base of the config file from its text and that of the names, null for none; services that cannot be served any more are lost from it. */
export function baseFrom(text: string | null, names: string | null = null): Base {
  const known = names === null ? [] : jsonOf(names, 'the names of the config files that were applied')
  const files = Array.isArray(known) ? known.filter((name) => typeof name === 'string') : []
  if (text === null) return { ...NOTHING.base, files }
  const stored = jsonOf(text, 'the config file as it was last applied')
  const specs: [string, ServiceSpec][] = []
  const lost: string[] = []
  for (const [name, spec] of Object.entries(isRecord(stored) ? stored : {})) {
    const checked = completeService(spec)
    if ('spec' in checked) specs.push([name, checked.spec])
    else lost.push(name)
  }
  return { services: Object.fromEntries(specs), lost, files }
}

/** Stored JSON text; throws `store_unavailable` when it is none. */
export function jsonOf(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new TurnoutError('store_unavailable', `The store is damaged: ${what} is not JSON.`)
  }
}

type Json = Readonly<Record<string, unknown>>

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
/** The end of the year 9999: nobody has meant a later time, and from some time on no date can tell it. */
const TIME_MS_MAX = 253_402_300_799_999
const isTime = (value: unknown): value is number =>
  Number.isFinite(value) && (value as number) >= 0 && (value as number) <= TIME_MS_MAX
/** What may stand in our cookie. */
const isRelease = (value: unknown): value is string =>
  typeof value === 'string' && /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(value)
/** Of a run, short enough to stand there beside a release and a number. */
const isMark = (value: unknown): value is string => typeof value === 'string' && /^[A-Za-z0-9]{1,16}$/.test(value)
const isPools = (value: unknown, pools: ServiceSpec['pools']): value is readonly string[] =>
  Array.isArray(value) && value.every((name) => typeof name === 'string' && Object.hasOwn(pools, name))
const isTrial = (value: unknown, pools: ServiceSpec['pools']): value is BegunTrial =>
  isRecord(value) &&
  typeof value['pool'] === 'string' &&
  Object.hasOwn(pools, value['pool']) &&
  isCount(value['step']) &&
  (value['rollout'] === undefined || typeof value['rollout'] === 'string') &&
  isListOf(value['targets'], (target) => typeof target === 'string') &&
  isListOf(value['tried'], (target) => typeof target === 'string') &&
  (value['before'] === undefined || isWeights(value['before'])) &&
  (value['earlyCloseMs'] === undefined || isTime(value['earlyCloseMs'])) &&
  (value['asks'] === undefined || typeof value['asks'] === 'boolean') &&
  isListOf(value['failing'], (range) => Array.isArray(range) && range.length === 2 && range.every(isCount)) &&
  (value['hasMoved'] === undefined || typeof value['hasMoved'] === 'boolean') &&
  (value['earlier'] === undefined || isEarlier(value['earlier']))
const isEarlier = (value: unknown): boolean =>
  isRecord(value) &&
  (value['previous'] === null || previousOf(value['previous']) !== null) &&
  Array.isArray(value['fallback']) &&
  value['fallback'].every((pool) => typeof pool === 'string')
const isDone = (value: unknown): value is NonNullable<ServiceIntent['done']> =>
  isRecord(value) &&
  typeof value['rollout'] === 'string' &&
  isRelease(value['release']) &&
  (value['pool'] === undefined || isVersioned(value['pool']))
const isUndone = (value: unknown): value is NonNullable<ServiceIntent['undone']> =>
  isRecord(value) && typeof value['rollout'] === 'string' && isTime(value['atMs'])
const isVersioned = (value: unknown): boolean =>
  isRecord(value) && typeof value['name'] === 'string' && typeof value['version'] === 'string'
const isHold = (value: unknown): value is Hold =>
  isRecord(value) &&
  typeof value['id'] === 'string' &&
  isTime(value['sinceMs']) &&
  isTime(value['untilMs']) &&
  (value['only'] === 'all' || value['only'] === 'writes') &&
  isCount(value['queueMax']) &&
  isCount(value['bytesMax']) &&
  (value['isOfSwitch'] === undefined || value['isOfSwitch'] === true)
const isMaintenance = (value: unknown): value is MaintenanceIntent => isRecord(value) && isTime(value['sinceMs'])
/** Or it is absent. */
const isListOf = (value: unknown, isOne: (entry: unknown) => boolean): boolean =>
  value === undefined || (Array.isArray(value) && value.every(isOne))
const isWeights = (value: unknown): value is Record<string, number> =>
  isRecord(value) && Object.values(value).every(isCount)

/** Every key, so that none of a later version of us is forgotten here. */
type Whole<T> = { readonly [K in keyof Required<T>]: T[K] | undefined }

function intentOf(stored: unknown, { pools: specs }: ServiceSpec, releases: Issuer, faults: string[]): ServiceIntent {
  const { release, pools, previous, allotment, fallback, trial, done, undone, hold, maintenance } = isRecord(stored)
    ? stored
    : ({} as Json)
  const fault = <T>(what: string, value: T): T => {
    faults.push(what)
    return value
  }
  const shares = allotment === undefined ? undefined : allotmentOf(allotment)
  const isHeld = shares?.ranges.every(({ pool }) => Object.hasOwn(specs, pool)) === true
  const whole: Whole<ServiceIntent> = {
    release: isRelease(release) ? release : fault('release', releases.next()),
    pools: entriesOf(pools, 'pools', faults, poolOf),
    previous: previousOf(previous) ?? (previous === undefined || previous === null ? null : fault('previous', null)),
    allotment: isHeld ? shares : allotment === undefined ? undefined : fault('allotment', undefined),
    fallback: isPools(fallback, specs) || fallback === undefined ? fallback : fault('fallback', undefined),
    trial: isTrial(trial, specs) || trial === undefined ? trial : fault('trial', undefined),
    done: isDone(done) || done === undefined ? done : fault('done', undefined),
    undone: isUndone(undone) || undone === undefined ? undone : fault('undone', undefined),
    hold: isHold(hold) || hold === undefined ? hold : fault('hold', undefined),
    maintenance:
      isMaintenance(maintenance) || maintenance === undefined ? maintenance : fault('maintenance', undefined),
  }
  return Object.fromEntries(
    Object.entries(whole).filter(([, value]) => value !== undefined),
  ) as unknown as ServiceIntent
}

function entriesOf<T>(
  stored: unknown,
  at: string,
  faults: string[],
  each: (entry: Json, at: string, faults: string[]) => T,
): Record<string, T> {
  if (stored === undefined) return {}
  if (!isRecord(stored)) faults.push(at)
  const entries = Object.entries(isRecord(stored) ? stored : {}).map(([key, entry]): [string, T] => {
    if (!isRecord(entry)) faults.push(`${at}/${key}`)
    return [key, each(isRecord(entry) ? entry : {}, `${at}/${key}`, faults)]
  })
  return Object.fromEntries(entries)
}

function poolOf(stored: Json, at: string, faults: string[]): PoolIntent {
  const { born, bornBy, targets, keptUntilMs } = stored
  if (born !== undefined && !isCount(born)) faults.push(`${at}/born`)
  if (bornBy !== undefined && !isMark(bornBy)) faults.push(`${at}/bornBy`)
  if (keptUntilMs !== undefined && !isTime(keptUntilMs)) faults.push(`${at}/keptUntilMs`)
  return {
    ...targetOf(stored, at, faults),
    targets: entriesOf(targets, `${at}/targets`, faults, targetOf),
    ...(isCount(born) ? { born } : {}),
    ...(isCount(born) && isMark(bornBy) ? { bornBy } : {}),
    ...(isTime(keptUntilMs) ? { keptUntilMs } : {}),
  }
}

/** What is absent was not set. */
function targetOf({ admin = 'ready', drainUntilMs = 0 }: Json, at: string, faults: string[]): TargetIntent {
  const isKnown = ADMIN_STATES.includes(admin as AdminState)
  if (!isKnown) faults.push(`${at}/admin`)
  if (!isTime(drainUntilMs)) faults.push(`${at}/drainUntilMs`)
  return { admin: isKnown ? (admin as AdminState) : 'ready', drainUntilMs: isTime(drainUntilMs) ? drainUntilMs : 0 }
}

function previousOf(stored: unknown): ServiceIntent['previous'] {
  if (!isRecord(stored) || !isWeights(stored['weights']) || !isRelease(stored['release'])) return null
  return { weights: stored['weights'], release: stored['release'] }
}

/** undefined where it is malformed. */
function allotmentOf(stored: unknown): Allotment | undefined {
  if (!isRecord(stored)) return undefined
  const { salt, weights, ranges, before } = stored
  if (!isRelease(salt) || !isWeights(weights) || !Array.isArray(ranges) || !isCover(ranges, weights)) return undefined
  const earlier = before === undefined ? undefined : allotmentOf(before)
  if (before !== undefined && earlier === undefined) return undefined
  return { salt, weights, ranges, ...(earlier === undefined ? {} : { before: earlier }) }
}

/** Whether the ranges cover all buckets in order, or are none, and belong to pools with a weight. */
function isCover(ranges: readonly unknown[], weights: Readonly<Record<string, number>>): ranges is BucketRange[] {
  const ends = ranges.map((range) => {
    const { pool, end } = Object(range) as { pool?: unknown; end?: unknown }
    return typeof pool === 'string' && Object.hasOwn(weights, pool) && isCount(end) ? end : Number.NaN
  })
  return ends.length === 0 || (ends.every((end, n) => end > (ends[n - 1] ?? 0)) && ends.at(-1) === BUCKETS)
}
