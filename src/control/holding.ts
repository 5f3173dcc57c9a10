/**
 * What comes of holds: pure, as apply.ts. A hold is part of the document, so a restart keeps it: whoever has asked for quiet during a
 * migration gets it, and its end by itself is stored with it. One that has ended by itself is of no account, and is left where it is.
 *
 * A hold takes the place of the one before, whose requests wait on in theirs. A change that was refused has held nobody.
 */
import type { Change } from '../change.ts'
import { serviceNamed } from '../config/named.ts'
import { withEntry } from '../config/record.ts'
import type { Hold } from '../table/hold.ts'
import type { ServiceIntent } from '../table/status.ts'
import type { Content } from './reconcile.ts'

type Of<K extends Change['kind']> = Extract<Change, { kind: K }>

/** The content with these services held. Throws `not_found`. */
export function held(content: Content, { services, hold: asked }: Of<'hold'>, nowMs: number): Content {
  const { forMs, ...rest } = asked
  return services.reduce((next, service) => {
    const { hold: present } = intentOf(next, service)
    const sinceMs = present !== undefined && nowMs < present.untilMs ? present.sinceMs : nowMs
    return withHold(next, service, { ...rest, sinceMs, untilMs: nowMs + forMs })
  }, content)
}

/** The content without a hold of these services. Throws `not_found`. */
export function released(content: Content, { services }: Of<'release'>): Content {
  return services.reduce(
    (next, service) => (intentOf(next, service).hold === undefined ? next : withHold(next, service, null)),
    content,
  )
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
