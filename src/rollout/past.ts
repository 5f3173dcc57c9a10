/**
 * What the pools have answered of late: what a rollout is compared with from its first answer on.
 *
 * Of each pool: from when on an answer is slow; of the last ten minutes how many answers were bad, by metric; and how far its
 * targets differ in them by themselves (clump.ts). All of it comes from the counters of the targets. Targets that have the version which
 * a rollout tries are left out while it runs: nothing of the new version may enter what it is measured by.
 *
 * Everybody with news (metrics/news.ts) or with answers of late is looked at every `SLICE_MS`, and whoever is compared with more often
 * (`follow`). What it holds is bounded by the targets.
 */
import { BINS } from '../metrics/bins.ts'
import { FIELD, type SharedMemory } from '../metrics/layout.ts'
import { sumSlots } from '../metrics/load.ts'
import { News } from '../metrics/news.ts'
import type { ServiceStatus, TargetStatus } from '../table/status.ts'
import { Clump, type ClumpState, NO_CLUMP, SLICE_MS, type SliceCounts } from './clump.ts'
import type { History } from './margin-test.ts'
import { METRICS_COUNTED as METRICS, QUANTILES, SlowEdge } from './slow-edge.ts'

/** Ten minutes of them. */
const SLICES_MAX = 60

/** Of one metric. */
export interface Known {
  /** Answers of the last ten minutes. */
  readonly history: History
  /** The same of clumps, and of all that was ever seen: what is more than that at some moment has come since. */
  readonly clump: ClumpState
  readonly clumpEver: ClumpState
}

/** What is known of some pools together. */
export interface PastOf {
  /** Times in ms from which on an answer is slow, by quantile; Infinity while nothing is known. */
  readonly edgesMs: readonly number[]
  /** By metric, in the order of verdict.ts: failures, then the quantiles. */
  readonly metrics: readonly Known[]
}

/** How far answers go bad together, by metric: as it was known at the begin, and what has come between `then` and `now`. */
export function clumpsSince(
  begin: readonly ClumpState[],
  then: PastOf['metrics'],
  now: PastOf['metrics'],
): ClumpState[] {
  return now.map(({ clumpEver }, at) => {
    const before = then[at].clumpEver
    const { x2, dof } = begin[at] ?? NO_CLUMP
    return { x2: x2 + clumpEver.x2 - before.x2, dof: dof + clumpEver.dof - before.dof }
  })
}

export class Past {
  readonly #memory: SharedMemory
  readonly #news: News
  readonly #services = new Map<string, Map<string, PoolPast>>()
  /** Those with slices, which age. */
  readonly #ageing = new Set<string>()

  constructor(memory: SharedMemory) {
    this.#memory = memory
    this.#news = new News(memory, [FIELD.attemptsGood, FIELD.attemptsFailed, FIELD.requests])
  }

