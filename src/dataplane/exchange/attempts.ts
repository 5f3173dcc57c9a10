/**
 * Where a request is sent: the decision, the target, the connection, and what the attempt there came to. Whether it is tried again
 * after that: retry-policy.ts.
 *
 * A request counts as in flight at exactly one target at a time.
 *
 * Where somebody logs in on a connection, both sides are tied (ties.ts): this client's next requests go to that target, on that
 * connection, while its pool would be chosen anyway or nothing else says who the visitor is. When it is gone, a request goes on
 * another one like anybody's, to be asked to log in anew.
 */
import type { ErrorCode } from '../../errors.ts'
import type { ShedReason } from '../../metrics/counters.ts'
import { FIELD } from '../../metrics/layout.ts'
import type { Decision, ServiceTable, TargetTable } from '../../table/types.ts'
import type { Plane } from '../plane.ts'
import { Ties } from '../upstream/ties.ts'
import type { Upstream, UpstreamUser } from '../upstream/upstream.ts'
import { type AttemptOutcome, attemptOutcome } from './attempt-outcome.ts'
import type { Downstream } from './downstream.ts'
import { Judged } from './judged.ts'
import { type Occasion, Placement } from './placement.ts'
import type { ExchangeRequest } from './request.ts'
import { Retries } from './retries.ts'

export class Attempts {
  /** The last that had a target, else the last. */
  decision: Decision | null = null
  /** The target that the request is in flight at, or null. */
  target: TargetTable | null = null
  readonly placement: Placement
  readonly retries = new Retries()
  /** When the present attempt began. */
  startedMs = 0
  /** An attempt has begun and was not judged yet. */
  #underWay = false
  /** It is on a connection that was opened for it. */
  isFresh = false
  /** The connection that the request was given last. */
  #used: Upstream | null = null
  /** The request brings credentials that log a connection in, and whether it goes on one that is tied. */
  #logsIn = false
  #isTied = false
  readonly judged: Judged
  /** Targets that were decided for. */
  #chosen = 0
  /** The cap by which the target has no room. */
  #full: ShedReason = 'target_connections'
  readonly #plane: Plane
  readonly #downstream: Downstream
  readonly #request: ExchangeRequest

  constructor(plane: Plane, downstream: Downstream, request: ExchangeRequest) {
    this.#plane = plane
    this.#downstream = downstream
    this.#request = request
    this.placement = new Placement(plane, downstream)
    this.judged = new Judged(plane.trials)
  }

  /** Begins with a request; what `end` lets go of is not there. */
  reset(): void {
    this.#plane.admission.note(this.#downstream.cell, 1)
    // For what is refused before it is decided, so that its log line is not that of the request before.
    this.placement.begin()
    this.retries.reset()
    this.#chosen = 0
    this.judged.forget()
  }

  /** The service of a request that has a target. */
  get service(): ServiceTable {
    return this.decision!.service!
  }

  /** The target is the first that was decided for. */
  get isFirst(): boolean {
    return this.#chosen === 1
  }

  /** The pool is seen as it is. */
  get isPreview(): boolean {
    return this.decision?.reason === 'preview'
  }

  /** It brings a step of a login that was begun on its connection, and that means nothing on any other. */
  get isLoginStep(): boolean {
    return this.#logsIn && this.#isTied
  }

  /** What the target fails, others answer. */
  get isRescued(): boolean {
    return this.target?.isRescued === true && !this.isPreview
  }

