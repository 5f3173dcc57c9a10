/**
 * Whoever goes back while a rollout runs, or switches to a pool that it leaves, wants it to end: it is aborted first, and nobody has to say so twice.
 */
import type { FastifyRequest } from 'fastify'
import type { ServiceSpec } from '../config/schema.ts'
import { expectRevision } from '../if-match.ts'
import { parseIfMatch } from './apply.ts'
import type { AdminDeps } from './deps.ts'

/**
 * Aborts the rollouts that are left by going to these pools, by service; null is wherever the traffic was before. None where one of several services
 * goes elsewhere: that may be refused, and all of them move, or none does. Resolves once traffic is back:
 * true when that is so by the end of one, and not when it came too late, since the rollout was done. Throws `stale_revision` and `malformed` as
 * the change that follows would, and what an abort throws that another process does not follow.
 */
export async function abortLeft(
  { control, rollouts }: Pick<AdminDeps, 'control' | 'rollouts'>,
  request: FastifyRequest,
  to: Readonly<Record<string, string | null>>,
): Promise<boolean> {
  const services = Object.keys(to)
  const left = services.filter((service) => rollouts.isLeftBy(service, to[service]))
  const { services: specs } = control.snapshot()
  const goesOn = (service: string) => !left.includes(service) && !isAllAt(specs[service], to[service])
  if (left.length === 0 || services.some(goesOn)) return false
  const ifMatch = parseIfMatch(request.headers['if-match'])
  expectRevision(control.snapshot(), services, ifMatch)
  const told = await Promise.all(left.map((service) => rollouts.command(service, 'current', 'abort', request.actor)))
  // The revision that it was for is over by our own doing.
  delete request.headers['if-match']
  return told.some(({ state }) => state !== 'done')
}

const isAllAt = ({ split = {} }: ServiceSpec, pool: string | null): boolean =>
  Object.entries(split).every(([name, weight]) => weight > 0 === (name === pool))
