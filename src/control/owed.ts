/**
 * What every worker has before the store, such as a way back or a release while the store is away: the changes, in the order in which they were made.
 *
 * Each is to have its own line and revision in the store, with its services as they were served after it alone. That is how the next one of the
 * same service has found it, so each is remembered with the services as they were before it; and they are stored in this order.
 */
import type { Change, ChangeOptions } from '../change.ts'
import { equalJson, own, withEntries } from '../config/record.ts'
import { TurnoutError } from '../errors.ts'
import { released } from './holding.ts'
import { maintained } from './maintaining.ts'
import type { Content } from './reconcile.ts'

/** Changes that are told apart; whatever comes then takes the place of the last one, with what that has changed. */
const APART_MAX = 100

type Served = Pick<Content, 'services' | 'intents'>

export interface Owing {
  readonly change: Change
  /** Who has asked for it; null where another process stores it. */
  readonly asked: Pick<ChangeOptions, 'actor' | 'force'> | null
  /** The services of which it is not stored yet. */
  readonly names: readonly string[]
  /** These as they were served before it. */
  readonly before: Served
}

export class Owed {
  #all: readonly Owing[] = []

  /** Says that these services are served otherwise than they were by such a change. */
  add(change: Change, asked: Owing['asked'], names: readonly string[], present: Served): void {
    const last = this.#all.at(-1)
    const isOne = last !== undefined && (last.change === change || this.#all.length === APART_MAX)
    const others: Pick<Owing, 'names' | 'before'> = isOne ? last : { names: [], before: { services: {}, intents: {} } }
    const more = names.filter((name) => !others.names.includes(name))
    const owing = {
      change,
      // What else was asked with it, such as until when, is over.
      asked: asked && { actor: asked.actor, force: asked.force === true },
      names: [...others.names, ...more],
      before: withServices(others.before, more, () => present),
    }
    this.#all = [...(isOne ? this.#all.slice(0, -1) : this.#all), owing]
  }

  /** The services that are served otherwise than they are stored. */
  get names(): readonly string[] {
    return [...new Set(this.#all.flatMap(({ names }) => names))]
  }

  has(name: string): boolean {
    return this.#all.some(({ names }) => names.includes(name))
  }

  /** Whether a rollout has made any of it. */
  isOfRollout(name: string): boolean {
    return this.#all.some(({ change, names }) => change.kind === 'shift' && names.includes(name))
  }

  /** The first that can be stored from here while nothing of these services can; null where there is none. */
  first(stuck: ReadonlySet<string> = new Set()): Owing | null {
    const names = new Set(stuck)
    for (const owing of this.#all) {
      if (owing.asked !== null && !owing.names.some((name) => names.has(name))) return owing
      for (const name of owing.names) names.add(name)
    }
    return null
  }

  /** This change, which was made of these services last, or was asked for again; null where another one was. */
  of(change: Change, touched: readonly string[]): Owing | null {
    const last = this.#all.findLast(({ names }) => names.some((name) => touched.includes(name)))
    return last !== undefined && equalJson(last.change, change) ? last : null
  }

  /** The first that is to be stored before a change of these services, or before the line of a rollout that has shifted one; null where none is. */
  firstBefore(change: Change, touched: readonly string[]): Owing | null {
    const own = this.of(change, touched)
    const isShifted =
      change.kind === 'rollout' &&
      this.#all.some(({ change: its }) => its.kind === 'shift' && its.rollout === change.rollout)
    const names = new Set(isShifted ? [change.service] : touched)
    let first: Owing | null = null
    for (const owing of this.#all.toReversed()) {
      if (!owing.names.some((name) => names.has(name))) continue
      // One of several services comes after whatever is owed of any of them.
      for (const name of owing.names) names.add(name)
      if (owing !== own && owing.asked !== null) first = owing
    }
    return first
  }

  /** What is served, but for what later ones have made of its services. */
  asMade(owing: Owing, content: Content): Content {
    const later = this.#all.slice(this.#all.indexOf(owing) + 1)
    const next = (name: string) => later.find(({ names }) => names.includes(name))?.before ?? content
    return { ...content, ...withServices(content, owing.names, next) }
  }

  /** These services are stored, and so is all that is owed of them; of those of `made` alone what that has made of them. */
  stored(all: ReadonlySet<string>, made: Owing | null): void {
    this.#keep((name, owing) => owing !== made && (!all.has(name) || made?.names.includes(name) === true))
  }

  /** What is owed of other services is given up. */
  only(isOwed: (name: string) => boolean): void {
    this.#keep(isOwed)
  }

  /**
   * What others have written, with what people have changed of that here before made again, as if it had come a moment later: they were told that it is
   * stored by itself. `isOwed` tells of which services all goes on to be owed; `again` is to be owed once more, in its order.
   */
  remade(found: Content, isOwed: (name: string) => boolean, nowMs: number): { content: Content; again: Owing[] } {
    let content = found
    const again: Owing[] = []
    for (const owing of this.#all) {
      if (owing.asked === null || owing.names.every(isOwed)) continue
      const before = content
      content = madeAgain(owing, before, nowMs)
      const names = owing.names.filter((name) => own(before.intents, name) !== own(content.intents, name))
      if (names.length > 0) again.push({ ...owing, names, before })
    }
    return { content, again }
  }

  #keep(isOwed: (name: string, owing: Owing) => boolean): void {
    this.#all = this.#all.flatMap((owing) => {
      const names = owing.names.filter((name) => isOwed(name, owing))
      return names.length === 0 ? [] : [names.length === owing.names.length ? owing : { ...owing, names }]
    })
  }

  /** Throws `store_unavailable` when one of these services is to be stored first as it is served. */
  assertNone(names: readonly string[]): void {
    const name = names.find((each) => this.has(each))
    if (name === undefined) return
    throw new TurnoutError('store_unavailable', `${notStored(name)} Until then nothing else of it is changed.`)
  }
}

/** Says that of this service what is served was not stored, whatever has changed it. */
export const notStored = (service: string): string =>
  `What is served of ${service} is not stored yet, since the store was away: it is by itself as soon as the store can be written.`

/** Two times at which maintenance began are one: as they are stored they may differ by a fraction. */
const SAME_MS = 1_000

/**
 * With it made again: but not the release of a hold, or the end of a maintenance, that somebody has asked for since, nor a shift, which is for
 * whoever drives its rollout now.
 */
function madeAgain({ change, before }: Owing, content: Content, nowMs: number): Content {
  const pair = (name: string) => [own(content.intents, name), own(before.intents, name)] as const
  if (change.kind === 'release') {
    const isThat = (name: string) => {
      const [is, was] = pair(name)
      return is?.hold !== undefined && is.hold.id === was?.hold?.id
    }
    return released(content, { ...change, services: change.services.filter(isThat) })
  }
  if (change.kind !== 'maintenance') return content
  const [is, was] = pair(change.service)
  if (is === undefined) return content
  const sinceMs = is.maintenance?.sinceMs ?? nowMs
  const isThat = change.on || Math.abs(sinceMs - (was?.maintenance?.sinceMs ?? sinceMs)) < SAME_MS
  return isThat ? maintained(content, change, nowMs) : content
}

/** With these services as each is there. */
function withServices(served: Served, names: readonly string[], there: (name: string) => Served): Served {
  return {
    services: withEntries(
      served.services,
      names.map((name) => [name, there(name).services[name]]),
    ),
    intents: withEntries(
      served.intents,
      names.map((name) => [name, there(name).intents[name]]),
    ),
  }
}
