/**
 * Where the targets of a rollout are asked: each at every address at which it takes requests, as traffic finds it. One that probes have
 * found ill, or that is ejected, gets no requests and is not asked, unless the target has no other.
 *
 * What is known of addresses is what requests go by (names/names.ts): nobody looks a name up here.
 */
import { type Address, placeInWords } from '../../names/address.ts'
import type { TargetStatus } from '../../table/status.ts'
import { type About, GateClosed } from './gate.ts'

/** A target at one of its addresses. */
export interface Place {
  readonly url: string
  readonly address: Address
  /** For people. */
  readonly name: string
}

/** All places of a target, whatever is known of their health. */
export const allPlacesOf = (url: string, { addresses }: Pick<TargetStatus, 'addresses'>): Place[] =>
  addresses.map((address) => ({ url, address, name: placeInWords(url, address.address) }))

/** The places of targets of a pool that take requests at `nowMs`, steady time. Throws `GateClosed` when one of the targets has no address. */
export function placesOf(about: About, urls: readonly string[], nowMs: number, pool = about.rollout.to): Place[] {
  const targets = about.status()?.pools[pool]?.targets ?? {}
  return urls.flatMap((url) => {
    const target = Object.hasOwn(targets, url) ? targets[url] : null
    if (target === null) return []
    const addresses = target.addresses.filter(
      ({ health, ejectedUntilMs }) => health !== 'unhealthy' && ejectedUntilMs <= nowMs,
    )
    const places = allPlacesOf(url, addresses.length > 0 ? { addresses } : target)
    if (places.length === 0) throw new GateClosed(`${url} has no address: its name cannot be resolved`)
    return places
  })
}
