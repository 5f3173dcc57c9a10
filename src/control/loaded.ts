/**
 * A document as it was read: the present one at a start, or what another process has made of it since. Then only the services that
 * were written since are in it, and the others are taken from what is there, as they are. Pure.
 */

import { equalJson, mapEntries, own } from '../config/record.ts'
import type { ServiceSpec } from '../config/schema.ts'
import type { Position, StoredContent, StoredDocument } from '../store/store.ts'
import { intentMovedBy } from '../table/deadlines.ts'
import type { Owing } from './owed.ts'
import type { Content } from './reconcile.ts'
import { completed } from './stored.ts'

/** A document with what belongs to it. */
export interface Loaded {
  readonly content: Content
  readonly position: Position
  /** The revision that changed each service last. */
  readonly revisions: Readonly<Record<string, number>>
  /** What stands in the store otherwise than in the content: what is left out, and what was mended. */
  readonly raw: ReadonlyMap<string, StoredContent>
  readonly notes: readonly string[]
  /** What was changed here before, and is made again of what others have written. */
  readonly again: readonly Owing[]
}

/** What comes of a document over what is there; `shiftMs` is what steady time lacks to be wall time (clock.ts). */
export function loadedFrom(
  { services: stored, unchanged, position, releaseLast }: StoredDocument,
  present: Pick<Loaded, 'content' | 'revisions' | 'raw'>,
  shiftMs: number,
): Omit<Loaded, 'again'> {
  const still = new Set(unchanged)
  const only = <T>(entries: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(Object.entries(entries).filter(([name]) => still.has(name)))
  const { content } = present
  const others = only(content.services)
  const releases = { ...content.releases, last: Math.max(content.releases.last, releaseLast) }
  const found = completed(stored, releases, others)
  const services = { ...others, ...found.services }
  const raw = new Map([...present.raw].filter(([name]) => still.has(name)))
  for (const [name, its] of found.mended) raw.set(name, its)
  for (const [name, its] of found.leftOut) raw.set(name, its.stored)
  return {
    content: {
      ...content,
      services,
      intents: { ...only(content.intents), ...mapEntries(found.intents, (intent) => intentMovedBy(intent, -shiftMs)) },
      releases: found.releases,
      leftOut: [...raw.keys()].filter((name) => !Object.hasOwn(services, name)),
    },
    position,
    revisions: { ...only(present.revisions), ...mapEntries(found.services, (_spec, name) => stored[name].revision) },
    raw,
    notes: found.notes,
  }
}

/** A whole document, with those of these services as unchanged that it has at the same revision as is served. */
export function besides(
  document: StoredDocument,
  names: readonly string[],
  revisions: Loaded['revisions'],
): StoredDocument {
  const unchanged = names.filter((name) => own(document.services, name)?.revision === own(revisions, name))
  const services = Object.entries(document.services).filter(([name]) => !unchanged.includes(name))
  return { ...document, services: Object.fromEntries(services), unchanged }
}

/**
 * The content with the old objects where the new ones say the same, so that only what changed is sent to the workers. Of a spec it is the same
 * text, with its keys in the same order: people compare what two instances tell.
 */
export function keepingEqual(old: Content, now: Content): Content {
  return {
    ...now,
    services: mapEntries(now.services, (spec, name) => sameOr(own(old.services, name), spec)),
    intents: mapEntries(now.intents, (intent, name) => equalOr(own(old.intents, name), intent)),
  }
}

const equalOr = <T>(old: T | undefined, now: T): T => (old !== undefined && equalJson(old, now) ? old : now)

function sameOr(old: ServiceSpec | undefined, now: ServiceSpec): ServiceSpec {
  return old !== undefined && (old === now || JSON.stringify(old) === JSON.stringify(now)) ? old : now
}
