/**
 * What of the content goes into the store: of the document, and of what was seen. Pure. Deadlines are steady time here and wall time there, since
 * the next process reads them by the clock on the wall.
 */
import { own } from '../config/record.ts'
import type { Commit, StoredContent, WrittenService } from '../store/store.ts'
import { intentMovedBy, observedMovedBy } from '../table/deadlines.ts'
import type { ServiceObserved } from '../table/status.ts'
import type { Content } from './reconcile.ts'
import { packed } from './stored.ts'

/** A service as it is written, or null; `same` has its intent already. */
export function written(
  content: Pick<Content, 'services' | 'intents'>,
  name: string,
  shiftMs: number,
  same: WrittenService | null = null,
): WrittenService | null {
  const [spec, intent] = [own(content.services, name), own(content.intents, name)]
  if (spec === undefined || intent === undefined) return null
  return { spec, intent: same?.intent ?? packed(intentMovedBy(intent, shiftMs)) }
}

/** The content with what steady time lacks or lacked to be wall time, in ms. */
type Shifted = Pick<Content, 'services' | 'intents'> & { readonly shiftMs: number }

/** What is written of these services; `raw` is what stands in the store otherwise than in `before`. */
export function rewritten(
  before: Shifted,
  after: Shifted,
  names: Iterable<string>,
  raw: ReadonlyMap<string, StoredContent>,
): Commit['services'] {
  const entries = [...names].map((name) => {
    const was = written(before, name, before.shiftMs)
    const isSame = before.shiftMs === after.shiftMs && before.intents[name] === after.intents[name]
    return [name, { before: raw.get(name) ?? was, after: written(after, name, after.shiftMs, isSame ? was : null) }]
  })
  return Object.fromEntries(entries)
}

/** What is saved of what was seen of these services; null for one of which nothing is to be kept. */
export function writtenObserved(
  observed: Content['observed'],
  names: Iterable<string>,
  shiftMs: number,
): Record<string, ServiceObserved | null> {
  const entries = [...names].map((name) => {
    const seen = own(observed, name)
    return [name, seen === undefined ? null : observedMovedBy(seen, shiftMs)]
  })
  return Object.fromEntries(entries)
}

/** The services that have a deadline, or a beginning that is told. */
export const withDeadline = (content: Content): string[] =>
  Object.keys(content.services).filter((name) => hasDeadline(content, name))

function hasDeadline({ intents }: Content, name: string): boolean {
  const { hold, maintenance, undone, pools } = intents[name]
  if (hold !== undefined || maintenance !== undefined || undone !== undefined) return true
  return Object.values(pools).some(
    ({ drainUntilMs, keptUntilMs = 0, targets }) =>
      drainUntilMs > 0 || keptUntilMs > 0 || Object.values(targets).some((target) => target.drainUntilMs > 0),
  )
}
