/** Earlier revisions, out of the store: for people, and to be made the present one again. */
import type { Revision } from '../change.ts'
import { completeService } from '../config/check.ts'
import { mapEntries } from '../config/record.ts'
import { TurnoutError } from '../errors.ts'
import type { Store, StoredContent } from '../store/store.ts'
import { intentMovedBy } from '../table/deadlines.ts'
import type { Content } from './reconcile.ts'
import { completed } from './stored.ts'

/** A revision for people, or null: with the defaults of now, and what cannot be served any more as it was stored. */
export async function shownRevision(store: Pick<Store, 'revision'>, revision: number): Promise<Revision | null> {
  const found = await store.revision(revision)
  if (found === null) return null
  const services = mapEntries<StoredContent, unknown>(found.services, ({ spec }) => {
    const checked = completeService(spec)
    return 'spec' in checked ? checked.spec : spec
  })
  return { ...found, services }
}

/**
 * A revision as it can be made the present one, with deadlines in steady time. Rejects with `not_found`, and with `invalid` when a
 * service of it cannot be served any more; one that is left out at present stays so.
 */
export async function restorable(
  store: Pick<Store, 'revision'>,
  revision: number,
  { releases, leftOut: present }: Content,
  shiftMs: number,
): Promise<Pick<Content, 'services' | 'intents'>> {
  const found = await store.revision(revision)
  if (found === null) {
    throw new TurnoutError('not_found', `There is no revision ${revision}, or it is no longer kept.`)
  }
  const { leftOut, services, intents } = completed(found.services, releases)
  const faults = [...leftOut].flatMap(([name, { faults }]) =>
    present.includes(name) ? [] : faults.map((fault) => ({ ...fault, pointer: `/${name}${fault.pointer}` })),
  )
  if (faults.length > 0) throw new TurnoutError('invalid', `Revision ${revision} cannot be served any more.`, faults)
  return { services, intents: mapEntries(intents, (intent) => intentMovedBy(intent, -shiftMs)) }
}
