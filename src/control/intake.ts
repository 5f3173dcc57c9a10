/**
 * Taking in what was seen, at one look: observations, and new addresses of hosts. A service that cannot be served with them, since its
 * addresses are more than there are slots, stays as it was and keeps back no other one.
 */
import { own, withEntries } from '../config/record.ts'
import { servicesAt } from '../names/target-hosts.ts'
import type { NewEvent } from './events.ts'
import { type AddressesOf, applyObservations } from './observe.ts'
import type { Content } from './reconcile.ts'
import type { Seen } from './sightings.ts'

/** The services that were refused, each with its fault. */
export type Refused = ReadonlyMap<string, unknown>

export interface IntakeDeps {
  readonly addressesOf: AddressesOf
  content(): Content
  /** Serves these services as in this content. Rejects where that cannot be, and has changed nothing then. */
  serve(content: Content, names: readonly string[]): Promise<void>
  publish(event: NewEvent): void
}

/** Takes in what was seen, of all services at once or, where that is refused, of each alone. */
export async function takeIn({ observations, hosts, services: again }: Seen, deps: IntakeDeps): Promise<Refused> {
  const content = deps.content()
  const { observed, services, events } = applyObservations(content, observations, deps.addressesOf)
  const due = Object.keys(content.services).filter((name) => again.has(name))
  const names = [...new Set([...services, ...servicesAt(content.services, hosts), ...due])]
  const take = async (some: readonly string[]): Promise<void> => {
    const present = deps.content()
    await deps.serve({ ...present, observed: seenOf(some, present.observed, observed) }, some)
    for (const event of events) if (some.includes(event.service!)) deps.publish(event)
  }
  const refused = new Map<string, unknown>()
  if (names.length === 0) return refused
  const fault: unknown = await take(names).then(
    () => null,
    (error: unknown) => error,
  )
  if (fault === null) return refused
  if (names.length === 1) return refused.set(names[0], fault)
  for (const name of names) await take([name]).catch((error: unknown) => refused.set(name, error))
  return refused
}

/** What was seen before, and of these services what was seen now; the very same record where that is nothing new. */
function seenOf(names: readonly string[], before: Content['observed'], now: Content['observed']): Content['observed'] {
  const fresh = names.filter((name) => own(now, name) !== own(before, name))
  return fresh.length === 0
    ? before
    : withEntries(
        before,
        fresh.map((name) => [name, own(now, name)]),
      )
}
