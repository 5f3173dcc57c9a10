/**
 * What an instance does for a rollout that another one runs: it counts as that one does, says what it has counted (reports.ts), and judges by itself.
 *
 *   a step is on its way here ─► the workers count ─► said to whoever judges by all of it
 *                                        └─► judged alone ─► failed: said, and where nobody follows, the new version gets nothing more here
 *
 * Judged alone, a release that fails altogether is caught also where the store is away. Each has its part of α (alpha-parts.ts), and of the harm
 * budget as many parts are made as there are instances. What is taken out here is so as targets that have failed are: nothing that
 * people have set changes, other instances are not touched, and it ends by itself.
 */
import type { Clock } from '../clock.ts'
import { own } from '../config/record.ts'
import { weightShare } from '../config/share.ts'
import { CELL } from '../metrics/layout.ts'
import type { Trial } from '../table/types.ts'
import { alphaAlone } from './alpha-parts.ts'
import { ByRules } from './by-rules.ts'
import type { Elsewhere } from './elsewhere.ts'
import { Feed } from './feed.ts'
import type { JudgingDeps } from './judging.ts'
import type { Kept } from './kept.ts'
import type { Ledger } from './ledger.ts'
import type { Publish } from './news.ts'
import { clumpsSince, type PastOf } from './past.ts'
import { PoolTargets } from './pool-targets.ts'
import type { Reports } from './reports.ts'
import { isRolling } from './rolling.ts'
import { livePoolsOf } from './rollout.ts'
import { Unsettled } from './unsettled.ts'
import { Verdict } from './verdict.ts'
import { sentenceOf } from './words.ts'

/** How often it looks at its own past, and at what is known of the rollout. */
const FOLLOW_MS = 1_000
/** Whoever runs the rollout may take so long to follow what is found here. */
const FOLLOWED_MS = 1_000
export interface OutpostDeps extends Pick<JudgingDeps, 'control' | 'memory' | 'past' | 'log'> {
  readonly clock: Clock
  readonly reports: Reports
  readonly publish: Publish
  readonly elsewhere: Pick<Elsewhere, 'isThere' | 'kept' | 'refresh'>
}

export class Outpost {
  readonly rollout: string
  readonly #deps: OutpostDeps
  readonly #service: string
  readonly #slot: number
  readonly #feed: Feed
  readonly #ledger: Ledger
  readonly #unsettled = new Unsettled()
  readonly #byRules: ByRules
  #trial: Trial
  #alone: { readonly verdict: Verdict; readonly begin: PastOf['metrics']; readonly goneOn: number } | null = null
  #seat: number | null = null
  #isAsking = false
  #harm = 0
  /** Failures before a person has gone on in spite of a verdict. */
  #forgiven = 0
  #failedAtMs = Infinity
  #isTold = false
  #followedAtMs = -Infinity

