/**
 * The place that is found for a request: the decision, and where there is a limit the permit that goes with it.
 *
 * A permit is held from the decision until the target has done with the request: until its answer is complete or broken off, or a
 * connection to it was not to be had. It goes back before the request is decided again, but for one that is asked of another pool instead
 * of giving its answer: that one may have to be given after all. Else whoever reads the rest of that answer (leftover.ts) takes its permit along.
 *
 * For as long, a request that is not safe by its method counts as a write of its service, so that whoever holds them knows when none is
 * under way any more (control/quiet.ts). One that asks for a tunnel does not: nobody can wait for that to end.
 */
import type { ErrorCode } from '../../errors.ts'
import { decide } from '../../table/decide.ts'
import { isSafe } from '../../table/methods.ts'
import type { Decision, PoolTable, ServiceTable } from '../../table/types.ts'
import type { Plane } from '../plane.ts'
import type { Downstream } from './downstream.ts'
import type { Retries } from './retries.ts'

/** Why a request is decided: it is new or was held, and goes behind those who wait for room; or it has the turn for that. */
export type Occasion = 'new' | 'held' | 'room'

/** Times that a permit is asked for before a request waits: somebody else has taken it each time. */
const LOOKS_MAX = 3
const NO_PERMIT = -1
const NO_WRITE = -1

export class Placement {
  epoch = 0
  /** Address of the client, after trusted proxies. */
  address = ''
  /** The last decision, whether it has found a target or not. */
  decision: Decision | null = null
  /** It waits for those who were held before, and not by a hold of now. */
  isBehind = false
  /** Slot of the target whose permit the request holds. */
  #permit = NO_PERMIT
  /** The same of the target that it was taken from in the midst of an answer. */
  #former = NO_PERMIT
  /** Slot of the service that it is a write of. */
  #write = NO_WRITE
  readonly #plane: Plane
  readonly #downstream: Downstream

  constructor(plane: Plane, downstream: Downstream) {
    this.#plane = plane
    this.#downstream = downstream
  }

  /** Begins with a request. What is refused before it is decided must not have the log line of the request before. */
  begin(): void {
    this.epoch = this.#plane.tables.table.epoch
    this.address = this.#downstream.peer
  }

  /** The service of the last decision. */
  get service(): ServiceTable | null {
    return this.decision?.service ?? null
  }

  /** Why there is no target. */
  get refusal(): ErrorCode {
    return this.decision?.error ?? 'internal'
  }

  /** The pool that the request may wait for, which has no room; null when that is not what is missing. */
  get waitsFor(): PoolTable | null {
    return this.decision?.waitsFor ?? null
  }

  /** The request is to wait for something: room, or the end of a hold. */
  get waits(): boolean {
    return this.waitsFor !== null || this.refusal === 'held'
  }

  /** The cell of the client's own address, also where a trusted proxy tells it. */
  get clientCell(): number {
    const { peer, trusted } = this.#downstream
    return this.#plane.admission.cellOf(this.address, trusted && this.address === peer)
  }

  /** Decides the request in `plane.requestHead`, and takes the permit. */
  find(retries: Retries, occasion: Occasion): Decision {
    const { view, requestHead, trusted, holds } = this.#plane
    const { peer } = this.#downstream
    view.isTrusted = this.#downstream.trusted
    view.address = view.isTrusted ? trusted.clientOf(requestHead.fields, peer) : peer
    this.address = view.address
    let decision = this.#decide(retries)
    this.isBehind = holds.size > 0 && occasion === 'new' && mayGo(decision) && holds.isBehind(decision.service!, view)
    if (this.isBehind) {
      retries.waited = decision
      decision = withoutTurn(decision)
    }
    for (let looks = 1; decision.target !== null && decision.service!.capacity !== null; looks++) {
      const { target, service } = decision
      const isBehind = occasion !== 'room' && this.#plane.queues.isWaitedFor(service!, target.pool)
      if (!isBehind && this.#plane.permits.take(target, service!.capacity!)) {
        this.#former = this.#permit
        this.#permit = target.slot
        break
      }
      retries.waited = decision
      // Others take theirs at the same time.
      if (!isBehind && looks < LOOKS_MAX) decision = this.#decide(retries)
      else decision = withoutRoom(decision)
    }
    if (decision.target === null) {
      if (decision.waitsFor !== null) retries.waited = decision
    } else if (!isSafe(requestHead.method) && requestHead.upgrade === '') this.#noteWrite(decision.service!.slot)
    this.decision = decision
    return decision
  }

  #decide(retries: Retries): Decision {
    const { view, tables, load, time } = this.#plane
    const table = tables.current()
    this.epoch = table.epoch
    const tied = this.#downstream.ties?.targets()
    const decision = decide(view, table, load, tables.draw, time.steadyMs(), retries, tied)
    if (decision.fresh) retries.givenId = decision.visitor
    return decision
  }

  #noteWrite(slot: number): void {
    if (this.#write === slot) return
    this.#endWrite()
    this.#write = slot
    this.#plane.holds.countWrite(slot, 1)
  }

  #endWrite(): void {
    if (this.#write === NO_WRITE) return
    this.#plane.holds.countWrite(this.#write, -1)
    this.#write = NO_WRITE
  }

  /** The target has done with the request: its permit is for whoever is next. */
  giveBack(): void {
    this.#endWrite()
    const permit = this.#permit
    this.#permit = NO_PERMIT
    givePermit(this.#plane, permit)
  }

  /** Hands over the permit of the target that the request was taken from: to be given back once that has done with it, too. */
  takeFormer(waits: boolean): number {
    const permit = waits ? this.#permit : this.#former
    if (waits) this.#permit = NO_PERMIT
    this.#former = NO_PERMIT
    // Nothing of a write is anywhere while it waits.
    if (waits) this.#endWrite()
    return permit
  }

  /** The request is over: lets go of the table. */
  reset(): void {
    this.giveBack()
    this.decision = null
    this.address = ''
  }
}

/** Gives back a permit, by the slot of its target; below 0 there was none. */
export function givePermit({ permits, queues }: Pick<Plane, 'permits' | 'queues'>, slot: number): void {
  if (slot === NO_PERMIT) return
  permits.give(slot)
  queues.freed()
}

/** Whether nothing but those who came before keeps it: it is not held itself, and not to get the page of maintenance. */
const mayGo = ({ service, error }: Decision): boolean => service !== null && error !== 'held' && error !== 'maintenance'

/** Others were held before, and have not left yet. */
const withoutTurn = (decision: Decision): Decision => ({
  ...decision,
  target: null,
  pool: null,
  error: 'held',
  setCookie: null,
  redirect: null,
  waitsFor: null,
})

/** A decision for a target that has no room after all, or is for others first. */
function withoutRoom(decision: Decision): Decision {
  const waitsFor = decision.target!.pool
  return { ...decision, target: null, pool: null, error: 'overloaded', setCookie: null, waitsFor }
}
