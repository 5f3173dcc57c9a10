/**
 * What the probes of a pool ask, in short: two that are equal ask the same and take the same answers for a pass. How often they ask, and how
 * many passes it takes, is no part of it. What was found healthy by another question is not known to be well by the one of now.
 */
import { hashString } from '../table/bucket.ts'
import { type HealthPlan, planHealth } from './plan.ts'
import { own } from './record.ts'
import type { ServiceSpec } from './schema.ts'

/** The question of these probes to a pool of this version. The same in every process, since it is stored. */
export function questionOf(
  { intervalMs: _interval, healthyAfter: _passes, unhealthyAfter: _failures, ...asks }: HealthPlan,
  version: string,
): string {
  return hashString(JSON.stringify([asks, asks.expectVersion === null ? null : version])).toString(36)
}

/** The question to a pool of a service; null when nothing is asked. */
export function questionIn(spec: Pick<ServiceSpec, 'health' | 'pools'>, pool: string): string | null {
  const plan = planHealth(spec)
  return plan === null ? null : questionOf(plan, own(spec.pools, pool)?.version ?? '')
}
