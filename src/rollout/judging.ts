/**
 * The verdict on one rollout, fed from the counters of this process.
 *
 * Batches end by the clock alone (metrics/batches.ts): whoever ended one because a failure has come would make no fair bet (VERDICT.md 4).
 * A step begins just before its split is on its way to the workers: answers of the step before count no more from then on. As long as that is
 * refused, the step before is judged on.
 */
import type { Control } from '../change.ts'
import type { Clock } from '../clock.ts'
import { own } from '../config/record.ts'
import { CELL, type SharedMemory } from '../metrics/layout.ts'
import { noteNew } from '../metrics/load.ts'
import { letsInNew } from '../table/proven.ts'
import { alphaPooled } from './alpha-parts.ts'
import { ByRules } from './by-rules.ts'
import { Feed } from './feed.ts'
import { Given, type GivenDeps } from './given/given.ts'
import type { Forgiven, Kept } from './kept.ts'
import type { Ledger } from './ledger.ts'
import type { Stratum } from './origin-test.ts'
import { clumpsSince, type Past, type PastOf } from './past.ts'
import { Pooled, type TakenByRun, type ToldShare } from './pooled.ts'
import type { Reports } from './reports.ts'
import { isRolling } from './rolling.ts'
import { isLast, livePoolsOf, type Rollout } from './rollout.ts'
import { type ToldVerdict, toldVerdict } from './told.ts'
import { type Before, type Finding, metricsOf, type TestStates, Verdict, type VerdictOptions } from './verdict.ts'

/** How often the live pool's times are looked at. */
const FOLLOW_MS = 1_000
/** Of what the workers count. */
const NOTHING: readonly Stratum[] = metricsOf({ given: [] }).map(() => ({
  canary: 0,
  canaryBad: 0,
  control: 0,
  controlBad: 0,
}))

export interface JudgingDeps extends GivenDeps {
  readonly control: Control
  readonly clock: Clock
  readonly memory: SharedMemory
  readonly past: Past
  readonly reports: Reports
}

export class Judging {
  /** What the last look has found. */
  finding: Finding = { outcome: 'insufficient', cause: 'failures' }
  /** Answers of the new version since the step began. */
  answers = 0
  /** Failures that the new version has brought to clients. */
  harm: number
  verdict: Verdict
  forgiven: Forgiven
  /** What is given from outside. */
  readonly given: Given
  readonly #deps: JudgingDeps
  readonly #service: string
  readonly #to: string
  readonly #livePools: readonly string[]
  readonly #slot: number
  readonly #feed: Feed
  /** What was known of the live pool when the rollout began; clumps go on to be seen. */
  readonly #begin: Before
  /** What was known when this process took it up: what has come since is more than that. */
  readonly #known: PastOf['metrics']
  /** What stood when its last shift began; null before. */
  #last: ToldVerdict | null
  #followedAtMs = -Infinity
  readonly #byRules: ByRules
  readonly #options: VerdictOptions
  /** What this instance says to others, and what they say; null where there are none. */
  readonly #ledger: Ledger | null
  readonly #pooled: Pooled
  #step: number

  /** Whatever is asked of others ends with `signal`. */
  constructor(deps: JudgingDeps, kept: Kept, signal: AbortSignal) {
    const { service, rollout, wish, tests, live, forgiven = { harm: 0, times: 0 } } = kept
    const { memory, control } = deps
    this.#deps = deps
    this.#service = service
    this.#to = rollout.to
    this.#livePools = isRolling(rollout) ? [rollout.to] : livePoolsOf(rollout)
    this.#slot = own(control.snapshot().status, service)?.slot ?? 0
    this.#feed = new Feed(memory, this.#slot)
    this.#byRules = new ByRules(deps, service, rollout.to)
    this.#step = kept.step
    this.#ledger = deps.reports.open(service, rollout.id, kept.step)
    this.#pooled = new Pooled(rollout.id, deps.reports, deps.clock.steadyMs(), kept.taken)
    // Those that judge alone have the other part.
    this.#options = this.#ledger === null ? wish.verdict : { ...wish.verdict, alpha: alphaPooled(wish.verdict.alpha) }
    this.forgiven = forgiven
    this.harm = kept.harm
    const { metrics } = this.#follow()
    this.#known = metrics
    this.#begin = live ?? {
      histories: metrics.map(({ history }) => history),
      clumps: metrics.map(({ clump }) => clump),
    }
    this.given = new Given(kept, this.#livePools, deps, signal)
    this.verdict = this.#begun(tests ?? undefined)
    this.#last = isLast(rollout) ? kept.verdict : null
  }