  /** Decides the request in `plane.requestHead`. False when there is no target; `placement` says why, and whether there will be one. */
  choose(occasion: Occasion): boolean {
    this.#logsIn = this.#plane.requestHead.bindsConnection
    const decision = this.placement.find(this.retries, occasion)
    const { samples } = this.#plane
    if (this.decision === null) samples.note(decision.service, this.placement.address, this.#downstream.trusted)
    this.retries.avoid = null
    if (decision.target === null && this.#chosen > 0) return false
    this.decision = decision
    if (decision.target === null) return false
    if (this.target !== null) this.#leave(this.target)
    this.target = decision.target
    if (++this.#chosen === 1) this.#begin(decision)
    this.retries.isLetIn = true
    this.count(FIELD.inFlight)
    this.#request.chosen(this.#plane, this.#downstream, this)
    return true
  }

  /** Decides again, without the targets that failed. */
  chooseAgain(occasion: Occasion): boolean {
    this.#plane.requestHead.parse(this.#request.headText)
    return this.choose(occasion)
  }

  /** The first decision of a request that has a target. */
  #begin(decision: Decision): void {
    this.#plane.targets.retryBudgetOf(this.service.slot).note(this.#plane.time.nowMs)
    this.#plane.counters.countDecided(decision.target!.slot, decision.visitorHash)
    this.judged.begin(decision)
  }

  #leave({ slot }: TargetTable): void {
    const { counters } = this.#plane
    counters.count(slot, FIELD.inFlight, -1)
    const reason = this.retries.takeReason()
    if (reason >= 0) counters.count(slot, reason)
  }

  /** The request waits, and is at no target meanwhile. */
  stepAside(): void {
    if (this.target !== null) this.#leave(this.target)
    this.target = null
  }

  /** An idle connection to the target, unless `fresh` is asked for or none is fit; null to open one. */
  takeIdle(fresh: boolean): Upstream | null {
    const connections = this.#plane.targets.connectionsOf(this.target!)
    const tied = fresh ? null : (this.#downstream.ties?.to(connections) ?? null)
    const kept = tied === null ? null : connections.takeBound(tied)
    const idle = fresh ? null : (kept ?? connections.takeIdle(this.#request.repeatable))
    this.#isTied = kept !== null
    this.isFresh = idle === null
    this.startedMs = this.#plane.time.nowMs
    this.judged.asked(this.target!, this.startedMs, idle !== null)
    if (idle !== null) this.retries.sent()
    return this.#using(idle)
  }

  /** The connection is open. */
  connected(): void {
    this.retries.sent()
    this.judged.connected(this.startedMs, this.#plane.time.nowMs)
  }

  #using(connection: Upstream | null): Upstream | null {
    this.#used = connection
    if (connection === null) return null
    this.#underWay = true
    this.count(FIELD.attemptsStarted)
    if (this.#logsIn) connection.bind()
    return connection
  }

  /**
   * Opens a connection; null when the target has as many as it may. The last quarter of them is not for addresses that have
   * a good part of them already: whoever holds requests in a target's hands does not shut it for all others.
   */
  open(user: UpstreamUser): Upstream | null {
    const { admission, limits } = this.#plane
    const connections = this.#plane.targets.connectionsOf(this.target!)
    const crowds =
      connections.isCrowded && admission.isCrowding(this.#downstream.cell, limits.upstreamConnectionsMax / 16)
    this.#full = crowds ? 'target_connections_per_address' : 'target_connections'
    return this.#using(crowds ? null : connections.open(user))
  }

  /** The attempt is over, if there is one that was not judged yet: counts what it says of the target (attempt-outcome.ts). */
  judge(status: number, broke: ErrorCode | null): AttemptOutcome {
    const outcome = attemptOutcome(status, broke)
    const connected = broke !== 'upstream_connect_failed'
    const { counters, latencies, time } = this.#plane
    if (this.#underWay) counters.countAttempt(this.target!.slot, outcome, connected)
    this.judged.end(this.decision!, status, broke)
    if (this.#underWay && outcome === 'failed')
      latencies.failed(this.service, this.target!, time.nowMs - this.startedMs)
    this.#underWay = false
    return outcome
  }

  /** There is no answer yet. False when nobody judges it. */
  noteSlow(): boolean {
    if (!this.judged.isJudged) return false
    this.judged.noteSlow(this.service, this.#plane.time.nowMs)
    return true
  }

  /** Notes that the target has no room. True, once, when another of its pool may have some; else the request is at none now. */
  mayMove(): boolean {
    this.placement.giveBack()
    if (this.retries.full(this.target!)) return true
    this.count(FIELD.inFlight, -1)
    this.target = null
    this.#plane.counters.countShed(this.#full)
    this.noteUnrescued()
    return false
  }

  /** Nobody had room for it in time, for which a new version answers that has failed it before. */
  noteUnrescued(): void {
    if (!this.isPreview) this.judged.noteUnrescued(this.service, this.retries.exclude)
  }

  /** The request is over: lets go of the decision, so that an idle connection keeps no table alive. */
  end(): void {
    const used = this.#used
    this.#used = null
    if (used?.isBound && !used.isGone) {
      this.#downstream.ties ??= new Ties()
      this.#downstream.ties.add(used)
    }
    this.#plane.admission.note(this.#downstream.cell, -1)
    this.placement.giveBack()
    this.decision = null
    this.target = null
    this.placement.reset()
    this.retries.giveBackUnsent()
    this.retries.forget()
  }

  /** Adds to a counter of the target. */
  count(field: number, by = 1): void {
    if (this.target !== null) this.#plane.counters.count(this.target.slot, field, by)
  }
}
