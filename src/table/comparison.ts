/**
 * Two tables of a service over the same requests: who is caught by which rule, and who would move from which pool to which.
 *
 * Pure: it is given pairs of decisions, the one by what is so now and the one by what is proposed, and adds them up. Each stands for a
 * number of requests, its weight. Compared is the pool that is aimed at, so what people choose; who would answer when that has no
 * target that can is told beside it.
 *
 * Requests without a visitor key go by turns, so nobody in particular moves: they count for the shares, and not as moved. Visitors are
 * counted once each, and only those that were seen. A visitor moves forward when that is to a pool that wins visitors from one that
 * loses some: so a plain shift of weights moves everybody forward, and who would be sent against the stream is seen.
 */
import { markCandidates } from './condition-index.ts'
import { type RuleTable, ruleMatches } from './rules.ts'
import type { Decision, RequestView, ServiceTable } from './types.ts'

/** A rule of what is proposed, in requests. */
export interface RuleCount {
  readonly name: string
  readonly to: string | null
  readonly deny: string | null
  /** All of its conditions hold. */
  matched: number
  /** It decides, or keeps from its pool. */
  caught: number
  /** Of those that match, what an earlier rule decides. */
  readonly shadowedBy: Map<string, number>
  /** What the rule of the same name decides now. */
  before: number
}

/** What one side makes of a pool, in requests. */
export interface PoolCount {
  requests: number
  /** Of these, those that another pool would answer, or nobody, since no target of it can just now. */
  elsewhere: number
}

/** Who moves from one pool to another; null is none. */
export interface Move {
  readonly from: string | null
  readonly to: string | null
  requests: number
  visitors: number
}

type Side = 'now' | 'proposed'

interface Place {
  from: string | null
  to: string | null
}

export class Comparison {
  requests = 0
  /** Requests without a visitor key. */
  unknown = 0
  /** Requests that are sent to another URL by the link of the service. */
  redirected = 0
  readonly rules: readonly RuleCount[]
  /** What rules decide now that are not there any more, by name. */
  readonly gone = new Map<string, number>()
  readonly pools = new Map<string, Record<Side, PoolCount>>()
  /** Requests that no pool answers. */
  readonly nobody: Record<Side, number> = { now: 0, proposed: 0 }
  readonly #proposed: ServiceTable
  readonly #places: ReadonlyMap<string, number>
  readonly #visitors = new Map<string, Place>()
  readonly #moved = new Map<string, Move>()

  /** `proposed` is the service as it would be. */
  constructor(proposed: ServiceTable) {
    this.#proposed = proposed
    const { list } = proposed.rules
    this.rules = list.map(({ plan: { name, to, deny } }) => {
      return { name, to, deny, matched: 0, caught: 0, shadowedBy: new Map(), before: 0 }
    })
    this.#places = new Map(list.map(({ plan }, place) => [plan.name, place]))
    for (const { name } of proposed.pools) {
      this.pools.set(name, { now: { requests: 0, elsewhere: 0 }, proposed: { requests: 0, elsewhere: 0 } })
    }
  }

  /** Adds a request; `visitor` is who sends it, null for nobody in particular. */
  note(view: RequestView, weight: number, now: Decision, proposed: Decision, visitor: string | null): void {
    this.requests += weight
    if (visitor === null) this.unknown += weight
    if (now.redirect !== null || proposed.redirect !== null) {
      this.redirected += weight
      return
    }
    this.#notePool('now', weight, now)
    this.#notePool('proposed', weight, proposed)
    this.#noteRules(view, weight, now, proposed, visitor)
    const [from, to] = [now.aimed?.name ?? null, proposed.aimed?.name ?? null]
    const isByTurn = now.reason === 'picker' && proposed.reason === 'picker'
    if (from !== to && !isByTurn) this.#move(from, to).requests += weight
    if (visitor !== null) this.#noteVisitor(visitor, from, to)
  }

  #notePool(side: Side, weight: number, { aimed, pool }: Decision): void {
    if (pool === null) this.nobody[side] += weight
    const count = aimed === null ? undefined : this.pools.get(aimed.name)
    if (count === undefined) return
    count[side].requests += weight
    if (pool?.name !== aimed?.name) count[side].elsewhere += weight
  }

  #noteRules(view: RequestView, weight: number, now: Decision, proposed: Decision, visitor: string | null): void {
    if (now.rule !== null) {
      const place = this.#places.get(now.rule)
      if (place === undefined) this.gone.set(now.rule, (this.gone.get(now.rule) ?? 0) + weight)
      else this.rules[place].before += weight
    }
    // On a preview host nobody looks at rules.
    if (proposed.reason === 'preview') return
    const deciding = proposed.rule === null ? Infinity : this.#places.get(proposed.rule)!
    const { list, index } = this.#proposed.rules
    if (index === null)
      for (let at = 0; at < list.length; at++) this.#noteRule(list, at, view, weight, deciding, visitor)
    else {
      const marks = markCandidates(index, view, visitor)
      for (let at = marks.take(); at !== -1; at = marks.take())
        this.#noteRule(list, at, view, weight, deciding, visitor)
    }
  }

  #noteRule(
    list: readonly RuleTable[],
    at: number,
    view: RequestView,
    weight: number,
    deciding: number,
    visitor: string | null,
  ): void {
    if (!ruleMatches(list[at], view, visitor)) return
    const count = this.rules[at]
    count.matched += weight
    if (at === deciding || (at < deciding && count.deny !== null)) count.caught += weight
    else if (at > deciding) {
      const { name } = list[deciding].plan
      count.shadowedBy.set(name, (count.shadowedBy.get(name) ?? 0) + weight)
    }
  }

  /** One that is sent here and there by rules moves where one of its requests does. */
  #noteVisitor(visitor: string, from: string | null, to: string | null): void {
    const place = this.#visitors.get(visitor)
    if (place === undefined) this.#visitors.set(visitor, { from, to })
    else if (place.from === place.to && from !== to) {
      place.from = from
      place.to = to
    }
  }

  #move(from: string | null, to: string | null): Move {
    const key = JSON.stringify([from, to])
    const move = this.#moved.get(key) ?? { from, to, requests: 0, visitors: 0 }
    this.#moved.set(key, move)
    return move
  }

  /** Who moves: the most visitors first. To be asked once, at the end. */
  moves(): { readonly moves: readonly Move[]; readonly visitors: VisitorCount } {
    const gains = new Map<string | null, number>()
    const gain = (pool: string | null, by: number) => gains.set(pool, (gains.get(pool) ?? 0) + by)
    for (const { from, to } of this.#visitors.values()) {
      if (from === to) continue
      this.#move(from, to).visitors++
      gain(from, -1)
      gain(to, 1)
    }
    const moves = [...this.#moved.values()].sort((a, b) => b.visitors - a.visitors || b.requests - a.requests)
    const visitors = { seen: this.#visitors.size, move: 0, forward: 0, backward: 0 }
    for (const move of moves) {
      const isForward = move.to !== null && gains.get(move.to)! > 0 && gains.get(move.from)! < 0
      visitors.move += move.visitors
      if (isForward) visitors.forward += move.visitors
      else visitors.backward += move.visitors
    }
    return { moves, visitors }
  }
}

/** Visitors that were seen, and those of them that would move. */
export interface VisitorCount {
  readonly seen: number
  readonly move: number
  readonly forward: number
  readonly backward: number
}
