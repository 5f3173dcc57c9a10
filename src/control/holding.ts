/**
 * What comes of holds: pure, as apply.ts. A hold is part of the document, so a restart keeps it: whoever has asked for quiet during a
 * migration gets it, and its end by itself is stored with it. One that has ended by itself is of no account, and is left where it is.
 *
 * A hold takes the place of the one before, whose requests wait on in theirs. But that of a switch is the switch's own: it can be
 * released by anybody, which calls the switch off, and not replaced. A change that was refused has held nobody.
 */
import type { Change } from '../change.ts'
import { serviceNamed } from '../config/named.ts'
import { withEntry } from '../config/record.ts'
import { TurnoutError } from '../errors.ts'
import type { Hold } from '../table/hold.ts'
import type { ServiceIntent } from '../table/status.ts'
import type { Content } from './reconcile.ts'

type Of<K extends Change['kind']> = Extract<Change, { kind: K }>

/** The hold of a service that has not ended by itself, or null. */
export function presentHold({ hold }: Pick<ServiceIntent, 'hold'>, nowMs: number): Hold | null {
  return hold !== undefined && nowMs < hold.untilMs ? hold : null
}

/** That hold where it is of a switch that is under way, or null. */
export function holdOfSwitch(held: Pick<ServiceIntent, 'hold'>, nowMs: number): Hold | null {
  const hold = presentHold(held, nowMs)
  return hold?.isOfSwitch === true ? hold : null
}

/** The content with these services held. Throws `not_found`, and `conflict` where a switch holds one. */
export function held(content: Content, { services, hold: asked }: Of<'hold'>, nowMs: number): Content {
  const { forMs, ...rest } = asked
  return services.reduce((next, service) => {
    const present = presentHold(intentOf(next, service), nowMs)
    if (present !== null && present.id !== asked.id && (present.isOfSwitch || asked.isOfSwitch)) {
      const whose = present.isOfSwitch ? 'by a switch that is under way' : 'already'
      throw new TurnoutError('conflict', `${service} is held ${whose}. Release it first.`)
    }
    const sinceMs = present?.sinceMs ?? nowMs
    return withHold(next, service, { ...rest, sinceMs, untilMs: nowMs + forMs })
  }, content)
}

/** The content without a hold of these services, or with none but others than the one that is named. */
export function released(content: Content, { services, hold }: Of<'release'>): Content {
  return services.reduce((next, service) => {
    const present = intentOf(next, service).hold
    return present === undefined || (hold !== undefined && present.id !== hold) ? next : withHold(next, service, null)
  }, content)
}

/** What `change` makes of the content, and the hold under which it is made is over with it. Throws `hold_ended` when it is over before. */
export function underHold(
  content: Content,
  { to, hold }: Of<'switch'>,
  nowMs: number,
  change: (content: Content) => Content,
): Content {
  if (hold === undefined) return change(content)
  const services = Object.keys(to)
  const lost = services.find((service) => presentHold(intentOf(content, service), nowMs)?.id !== hold)
  if (lost !== undefined) {
    throw new TurnoutError('hold_ended', `${lost} is not held any more, so nothing was switched.`)
  }
  return change(released(content, { kind: 'release', services, hold }))
}

function intentOf({ services, intents }: Content, service: string): ServiceIntent {
  serviceNamed(services, service)
  return intents[service]
}

function withHold(content: Content, service: string, hold: Hold | null): Content {
  const { hold: _before, ...intent } = content.intents[service]
  const next: ServiceIntent = hold === null ? intent : { ...intent, hold }
  return { ...content, intents: withEntry(content.intents, service, next) }
}
