/** What a target is said to carry: by the settings of a rollout, else by those of its service. Pure. */
import type { ServiceSpec } from '../config/schema.ts'
import type { RolloutSpec } from '../config/schema-rollout.ts'
import type { PoolLimits } from '../table/demand.ts'

/** null where neither says it. */
export function limitsOf(rollout: RolloutSpec, service: ServiceSpec | undefined): PoolLimits | null {
  const { requestsPerTarget = 0, requestsPerPool = 0 } = { ...service?.capacity, ...rollout.capacity }
  return requestsPerTarget === 0 && requestsPerPool === 0 ? null : { requestsPerTarget, requestsPerPool }
}
