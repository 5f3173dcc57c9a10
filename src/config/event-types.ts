/** The kinds of events there are, for who tells of them, who filters them and who asks. Pure. */
export const EVENT_TYPES = [
  'change',
  'file',
  'rollout',
  'health',
  'ejection',
  'drain',
  'hold',
  'name',
  'lookup',
  'worker',
  'store',
  'mirror',
  'upgrade',
  'shutdown',
] as const

/** Events that are kept for who asks later. */
export const EVENTS_KEPT = 1000

/** The kind of an event. */
export type EventType = (typeof EVENT_TYPES)[number]

/** The names of the services that an event is of; null where it may be any. */
export function servicesOfEvent(event: {
  readonly type: EventType
  readonly service: string | null
  readonly data: Readonly<Record<string, unknown>>
}): readonly string[] | null {
  if (event.service !== null) return [event.service]
  const services = event.data['services']
  if (Array.isArray(services)) return services as string[]
  return event.type === 'change' ? null : []
}