  /** The verdict; where the last shift has begun, as it stood then. */
  told(kept: Kept): ToldVerdict {
    return this.#last ?? toldVerdict(this.finding, this.verdict, kept, this.given.told(), this.#instances)
  }

  /** The last shift is about to begin: with it counting begins anew, and what is told stays, unless a later verdict led back. */
  end(kept: Kept, isByVerdict: boolean): void {
    if (isByVerdict) this.#last = null
    this.#last ??= this.told(kept)
  }

  #begun(tests?: readonly TestStates[]): Verdict {
    const given = metricsOf(this.#options).slice(this.#known.length)
    const histories = [...this.#begin.histories, ...given.map(() => ({ bad: 0, all: 0 }))]
    return new Verdict(this.#options, { ...this.#begin, histories }, tests)
  }

  /**
   * The number of the next step, above `before`, which is 0 for none. No other has it while this process runs: requests of an earlier rollout may end in this
   * one, and are not of it.
   */
  nextStep(before: number): number {
    const { cells } = this.#deps.memory
    const step = Math.max(before, Atomics.load(cells, CELL.stepLast)) + 1
    Atomics.store(cells, CELL.stepLast, step)
    if (before === 0) Atomics.store(cells, CELL.stepFirst + this.#slot, step)
    return step
  }

  /** A step begins, if it has not: what the workers count from now on, and the part of the traffic that the new version is given, in per cent. */
  beginStep(step: number, weight: number): void {
    if (step === this.#step) return
    Atomics.store(this.#deps.memory.cells, CELL.step + this.#slot, step)
    this.#step = step
    const harm = this.#feed.drop()
    this.harm += harm
    this.#ledger?.addHarm(harm)
    this.#ledger?.beginStep(step)
    this.answers = 0
    this.#byRules.begin()
    // A URL that had another version before is as cold as one that was never there.
    if (this.verdict.share === 0 && weight > 0) noteNew(this.#deps.memory, this.#byRules.slots)
    this.verdict.beginStep(weight / 100)
    this.given.beginStep(weight / 100, this.#deps.clock.steadyMs())
  }

  /** The step goes on that a process before this one has begun. */
  goOn(step: number, weight: number, isHolding: boolean, answers: number): void {
    this.answers = answers
    this.#byRules.begin()
    // Whether the live pool is well again, nobody has seen.
    if (isHolding) this.verdict.noteIll(this.#deps.clock.steadyMs())
    this.#takeOwn()
    const { cells } = this.#deps.memory
    // Where nothing of it was counted yet, no request is older than the process.
    if (Atomics.load(cells, CELL.step + this.#slot) === 0) Atomics.store(cells, CELL.stepFirst + this.#slot, 0)
    Atomics.store(cells, CELL.step + this.#slot, step)
    Atomics.store(cells, CELL.stepLast, Math.max(step, Atomics.load(cells, CELL.stepLast)))
    this.verdict.share = weight / 100
    this.given.beginStep(weight / 100, this.#deps.clock.steadyMs())
  }

  /** What is to be known of the live pool by whoever goes on: it cannot be learnt anew while the rollout runs. */
  get live(): Before {
    return {
      histories: this.#begin.histories,
      clumps: this.verdict.metrics.slice(0, this.#known.length).map(({ clump }) => clump.state),
    }
  }

  /** Takes what has come; `weight` is what the new version is given, in per cent, and `at` in which step. */
  look({ at, weight, goneOn = 0 }: Rollout): Finding {
    const nowMs = this.#deps.clock.steadyMs()
    if (goneOn !== this.forgiven.times) this.#startAnew({ harm: this.harm, times: goneOn }, weight)
    if (nowMs - this.#followedAtMs >= FOLLOW_MS) {
      this.#followedAtMs = nowMs
      const { edgesMs, metrics } = this.#follow()
      this.#feed.setEdges(edgesMs)
      this.verdict.noteClumps([...clumpsSince(this.#begin.clumps, this.#known, metrics), ...this.given.clumps()])
    }
    this.given.look(nowMs)
    const allOut = at >= 0 && this.#isAllOut(nowMs)
    const bounds = this.given.bounds(this.finding.outcome === 'hold')
    const alone = this.#hear(goneOn)
    const unheard = this.#pooled.unheard(this.#options.harmMax, nowMs)
    const look = (atMs: number, came: readonly Stratum[], from?: string) =>
      this.verdict.look({
        nowMs: atMs,
        came,
        harm: this.harm - this.forgiven.harm + unheard,
        allOut,
        bounds,
        alone,
        ...(from && { from }),
      })
    if (weight === 0) {
      const byRules = this.#byRules.take()
      this.answers += byRules
      this.#ledger?.addByRules(byRules)
    }
    for (const batch of this.#feed.take(nowMs)) {
      this.#ledger?.add(batch)
      this.#pooled.addOwn(batch.came[0])
      if (weight > 0) this.answers += batch.came[0].canary
      this.harm += batch.harm
      look(batch.atMs, batch.came)
    }
    for (const { run, came, harm, byRules } of this.#pooled.take(this.#step)) {
      this.harm += harm
      if (weight === 0) this.answers += byRules
      if (came.length === 0) continue
      if (weight > 0) this.answers += came[0].canary
      // By our own clock: others may have another time.
      look(nowMs, came, run)
    }
    // What is given from outside comes beside them.
    this.finding = look(nowMs, [...NOTHING, ...this.given.take()])
    // A failure that is in no closed stratum yet: whatever closes it may decide.
    if (this.verdict.isPending) this.#feed.hurry()
    return this.finding
  }

  /** What this instance has counted before it has taken the rollout up is taken like that of another one, as far as nobody has yet. */
  #takeOwn(): void {
    const { reports, clock } = this.#deps
    const steadyMs = clock.steadyMs()
    if (this.#ledger === null) return
    const said = { ...this.#ledger.said(steadyMs), readings: [this.#ledger.total] }
    this.#pooled.hear({ run: reports.run, name: reports.name, said, atMs: steadyMs })
  }

  /** Takes note of what other instances say; gives why one of them judges by itself that the new version has failed. */
  #hear(goneOn: number): string | null {
    for (const heard of this.#deps.reports.heard(this.#service)) this.#pooled.hear(heard)
    return this.#pooled.failedAlone(goneOn)
  }

  /** What was taken of each instance, this one among them, to be kept with the tests. */
  get taken(): TakenByRun | undefined {
    return this.#ledger === null ? undefined : this.#pooled.taken(this.#step, this.#ledger)
  }

  /** The instances that the verdict is pooled from; none where there is one only. */
  get #instances(): readonly ToldShare[] {
    return this.#ledger === null ? [] : this.#pooled.told(this.#deps.clock.steadyMs())
  }

  /** What a rollout has to know of the last look beside its finding. */
  get seen(): { readonly answers: number; readonly goneOn: number } {
    return { answers: this.answers, goneOn: this.forgiven.times }
  }

  /** A person goes on in spite of a verdict: it is judged by what comes from now on. */
  #startAnew(forgiven: Forgiven, weight: number): void {
    this.forgiven = forgiven
    this.verdict = this.#begun()
    this.verdict.share = weight / 100
    // What was out of bounds has to be so again.
    this.given.bounds(true)
  }

  /** What is known by now of what it is compared with. */
  #follow(): PastOf {
    const { control, clock, past } = this.#deps
    const status = own(control.snapshot().status, this.#service)
    if (status !== undefined) past.follow(this.#service, status, clock.steadyMs())
    return past.of(this.#service, this.#livePools)
  }

  #isAllOut(nowMs: number): boolean {
    const { services, status } = this.#deps.control.snapshot()
    const { pools, trial } = own(status, this.#service) ?? {}
    const pool = own(own(services, this.#service)?.pools ?? {}, this.#to)
    const ready = Object.entries(pools?.[this.#to]?.targets ?? {}).filter(
      // One in standby or maintenance, however healthy, answers nobody.
      ([url, { admin }]) => admin === 'ready' && trial?.targets?.includes(url) !== false,
    )
    // Nor does one of weight 0 answer anybody new, but a batch may have no others.
    const forNew = ready.filter(([url, { admin }]) => letsInNew(pool, url, admin))
    const targets = forNew.length > 0 ? forNew : ready
    return (
      targets.length > 0 &&
      targets.every(([, { health, ejectedUntilMs }]) => health === 'unhealthy' || ejectedUntilMs > nowMs)
    )
  }
}
