/**
 * Taking in what was seen, at one look: observations, and new addresses of hosts. A service that cannot be served with them, since its
 * addresses are more than there are slots, stays as it was and keeps back no other one, and costs the others nothing once that is known.
 */
import { own, withEntries } from '../config/record.ts'
import type { Services } from '../config/schema.ts'
import { hostsOfService, servicesAt } from '../names/target-hosts.ts'
import type { NewEvent } from './events.ts'
import { type AddressesOf, applyObservations } from './observe.ts'
import type { Content } from './reconcile.ts'
import type { Seen } from './sightings.ts'

/** What was refused, each with its fault. */
export interface Refused {
  readonly services: ReadonlyMap<string, unknown>
  /** Hosts that have moved and are those of such a service. */
  readonly hosts: ReadonlyMap<string, unknown>
}

export interface IntakeDeps {
  readonly addressesOf: AddressesOf
  content(): Content
  /** Serves these services as in this content. Rejects where that cannot be, and has changed nothing then. */
  serve(content: Content, names: readonly string[]): Promise<void>
  publish(event: NewEvent): void
}

/**
 * Takes in what was seen, of all services at once: what workers have to be told of is one step. A service that was refused before is tried by
 * itself. When all at once are refused, so is each of them, which finds the one that is to blame.
 */
export async function takeIn(
  { observations, hosts, services: again, refused: before }: Seen,
  deps: IntakeDeps,
): Promise<Refused> {
  const content = deps.content()
  const { observed, services, events } = applyObservations(content, observations, deps.addressesOf)
  const due = Object.keys(content.services).filter((name) => again.has(name))
  const names = [...new Set([...services, ...servicesAt(content.services, hosts), ...due])]
  const take = async (some: readonly string[]): Promise<void> => {
    const present = deps.content()
    await deps.serve({ ...present, observed: seenOf(some, present.observed, observed) }, some)
    for (const event of events) if (some.includes(event.service!)) deps.publish(event)
  }
  const others = names.filter((name) => !before.has(name))
  const areTaken =
    others.length > 1 &&
    (await take(others).then(
      () => true,
      () => false,
    ))
  const refused = new Map<string, unknown>()
  for (const name of areTaken ? names.filter((name) => before.has(name)) : names) {
    await take([name]).catch((error: unknown) => refused.set(name, error))
  }
  return { services: refused, hosts: hostsOfRefused(refused, hosts, content.services) }
}

function hostsOfRefused(
  refused: Refused['services'],
  hosts: ReadonlySet<string>,
  services: Services,
): Refused['hosts'] {
  const found = new Map<string, unknown>()
  for (const [name, fault] of refused) {
    for (const host of hostsOfService(services[name]).intersection(hosts)) found.set(host, fault)
  }
  return found
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
