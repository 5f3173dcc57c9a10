/**
 * The part of the content that a change may touch (touched.ts): it is made there, however many steps it takes, and brought back at once. So a
 * record of all services is copied once for a change, not once for each step and each service of it. Pure.
 */
import { own, withEntries } from '../config/record.ts'
import type { Content } from './reconcile.ts'

type Entries<T> = Readonly<Record<string, T>>

/** The content with no services but these; what belongs to none is as it is. */
export function partOf(content: Content, names: readonly string[]): Content {
  const only = <T>(entries: Entries<T>) =>
    withEntries(
      {},
      names.map((name) => [name, own(entries, name)]),
    )
  return { ...content, services: only(content.services), intents: only(content.intents) }
}

/** The content of which a part was `before` and is `after`; the same object when they are the same. */
export function withPart(content: Content, before: Content, after: Content): Content {
  if (after === before) return content
  return {
    ...after,
    services: merged(content.services, before.services, after.services),
    intents: merged(content.intents, before.intents, after.intents),
  }
}

function merged<T>(all: Entries<T>, before: Entries<T>, after: Entries<T>): Entries<T> {
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  const changed = [...names].filter((name) => own(before, name) !== own(after, name))
  if (changed.length === 0) return all
  return withEntries(
    all,
    changed.map((name) => [name, own(after, name)]),
  )
}
