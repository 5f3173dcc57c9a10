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
    if (connections === undefined || !isSamePlace(connections.target, target)) {
      connections?.retire()
      connections = new TargetConnections(this.#setting, target)
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
      if (connections.size === 0) this.#bySlot.delete(slot)
    }
  }
}

/** Tables come and go, so their objects tell nothing. */
const isSamePlace = (a: TargetTable, b: TargetTable): boolean =>
  a.port === b.port && a.url === b.url && a.address === b.address && a.alternate === b.alternate && a.host === b.host
