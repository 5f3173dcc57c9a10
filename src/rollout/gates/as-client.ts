/**
 * The headers of a request that a rollout sends to a target, as those of a client's request would be: targets that serve by name, or that tell
 * versions and pools apart by what Turnout says, answer then what they will answer with traffic.
 */
import type { About } from './gate.ts'

type Headers = Record<string, string>

/** What names the host, in lower case: that of its probes, or of its first route by a whole name. Without either it is the target itself. */
export function hostOf({ targets }: About): Headers {
  const { health, routes = [] } = targets.spec ?? {}
  const host = health?.host ?? routes.find((route) => !route.host.includes('*'))?.host
  return host === undefined ? {} : { host, 'x-forwarded-host': host }
}

/** All of them, for a target of the new pool. */
export function headersOf(about: About): Headers {
  const { service, rollout } = about
  return {
    ...hostOf(about),
    'user-agent': 'turnout-rollout',
    'x-turnout-service': service,
    'x-turnout-pool': rollout.to,
    'x-turnout-release': String(about.status()?.release ?? ''),
  }
}