  /** Takes what has come of every service; those that are gone are forgotten. */
  followAll(statuses: Readonly<Record<string, ServiceStatus>>, nowMs: number): void {
    for (const service of this.#services.keys()) if (!Object.hasOwn(statuses, service)) this.#services.delete(service)
    for (const service of this.#news.look(statuses).union(this.#ageing)) {
      this.#ageing.delete(service)
      if (!Object.hasOwn(statuses, service)) continue
      if (this.follow(service, statuses[service], nowMs)) this.#ageing.add(service)
    }
  }

  /** Takes what has come of one service. True when there is anything of it that ages. */
  follow(service: string, { pools, trial }: ServiceStatus, nowMs: number): boolean {
    const known = this.#services.get(service) ?? new Map<string, PoolPast>()
    this.#services.set(service, known)
    for (const pool of known.keys()) if (!Object.hasOwn(pools, pool)) known.delete(pool)
    let ages = false
    for (const [name, { targets }] of Object.entries(pools)) {
      const isTried = (url: string) => trial?.pool === name && trial.targets?.includes(url) !== false
      const pool = known.get(name) ?? new PoolPast(nowMs)
      known.set(name, pool)
      pool.follow(this.#memory, targets, isTried, nowMs)
      ages ||= pool.ages
    }
    return ages
  }

  /** What is known of these pools of a service. */
  of(service: string, names: readonly string[]): PastOf {
    const known = this.#services.get(service)
    const pools = names.flatMap((name) => known?.get(name) ?? [])
    const edge = new SlowEdge()
    for (const pool of pools) edge.add(pool.edge.bins)
    const sum = (of: (pool: PoolPast) => number) => pools.reduce((total, pool) => total + of(pool), 0)
    const metrics = Array.from({ length: METRICS }, (_, metric): Known => {
      const part = (field: number) => sum(({ recent }) => recent[metric * PARTS + field])
      const open = (field: typeof ALL | typeof BAD) => sum((pool) => pool.open(metric, field))
      const ever = (field: number) => sum(({ ever }) => ever[metric * PARTS + field])
      return {
        history: { bad: part(BAD) + open(BAD), all: part(ALL) + open(ALL) },
        clump: { x2: part(X2), dof: part(DOF) },
        clumpEver: { x2: ever(X2), dof: ever(DOF) },
      }
    })
    return { edgesMs: QUANTILES.map((quantile) => edge.edgeMs(quantile)), metrics }
  }
}

/** A slice holds these of each metric. */
const [ALL, BAD, X2, DOF] = [0, 1, 2, 3] as const
const PARTS = 4
const SLICE = METRICS * PARTS

/** Of a target: sums at the last look, and what has come in the open slice, by metric. */
interface Followed {
  readonly bins: Float64Array
  good: number
  failed: number
  readonly all: Float64Array
  readonly bad: Float64Array
}

class PoolPast {
  readonly edge = new SlowEdge()
  /** Sums of the last `SLICES_MAX` slices, and of all that ever were. */
  readonly recent = new Float64Array(SLICE)
  readonly ever = new Float64Array(SLICE)
  /** The slices of `recent`, one after the other in a circle; none before the first answer. */
  #circle: Float64Array | null = null
  #next = 0
  readonly #targets = new Map<string, Followed>()
  #sinceMs: number

  constructor(nowMs: number) {
    this.#sinceMs = nowMs
  }

  follow(
    memory: SharedMemory,
    targets: Readonly<Record<string, TargetStatus>>,
    isTried: (url: string) => boolean,
    nowMs: number,
  ): void {
    // What is slow was said before these answers came.
    const firstBins = QUANTILES.map((quantile) => this.edge.binOf(quantile))
    for (const url of this.#targets.keys()) if (!Object.hasOwn(targets, url)) this.#targets.delete(url)
    for (const [url, { slots }] of Object.entries(targets)) {
      // Most of a fleet has answered nothing yet, and takes no memory until it has.
      if (!this.#targets.has(url) && !hasAnswered(memory, slots)) continue
      const target = this.#targets.get(url) ?? unseen()
      this.#targets.set(url, target)
      const { bins, good, failed } = come(memory, slots, target)
      if (isTried(url)) continue
      this.edge.add(bins)
      target.all[0] += good + failed
      target.bad[0] += failed
      const timed = bins.reduce((sum, count) => sum + count, 0)
      for (const [at, first] of firstBins.entries()) {
        if (first === Infinity) continue
        target.all[at + 1] += timed
        for (let bin = first; bin < BINS; bin++) target.bad[at + 1] += bins[bin]
      }
    }
    if (nowMs - this.#sinceMs >= SLICE_MS) this.#close(nowMs)
  }

  /** Whether it has slices, or something for the first one. */
  get ages(): boolean {
    return this.#circle !== null || this.open(0, ALL) > 0
  }

  /** Answers, or the bad ones, that have come since the last slice. */
  open(metric: number, field: typeof ALL | typeof BAD): number {
    let sum = 0
    for (const { all, bad } of this.#targets.values()) sum += field === ALL ? all[metric] : bad[metric]
    return sum
  }

  #close(nowMs: number): void {
    this.#sinceMs = nowMs
    const targets = [...this.#targets.values()]
    if (this.#circle === null && targets.every(({ all }) => all[0] === 0)) return
    this.#circle ??= new Float64Array(SLICES_MAX * SLICE)
    const at = this.#next * SLICE
    this.#next = (this.#next + 1) % SLICES_MAX
    const slice = sliceOf(targets)
    for (let part = 0; part < SLICE; part++) {
      this.ever[part] += slice[part]
      this.recent[part] += slice[part] - this.#circle[at + part]
      this.#circle[at + part] = slice[part]
    }
    for (const target of targets) {
      target.all.fill(0)
      target.bad.fill(0)
    }
  }
}

function sliceOf(targets: readonly Followed[]): Float64Array {
  const slice = new Float64Array(SLICE)
  for (let metric = 0; metric < METRICS; metric++) {
    const counts = targets.map((target): SliceCounts => ({ all: target.all[metric], bad: target.bad[metric] }))
    const clump = new Clump()
    clump.take(counts)
    const at = metric * PARTS
    for (const { all, bad } of counts) {
      slice[at + ALL] += all
      slice[at + BAD] += bad
    }
    slice[at + X2] = clump.state.x2
    slice[at + DOF] = clump.state.dof
  }
  return slice
}

const hasAnswered = (memory: SharedMemory, slots: readonly number[]): boolean =>
  sumSlots(memory, slots, FIELD.attemptsGood) + sumSlots(memory, slots, FIELD.attemptsFailed) > 0

const unseen = (): Followed => ({
  bins: new Float64Array(BINS),
  good: 0,
  failed: 0,
  all: new Float64Array(METRICS),
  bad: new Float64Array(METRICS),
})

/** What has come of a target since the last look. */
function come(memory: SharedMemory, slots: readonly number[], target: Followed) {
  const sum = (field: number) => sumSlots(memory, slots, field)
  const [good, failed] = [sum(FIELD.attemptsGood), sum(FIELD.attemptsFailed)]
  // Sums fall only where the slots went to another target of that name.
  const came = {
    bins: new Float64Array(BINS),
    good: Math.max(0, good - target.good),
    failed: Math.max(0, failed - target.failed),
  }
  for (let bin = 0; bin < BINS; bin++) {
    const count = sum(FIELD.ttfb + bin)
    came.bins[bin] = Math.max(0, count - target.bins[bin])
    target.bins[bin] = count
  }
  target.good = good
  target.failed = failed
  return came
}