  constructor(deps: OutpostDeps, service: string, trial: Trial & { readonly rollout: string }, ledger: Ledger) {
    this.rollout = trial.rollout
    this.#deps = deps
    this.#service = service
    this.#trial = trial
    this.#ledger = ledger
    this.#slot = own(deps.control.snapshot().status, service)?.slot ?? 0
    this.#feed = new Feed(deps.memory, this.#slot)
    this.#byRules = new ByRules(deps, service, trial.pool)
    this.#byRules.begin()
    const { cells } = deps.memory
    Atomics.store(cells, CELL.stepFirst + this.#slot, trial.step)
    this.#count(trial.step)
  }

  /** The split has moved: another step, or none. */
  follow(trial: Trial): void {
    const isNext = trial.step !== this.#trial.step
    this.#trial = trial
    if (!isNext) return
    this.look()
    this.#addHarm(this.#feed.drop())
    this.#unsettled.drop()
    this.#ledger.beginStep(trial.step)
    this.#byRules.begin()
    this.#count(trial.step)
    this.#alone?.verdict.beginStep(this.#share)
  }

  /** From now on the workers count what is decided in this step. */
  #count(step: number): void {
    const { cells } = this.#deps.memory
    Atomics.store(cells, CELL.step + this.#slot, step)
    // Whoever leads here later numbers on from there.
    Atomics.store(cells, CELL.stepLast, Math.max(step, Atomics.load(cells, CELL.stepLast)))
  }

  /** Takes what has come. */
  look(): void {
    const { clock, reports } = this.#deps
    const nowMs = clock.steadyMs()
    if (nowMs - this.#followedAtMs >= FOLLOW_MS) this.#follow(nowMs)
    for (const batch of this.#feed.take(nowMs)) {
      this.#ledger.add(batch)
      this.#harm += batch.harm
      const isOpen = this.#unsettled.take(batch.came[0], this.#share)
      if (batch.harm > 0 || isOpen) reports.hurry()
      this.#judge(batch.atMs, batch.came)
    }
    if (this.#share === 0) this.#ledger.addByRules(this.#byRules.take())
    if (this.#alone?.verdict.isPending) this.#feed.hurry()
    if (nowMs - this.#failedAtMs >= FOLLOWED_MS) this.#takeOut(nowMs)
  }

  #judge(atMs: number, came: Parameters<Verdict['look']>[0]['came']): void {
    const { reports, clock } = this.#deps
    const kept = this.#deps.elsewhere.kept(this.#service)
    if (this.#alone === null || kept === null || this.#failedAtMs < Infinity) return
    const { verdict, goneOn } = this.#alone
    // Its part of the budget is that of all, divided by how many there are.
    const harm = (this.#harm - this.#forgiven) * Math.max(1, reports.count)
    const finding = verdict.look({ nowMs: atMs, came, harm, allOut: false })
    if (finding.outcome !== 'fail') return
    this.#failedAtMs = clock.steadyMs()
    const { to } = kept.rollout
    const why =
      finding.cause === 'harm'
        ? `${this.#harm - this.#forgiven} answers of ${to} failed here, which is more than its part of the harm budget`
        : sentenceOf(finding, verdict, kept, [])
    this.#ledger.failed = { why, goneOn }
    reports.hurry()
  }

  /** What is slow, how far answers go bad together, and what has become of the rollout. */
  #follow(nowMs: number): void {
    this.#followedAtMs = nowMs
    const { control, past } = this.#deps
    const kept = this.#deps.elsewhere.kept(this.#service)
    const status = own(control.snapshot().status, this.#service)
    if (status !== undefined) past.follow(this.#service, status, nowMs)
    const isKnown = kept !== null && kept.rollout.id === this.rollout
    void this.#ask(isKnown)
    if (!isKnown) return
    const live = isRolling(kept.rollout) ? [kept.rollout.to] : livePoolsOf(kept.rollout)
    const { edgesMs, metrics } = past.of(this.#service, live)
    this.#feed.setEdges(edgesMs)
    const { goneOn = 0 } = kept.rollout
    if (this.#alone !== null && this.#alone.goneOn === goneOn) {
      const { begin, verdict } = this.#alone
      const clumps = begin.map(({ clump }) => clump)
      verdict.noteClumps(clumpsSince(clumps, begin, metrics))
    } else if (this.#seat !== null) this.#begin(kept, goneOn, metrics, this.#seat)
  }

  #begin({ wish }: Kept, goneOn: number, metrics: PastOf['metrics'], seat: number): void {
    const options = { ...wish.verdict, alpha: alphaAlone(wish.verdict.alpha, seat), given: [] }
    const before = { histories: metrics.map(({ history }) => history), clumps: metrics.map(({ clump }) => clump) }
    const verdict = new Verdict(options, before)
    verdict.share = this.#share
    if (this.#alone !== null) this.#forgiven = this.#harm
    this.#alone = { verdict, begin: metrics, goneOn }
    this.#failedAtMs = Infinity
    this.#isTold = false
    this.#ledger.failed = undefined
  }

  /** What is not known yet is asked for until it is; without a seat nothing is judged here. One that it has is said again and again. */
  async #ask(isKnown: boolean): Promise<void> {
    if (this.#isAsking) return
    this.#isAsking = true
    try {
      if (!isKnown || this.#seat === null) await this.#deps.elsewhere.refresh(this.#service)
      this.#seat = await this.#deps.reports.seat(this.rollout, this.#seat)
    } catch {
      // Told by control, whose store it is.
    }
    this.#isAsking = false
  }

  /** Part of the traffic that the new version has. */
  get #share(): number {
    const { services, status } = this.#deps.control.snapshot()
    const { pool, targets } = this.#trial
    if (targets === undefined) return weightShare(own(services, this.#service)?.split ?? {}, pool, 1)
    const all = Object.keys(own(status, this.#service)?.pools[pool]?.targets ?? {})
    return all.length === 0 ? 0 : targets.length / all.length
  }

  #addHarm(harm: number): void {
    this.#harm += harm
    this.#ledger.addHarm(harm)
  }

  /** Nobody has followed what was found here: the new version gets nothing more of this instance, unless it is to be paused only. */
  #takeOut(nowMs: number): void {
    const { control, memory, publish, log } = this.#deps
    const kept = this.#deps.elsewhere.kept(this.#service)
    if (kept === null || kept.rollout.policy.onFailure === 'pause') return
    const { rollout } = kept
    const failed = (err: unknown) => log.warn({ err, rollout: rollout.id }, 'targets that fail cannot be taken out')
    new PoolTargets(control, memory, this.#service, rollout).eject(rollout, nowMs).catch(failed)
    if (this.#isTold) return
    this.#isTold = true
    const message = `rollout ${rollout.id} of ${this.#service}: this instance by itself takes ${rollout.to} out of its own traffic, since whoever runs the rollout has not followed: ${this.#ledger.failed?.why}`
    publish({ type: 'rollout', service: this.#service, message, data: { id: rollout.id, alone: true, trouble: true } })
  }

  /** It is over, or runs here from now on: then the workers count on. */
  end(isTakenUp: boolean): void {
    this.look()
    if (!isTakenUp) Atomics.store(this.#deps.memory.cells, CELL.step + this.#slot, 0)
  }
}
