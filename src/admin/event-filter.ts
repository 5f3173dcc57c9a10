/**
 * Which events somebody wants: those of a service, of some kinds, or not older than some time. What concerns several services is of each,
 * and what an instance took over from another, which may be of any, is of all.
 */
import type { Static } from 'typebox'
import type { ControlEvent } from '../change.ts'
import { durationMs } from '../config/duration.ts'
import { EVENT_TYPES, servicesOfEvent } from '../config/event-types.ts'
import { serviceNamed } from '../config/named.ts'
import { DURATION_PATTERN, NAME_PATTERN } from '../config/schema-parts.ts'
import { Type } from '../config/type.ts'
import type { AdminDeps } from './deps.ts'

const ONE = `(?:${EVENT_TYPES.join('|')})`

/** As it stands in the query. */
export const EventFilter = {
  service: Type.Optional(Type.String({ pattern: NAME_PATTERN, description: 'Only events of this service.' })),
  type: Type.Optional(
    Type.String({
      pattern: `^${ONE}(?:,${ONE})*$`,
      title: `kinds of events with commas between them (${EVENT_TYPES.join(', ')})`,
      description: 'Only events of these kinds, with commas between them.',
    }),
  ),
  since: Type.Optional(
    Type.String({
      pattern: DURATION_PATTERN,
      title: 'a duration such as 10m or 1h',
      description: 'Begin with what is no older than this; without effect where Last-Event-ID says where to begin.',
    }),
  ),
}

type Wanted = { readonly [Key in keyof typeof EventFilter]: Static<(typeof EventFilter)[Key]> | undefined }

/** Whether an event is wanted, whenever it was. Throws `not_found` for a service that there is not, and of which nothing is told. */
export function filterOf(
  { service, type }: Partial<Wanted>,
  { control }: Pick<AdminDeps, 'control'>,
): (event: ControlEvent) => boolean {
  const types = type === undefined ? null : new Set<string>(type.split(','))
  const isWanted = (event: ControlEvent): boolean =>
    (types === null || types.has(event.type)) && (service === undefined || concerns(event, service))
  if (service !== undefined && !control.events().some((event) => servicesOfEvent(event)?.includes(service))) {
    serviceNamed(control.snapshot().services, service)
  }
  return isWanted
}

/** Wall time in ms before which nothing is wanted. */
export const sinceMsOf = ({ since }: Partial<Wanted>, nowMs: number): number =>
  since === undefined ? 0 : nowMs - durationMs(since)

function concerns(event: ControlEvent, service: string): boolean {
  const names = servicesOfEvent(event)
  return names === null || names.includes(service)
}
