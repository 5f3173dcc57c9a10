/**
 * What a worker has of its targets: the connections to each, and what it may send a second time to each service.
 */
import type { TargetTable } from '../../table/types.ts'
import { RetryBudget } from './retry-budget.ts'
import type { UpstreamSetting } from './setting.ts'
import { TargetConnections } from './target-connections.ts'
import type { Leases } from './upstream.ts'

export class Targets {
  readonly #setting: UpstreamSetting
  readonly #bySlot = new Map<number, TargetConnections>()
  /** By slot: the place that is known to speak HTTP/1.1, since it has answered so on a connection that is forgotten now. */
  readonly #http11BySlot = new Map<number, string>()
  /** By slot of the service. */
  readonly #retryBudgets: RetryBudget[] = []

  constructor(setting: UpstreamSetting) {
    this.#setting = setting
  }

  /** The connections of this worker to a target. */
  connectionsOf(target: TargetTable): Leases {
    let connections = this.#bySlot.get(target.slot)
    if (connections?.target === target) return connections
    // A slot may be given to another target once nothing counts on it; and a host may get another address at any time.
    const place = placeOf(target)
    if (connections === undefined || placeOf(connections.target) !== place) {
      connections?.retire()
      connections = new TargetConnections(this.#setting, target)
      connections.isHttp11 = this.#http11BySlot.get(target.slot) === place
      this.#bySlot.set(target.slot, connections)
    }
    // So that the place is compared once for each table, and not for each request.
    connections.target = target
    return connections
  }

  /** What this worker may send a second time to the service in a slot. */
  retryBudgetOf(serviceSlot: number): RetryBudget {
    this.#retryBudgets[serviceSlot] ??= new RetryBudget()
    return this.#retryBudgets[serviceSlot]
  }

  /** Closes idle connections that are too old, and forgets targets that have none left. */
  sweep(): void {
    for (const [slot, connections] of this.#bySlot) {
      connections.sweep(this.#setting.time.nowMs)
      if (connections.size > 0) continue
      if (connections.isHttp11) this.#http11BySlot.set(slot, placeOf(connections.target))
      else this.#http11BySlot.delete(slot)
      this.#bySlot.delete(slot)
    }
  }
}

/** Tables come and go, so their objects tell nothing. */
const placeOf = ({ url, host, port, address, alternate }: TargetTable): string =>
  `${url} ${host} ${port} ${address} ${alternate}`
