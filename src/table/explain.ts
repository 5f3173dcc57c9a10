/**
 * A decision in words, for people: what `explain` prints under the facts. It reads nothing but the decision itself.
 */
import { BUCKETS } from './bucket.ts'
import { wordsOf } from './conditions/kinds.ts'
import { textOfOctets } from './octets.ts'
import type { Decision, ServiceTable } from './types.ts'

/** One sentence on where a request goes and why, such as `rule staff sends header x-internal=1 to green`. */
export function explainDecision(decision: Decision): string {
  const { service, aimed, target, pool } = decision
  if (service === null) return 'no route matches this host and path'
  if (decision.redirect !== null) return linkOf(decision.redirect)
  if (decision.error === 'held') return `${heldOf(service)}; the request waits until that is released`
  if (decision.error === 'maintenance') return `${service.name} is in maintenance; its page answers the request`
  const why = passedBy(decision, service) + reasonOf(decision, service)
  if (decision.waitsFor !== null)
    return `${why}; all targets of ${decision.waitsFor.name} have as many requests as they may, so it waits for one`
  if (target === null || pool === null) {
    const nobody = decision.reason === 'preview' ? 'none of its targets can' : 'no pool has a target that can'
    return `${why}; ${nobody} take it now`
  }
  if (pool !== aimed) {
    return aimed === null
      ? `${why}; ${pool.name} takes over`
      : decision.reason === 'warming'
        ? `${why}; ${aimed.name} is new and takes a part of its requests yet, so ${pool.name} goes on with this one`
        : `${why}; no target of ${aimed.name} can take it now, so ${pool.name} takes over`
  }
  return decision.panic ? `${why}; too few of its targets are healthy, so health is ignored` : why
}

const heldOf = ({ name, hold }: ServiceTable): string =>
  hold?.only === 'writes' ? `writes to ${name} are held` : `${name} is held`

/** How a request has passed the page of a service in maintenance. */
function passedBy({ reason }: Decision, { name, maintenance }: ServiceTable): string {
  if (maintenance === null) return ''
  const how = reason === 'preview' ? 'previews are not closed' : maintenance.plan.allow.map(wordsOf).join(' and ')
  return `${name} is in maintenance, which lets this one pass (${how}); `
}

function linkOf({ location, setCookie }: NonNullable<Decision['redirect']>): string {
  const what =
    setCookie === null
      ? 'changes nothing'
      : setCookie.pinned
        ? `pins the client to ${setCookie.pool}`
        : 'lets the client go'
  return `the link ${what}; the client is sent to ${location}`
}

function reasonOf(decision: Decision, service: ServiceTable): string {
  const { aimed, visitor } = decision
  const rule = service.rules.list.find((candidate) => candidate.plan.name === decision.rule)
  if (rule !== undefined && rule.plan.to !== null) {
    return `rule ${rule.plan.name} sends ${rule.plan.when.map(wordsOf).join(' and ')} to ${rule.plan.to}`
  }
  if (decision.reason === 'preview') return `the host is the preview of pool ${aimed!.name}`
  if (aimed === null) return `no pool of ${service.name} has a weight and takes new visitors`
  if (decision.reason === 'pin')
    return `the cookie of the visitor keeps it at ${aimed.name} in release ${service.release}`
  const { trial } = service
  const by = trial === null ? '' : `, by the weights of the rollout to ${trial.pool}`
  if (visitor === null) return `without a visitor key the next turn by weight is that of ${aimed.name}${by}`
  return `visitor ${textOfOctets(visitor)} has bucket ${decision.bucket} of ${BUCKETS}, which falls to ${aimed.name}${by}`
}
