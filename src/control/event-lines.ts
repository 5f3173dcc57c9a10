/**
 * What becomes of an event in the log of the process: one line for each that somebody who reads only the log would miss.
 *
 * Events of other kinds have a line from where they happen: it is there before anybody listens to events (names, stores), or says more
 * (a file with its faults). What is bad is a warning. A line is bounded, and never two: reasons come from hooks and targets.
 */
import type { ControlEvent } from '../change.ts'
import type { EventType } from '../config/event-types.ts'
import { isRecord } from '../config/record.ts'
import type { ControlDeps } from './deps.ts'

const LOGGED: ReadonlySet<EventType> = new Set(['change', 'rollout', 'health', 'ejection', 'drain', 'hold'])
/** States of a rollout that somebody has to look at. */
const BAD_STATES: readonly unknown[] = ['paused', 'holding', 'rollingBack', 'rolledBack']
const MESSAGE_MAX = 2_000
/** A change may be of thousands of services. */
const SERVICES_MAX = 20

/** Writes the line of an event, if it has one. */
export function logEvent(log: Pick<ControlDeps['log'], 'info' | 'warn'>, event: ControlEvent): void {
  if (!LOGGED.has(event.type) || isFirstCheck(event)) return
  const { id, type, service, data } = event
  const { services, ...more } = data
  const several = service === null && Array.isArray(services) ? { services: services.slice(0, SERVICES_MAX) } : {}
  const told = { event: type, eventId: id, ...(service !== null && { service }), ...more, ...several }
  log[isBad(event) ? 'warn' : 'info'](told, lineOf(event.message))
}

/** That a target passes its first check is told of every one at every start; only that one which failed is well again would be missed. */
const isFirstCheck = ({ type, data }: ControlEvent): boolean =>
  type === 'health' && data['health'] === 'healthy' && data['before'] !== 'unhealthy'

function isBad({ type, data }: ControlEvent): boolean {
  switch (type) {
    case 'health':
      return data['health'] === 'unhealthy'
    case 'ejection':
      return true
    case 'hold':
      return data['finished'] === true
    case 'drain':
      return isRecord(data['tunnels']) && data['tunnels']['pace'] === 'stopped'
    case 'rollout':
      return data['trouble'] === true || BAD_STATES.includes(data['state'])
    default:
      return false
  }
}

function lineOf(message: string): string {
  const line = message.replaceAll(/\s*[\r\n]+\s*/g, ' ')
  return line.length <= MESSAGE_MAX ? line : `${line.slice(0, MESSAGE_MAX - 1)}…`
}
