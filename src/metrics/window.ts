/**
 * What happened lately: rates, quantiles and shares over about the last ten seconds, and since the split last changed.
 *
 * Every two seconds the tallies of all live targets are kept, six samples deep, so a reading covers 10 to 12 s (less
 * right after the start). A service without news (news.ts) has the very same tallies in the next sample. Memory is bounded: six samples of less than 1 KiB for each target, and none of one that nothing was ever counted at. A sample is known by its target, so
 * a slot that was given to another one never shows the traffic of the one before. A target that was removed and comes back has its counters
 * again (control/slots.ts): what they say when it comes is told as of before the window, or all of its life would be the traffic of the last seconds.
 *
 * The share since the split changed needs the counts at that moment. They are taken when control tells of a change, and
 * at the next sample at the latest; requests that were decided in between count as before.
 */
import type { Control, Snapshot } from '../change.ts'
import type { Clock } from '../clock.ts'
import { servicesOfEvent } from '../config/event-types.ts'
import { FIELD, FIELDS, GAUGES, type SharedMemory } from './layout.ts'
import { slotsOf, sumSlots } from './load.ts'
import { News } from './news.ts'
import { growth, isCounted, readTally, type Tally, UNCOUNTED } from './summary.ts'
import { turnVisitors, VISITORS_HALF_MS, visitorsAt } from './visitors.ts'

const SAMPLE_EVERY_MS = 2_000
const SAMPLES_KEPT = 6
/** Time to first byte stands last in a tally and nobody asks for it over a window, so samples do without it. */
const SAMPLED_FIELDS = FIELD.ttfb
/** All that only grows; whatever fills a histogram stands in one of these, too. */
const GROWING = Array.from({ length: FIELD.duration }, (_, field) => field).filter(
  (field) => field >= GAUGES && field !== FIELD.latencyMs && field !== FIELD.latencyAtMs,
)

export interface TargetTraffic {
  readonly url: string
  /** Since the target was added. */
  readonly total: Tally
  /** Within the window; without time to first byte. */
  readonly recent: Tally
  /** Requests that were decided for this target since the split of the service last changed. */
  readonly decidedSinceSplit: number
}

export interface ServiceTraffic {
  /** How far back `recent` reaches, in ms. */
  readonly windowMs: number
  /** Targets by pool, in the order of the spec. */
  readonly pools: ReadonlyMap<string, readonly TargetTraffic[]>
  /** About how many different visitors each pool has had, and how far back that reaches, in ms. */
  readonly visitors: ReadonlyMap<string, number>
  readonly visitorsWindowMs: number
}

export interface TrafficWindow {
  /** The traffic of a service now, or null when there is no such service. */
  service(name: string): ServiceTraffic | null
  close(): void
}

/** By target; of those that something was counted of. */
type Tallies = ReadonlyMap<string, Tally>

interface Sample {
  readonly atMs: number
  readonly services: Map<string, Tallies>
}

interface Baseline {
  readonly split: string
  readonly decided: Map<string, number>
}

interface LiveTarget {
  readonly pool: string
  readonly url: string
  readonly key: string
  readonly slots: readonly number[]
}

function* targetsOf(snapshot: Snapshot, service: string): Generator<LiveTarget> {
  if (!Object.hasOwn(snapshot.status, service)) return
  for (const [pool, status] of Object.entries(snapshot.status[service].pools)) {
    for (const [url, target] of Object.entries(status.targets)) {
      yield { pool, url, key: `${service}\n${pool}\n${url}`, slots: target.slots }
    }
  }
}

const splitOf = (snapshot: Snapshot, service: string): string =>
  JSON.stringify([snapshot.status[service].release, snapshot.services[service].split ?? null])

function talliesOf(snapshot: Snapshot, memory: SharedMemory, service: string): Tallies {
  const tallies = new Map<string, Tally>()
  for (const { key, slots } of targetsOf(snapshot, service)) {
    // Of one without a sample whatever is counted later is new.
    const tally = readTally(memory, slots)
    if (tally !== UNCOUNTED) tallies.set(key, tally.slice(0, SAMPLED_FIELDS))
  }
  return tallies
}

/** The targets of each service when it was looked at last, to tell those that come. */
class Arrivals {
  readonly #keys = new Map<string, ReadonlySet<string>>()

  /** Those of a service that were not there before. */
  of(service: string, live: readonly LiveTarget[]): LiveTarget[] {
    const before = this.#keys.get(service)
    if (live.length === 0) this.#keys.delete(service)
    else this.#keys.set(service, new Set(live.map(({ key }) => key)))
    return live.filter(({ key }) => before?.has(key) !== true)
  }
}

/** What a target that comes has on its counters already is of before the window and before the split. */
function countAsBefore(
  service: string,
  { key, slots }: LiveTarget,
  memory: SharedMemory,
  samples: readonly Sample[],
  baseline: Baseline | undefined,
): void {
  const tally = readTally(memory, slots)
  if (tally === UNCOUNTED) return
  const then = tally.slice(0, SAMPLED_FIELDS)
  for (const { services } of samples) {
    const known = services.get(service)
    if (known?.has(key) !== true) services.set(service, new Map(known).set(key, then))
  }
  if (baseline?.decided.has(key) === false) baseline.decided.set(key, tally[FIELD.decided])
}

