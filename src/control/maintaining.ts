/**
 * What comes of switching maintenance on or off: pure, as apply.ts. That it is on is part of the document, so a restart keeps it and every
 * instance has it. On twice is on since the first time, and off where it is off changes nothing.
 */
import type { Change } from '../change.ts'
import { serviceNamed } from '../config/named.ts'
import { withEntry } from '../config/record.ts'
import type { ServiceIntent } from '../table/status.ts'
import type { Content } from './reconcile.ts'

/** The content with the service in maintenance, or out of it. Throws `not_found`. */
export function maintained(
  content: Content,
  { service, on }: Extract<Change, { kind: 'maintenance' }>,
  nowMs: number,
): Content {
  serviceNamed(content.services, service)
  const { maintenance, ...rest } = content.intents[service]
  if ((maintenance !== undefined) === on) return content
  const intent: ServiceIntent = on ? { ...rest, maintenance: { sinceMs: nowMs } } : rest
  return { ...content, intents: withEntry(content.intents, service, intent) }
}
