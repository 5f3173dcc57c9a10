/** A service, or a pool of it, by the name that somebody has written. Pure. */
import { TurnoutError } from '../errors.ts'
import { didYouMean, nearest } from './nearest.ts'
import { own } from './record.ts'
import type { PoolSpec, ServiceSpec, Services } from './schema.ts'

/** Throws `not_found` with the name that was probably meant. */
export function serviceNamed(services: Services, name: string): ServiceSpec {
  const spec = own(services, name)
  if (spec !== undefined) return spec
  throw new TurnoutError('not_found', `There is no service ${name}${didYouMean(nearest(name, Object.keys(services)))}.`)
}

/** Throws `not_found` with the name that was probably meant, and the pools that there are. */
export function poolNamed({ pools }: ServiceSpec, service: string, name: string): PoolSpec {
  const found = own(pools, name)
  if (found !== undefined) return found
  const known = Object.keys(pools)
  const meant = nearest(name, known)
  const hint = `${meant === null ? 'it' : `did you mean ${JSON.stringify(meant)}? It`} has ${known.join(', ')}`
  throw new TurnoutError('not_found', `Service ${service} has no pool ${name} (${hint}).`)
}
