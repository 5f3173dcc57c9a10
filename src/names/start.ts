/**
 * The names of a running Turnout: looked up from the first moment on, told in the log and as events, and kept to those that targets
 * have. Control is made with them, so it comes later; what is to be told until then waits for it.
 */
import type { Logger } from 'pino'
import type { Control } from '../change.ts'
import type { Clock } from '../clock.ts'
import { servicesOfEvent } from '../config/event-types.ts'
import { own } from '../config/record.ts'
import type { Services } from '../config/schema.ts'
import type { NewEvent } from '../control/events.ts'
import { type NameNews, Names, type NamesOptions } from './names.ts'
import { haveSameHosts, hostsOf } from './target-hosts.ts'

/** What names tell, and what they follow. */
export interface Follower extends Pick<Control, 'snapshot' | 'subscribe'> {
  publish(event: NewEvent): void
  addressesMoved(host: string): void
}

export interface StartedNames {
  readonly names: Names
  /** Tells all that has happened, and from now on follows every change. */
  follow(control: Follower): void
}

/** Begins with the hosts of these services; others are learned as they come. */
export function startNames(
  log: Pick<Logger, 'info' | 'warn'>,
  clock: Clock,
  services: Services,
  options?: NamesOptions,
): StartedNames {
  const early: NewEvent[] = []
  let publish = (event: NewEvent): void => void early.push(event)
  const movedEarly = new Set<string>()
  let moved = (host: string): void => void movedEarly.add(host)
  const tell = (news: NameNews) => {
    const event = eventOf(news)
    if (news.failing || news.state.unused > 0) log.warn(event.data, event.message)
    else log.info(event.data, event.message)
    publish(event)
  }
  const names = new Names({ clock, random: Math.random, moved: (host) => moved(host), tell }, options)
  void names.learn(hostsOf(services), 0)
  return {
    names,
    follow(control) {
      publish = (event) => control.publish(event)
      moved = (host) => control.addressesMoved(host)
      for (const event of early.splice(0)) publish(event)
      // Whoever has made control had its addresses before, or not yet.
      for (const host of movedEarly) moved(host)
      movedEarly.clear()
      let wanted: Services = {}
      const want = () => {
        wanted = control.snapshot().services
        names.want(hostsOf(wanted))
      }
      control.subscribe((event) => {
        if (event.type !== 'change') return
        const { services } = control.snapshot()
        const changed = servicesOfEvent(event)
        if (changed === null || changed.some((name) => !haveSameHosts(own(wanted, name), own(services, name)))) want()
      })
      want()
    },
  }
}

function eventOf({ host, state, message }: NameNews): NewEvent {
  const addresses = state.addresses.map(({ address }) => address)
  return { type: 'name', service: null, message, data: { host, addresses, reason: state.fault?.reason ?? null } }
}
