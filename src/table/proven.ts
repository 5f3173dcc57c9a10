/**
 * What is known of a pool before traffic is sent to it, from the status of its targets.
 *
 * - `fits`: a target that is ready, has an address, is not ejected, and where there are probes found healthy by one. Not yet probed is not found healthy,
 *   nor is what was found so by another question than is asked now (config/question.ts): of the version before, or at another path. Traffic that it has it keeps.
 * - A pool is *proven* when at least half of its ready targets fit: below half it would be in panic (balance.ts) as soon as traffic
 *   came, and serve from targets that nobody knows, or knows to be ill.
 * - A pool *can answer* when one of its ready targets does not fail: less than proven, for pools that have traffic already.
 * The state of the pool itself is not looked at. Targets of weight 0 count as in standby (`targetsForNew`).
 */
import { own } from '../config/record.ts'
import type { ServiceSpec } from '../config/schema.ts'
import { targetWeight } from '../config/target-weight.ts'
import type { AddressObserved, ServiceStatus, TargetStatus } from './status.ts'
import type { AdminState } from './types.ts'

/** The targets of a pool, as far as it depends on them. */
export type Targets = readonly (Pick<TargetStatus, 'admin' | 'health' | 'ejectedUntilMs'> & {
  readonly addresses: readonly Pick<AddressObserved, 'health' | 'question'>[]
})[]

/** The admin state of a target as those who are new meet it: one of weight 0 lets none of them in. */
export function stateForNew(
  pool: Parameters<typeof targetWeight>[0] | undefined,
  url: string,
  admin: AdminState,
): AdminState {
  return pool !== undefined && targetWeight(pool, url) === 0 ? 'standby' : admin
}

/** Whether the admin state and the weight of a target let in those who are new. */
export const letsInNew = (...target: Parameters<typeof stateForNew>): boolean => stateForNew(...target) === 'ready'

/** The targets of a pool as those who are new meet them. */
export const targetsForNew = (
  pool: Parameters<typeof targetWeight>[0] | undefined,
  targets: Readonly<Record<string, TargetStatus>>,
): Targets =>
  Object.entries(targets).map(([url, target]) => ({ ...target, admin: stateForNew(pool, url, target.admin) }))

/** Whether a target is ready, has an address and is well, where there are probes by any of them. */
export const isWell = (
  { admin, addresses, ejectedUntilMs, health }: Targets[number],
  probed: boolean,
  nowMs: number,
): boolean => admin === 'ready' && addresses.length > 0 && ejectedUntilMs <= nowMs && (!probed || health === 'healthy')

/** Whether a target was found healthy by this question; null for no probes, where nothing has to be found. */
export const isFoundBy = (question: string | null, { addresses }: Pick<Targets[number], 'addresses'>): boolean =>
  question === null || addresses.some((address) => address.health === 'healthy' && address.question === question)

/** How many targets of a pool are ready, and how many of these fit; `question` is that of the probes of now, null where there are none. */
export function fitTargets(targets: Targets, question: string | null, nowMs: number): { ready: number; fit: number } {
  const ready = targets.filter(({ admin }) => admin === 'ready')
  const fit = ready.filter((target) => isWell(target, question !== null, nowMs) && isFoundBy(question, target))
  return { ready: ready.length, fit: fit.length }
}

/** Whether traffic may be sent to a pool that has none. */
export function isProven(targets: Targets, question: string | null, nowMs: number): boolean {
  const { ready, fit } = fitTargets(targets, question, nowMs)
  return fit > 0 && fit * 2 >= ready
}

/** Whether a pool has a target that is ready and not known to fail. */
export function canAnswer(targets: Targets, probed: boolean, nowMs: number): boolean {
  return targets.some(
    ({ admin, addresses, health, ejectedUntilMs }) =>
      admin === 'ready' && addresses.length > 0 && ejectedUntilMs <= nowMs && !(probed && health === 'unhealthy'),
  )
}

/** Where traffic goes: by these weights, and to those that take over. */
export interface Going {
  readonly weights: Readonly<Record<string, number>>
  readonly takeOver: readonly string[]
}

/** The pools that traffic comes to, by weight or by taking over, and that can answer; of a pool that there is `poolOf` says what is known. */
export function answering(
  { weights, takeOver }: Going,
  poolOf: (name: string) => { readonly admin: AdminState; readonly targets: Targets } | undefined,
  probed: boolean,
  nowMs: number,
): string[] {
  const weighted = Object.entries(weights).flatMap(([pool, weight]) => (weight > 0 ? [pool] : []))
  return [...weighted, ...takeOver].filter((name) => {
    const pool = poolOf(name)
    return pool?.admin === 'ready' && canAnswer(pool.targets, probed, nowMs)
  })
}

/** Whether somebody can answer for a service as it is told; default: where its traffic goes now. */
export function isAnswered(
  { health, pools, split = {}, failover }: Pick<ServiceSpec, 'health' | 'pools' | 'split' | 'failover'>,
  status: Pick<ServiceStatus, 'pools' | 'fallback'>,
  nowMs: number,
  going: Going = { weights: split, takeOver: failover ?? status.fallback ?? [] },
): boolean {
  const poolOf = (name: string) => {
    const pool = own(status.pools, name)
    return pool && { admin: pool.admin, targets: targetsForNew(own(pools, name), pool.targets) }
  }
  return answering(going, poolOf, health !== undefined, nowMs).length > 0
}
