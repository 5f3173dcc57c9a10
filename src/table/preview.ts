/** A host on which one pool of a service is seen, by those whom the config lets see it. */
import { inNetworks, knownNetwork, type Network } from './network.ts'
import type { RoutePlan } from './plan.ts'
import type { RequestView } from './types.ts'

/** The pool that is seen, and the networks of the clients that are told of it; null for all. */
export interface Preview {
  readonly pool: string
  readonly from: readonly Network[] | null
}

/** The preview that a route leads to, or null. */
export function previewOf({ preview }: RoutePlan): Preview | null {
  return preview === null ? null : { pool: preview.pool, from: preview.from?.map(knownNetwork) ?? null }
}

/** Whether the preview is there for a client. */
export function isForClient({ from }: Preview, { address }: RequestView): boolean {
  return from === null || inNetworks(from, address)
}