/** Turns the estimates of visitors over, and says how far back they reach. */
function followVisitors(control: Pick<Control, 'snapshot'>, memory: SharedMemory, clock: Clock) {
  let turnedMs = clock.monotonicMs()
  let halvesMs = 0
  const close = clock.every(VISITORS_HALF_MS, () => {
    const snapshot = control.snapshot()
    const live = Object.keys(snapshot.services).flatMap((service) => [...targetsOf(snapshot, service)])
    turnVisitors(
      memory,
      live.flatMap(({ slots }) => slots),
    )
    turnedMs = clock.monotonicMs()
    halvesMs = VISITORS_HALF_MS
  })
  return { windowMs: () => clock.monotonicMs() - turnedMs + halvesMs, close }
}

/** Keeps samples of the live targets by the given clock until it is closed. */
export function createTrafficWindow(
  control: Pick<Control, 'snapshot' | 'subscribe'>,
  memory: SharedMemory,
  clock: Clock,
): TrafficWindow {
  const samples: Sample[] = []
  const baselines = new Map<string, Baseline>()
  const arrivals = new Arrivals()
  const news = new News(memory, GROWING)
  const noteComing = (snapshot: Snapshot, service: string): void => {
    for (const target of arrivals.of(service, [...targetsOf(snapshot, service)]))
      countAsBefore(service, target, memory, samples, baselines.get(service))
  }

  const noteSplit = (snapshot: Snapshot, service: string): void => {
    if (!Object.hasOwn(snapshot.services, service) || !Object.hasOwn(snapshot.status, service)) return
    const split = splitOf(snapshot, service)
    if (baselines.get(service)?.split === split) return
    const decided = new Map<string, number>()
    for (const target of targetsOf(snapshot, service)) {
      decided.set(target.key, sumSlots(memory, target.slots, FIELD.decided))
    }
    baselines.set(service, { split, decided })
  }

  const takeSample = (): void => {
    const snapshot = control.snapshot()
    const services = new Map(samples.at(-1)?.services)
    for (const service of news.look(snapshot.status)) {
      noteComing(snapshot, service)
      noteSplit(snapshot, service)
      const tallies = talliesOf(snapshot, memory, service)
      if (tallies.size > 0) services.set(service, tallies)
      else services.delete(service)
      if (!Object.hasOwn(snapshot.services, service)) baselines.delete(service)
    }
    samples.push({ atMs: clock.monotonicMs(), services })
    if (samples.length > SAMPLES_KEPT) samples.shift()
  }

  takeSample()
  const visitors = followVisitors(control, memory, clock)
  const endSampling = clock.every(SAMPLE_EVERY_MS, takeSample)
  const endListening = control.subscribe((event) => {
    if (event.type !== 'change') return
    const snapshot = control.snapshot()
    for (const service of servicesOfEvent(event) ?? Object.keys(snapshot.services)) {
      noteComing(snapshot, service)
      noteSplit(snapshot, service)
    }
  })

  return {
    service(name) {
      const visitorsWindowMs = visitors.windowMs()
      const traffic = readService(name, control.snapshot(), memory, samples[0], baselines.get(name), clock)
      return traffic && { ...traffic, visitorsWindowMs }
    },
    close() {
      endSampling()
      visitors.close()
      endListening()
    },
  }
}

function readService(
  name: string,
  snapshot: Snapshot,
  memory: SharedMemory,
  oldest: Sample,
  baseline: Baseline | undefined,
  clock: Clock,
): Omit<ServiceTraffic, 'visitorsWindowMs'> | null {
  if (!Object.hasOwn(snapshot.status, name)) return null
  const pools = new Map<string, TargetTraffic[]>(Object.keys(snapshot.status[name].pools).map((pool) => [pool, []]))
  for (const { pool, url, key, slots } of targetsOf(snapshot, name)) {
    const total = readTally(memory, slots)
    const before = baseline?.decided.get(key) ?? 0
    const recent = total === UNCOUNTED ? total : growth(total, widen(oldest.services.get(name)?.get(key)))
    const decided = total[FIELD.decided]
    const decidedSinceSplit = decided < before ? decided : decided - before
    pools.get(pool)!.push({ url, total, recent, decidedSinceSplit })
  }
  const visitors = new Map(
    Object.entries(snapshot.status[name].pools).map(([pool, status]) => {
      const slots = slotsOf(status)
      return [pool, isCounted(memory, slots) ? visitorsAt(memory, slots) : 0]
    }),
  )
  return { windowMs: Math.max(0, clock.monotonicMs() - oldest.atMs), pools, visitors }
}

function widen(sampled: Tally | undefined): Tally | undefined {
  if (sampled === undefined) return undefined
  const tally = new Float64Array(FIELDS)
  tally.set(sampled)
  return tally
}
