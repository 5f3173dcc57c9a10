/** A dry run: the runbook of a rollout that has not begun, with what its checks find now. Nothing is changed, and nobody is called. */

import { nameOf } from '../config/hook-name.ts'
import { FIELD } from '../metrics/layout.ts'
import type { ServiceTraffic, TrafficWindow } from '../metrics/window.ts'
import { type AboutDeps, aboutOf } from './gates/about.ts'
import { GateLog } from './gates/gate-log.ts'
import type { Gates } from './gates/gates.ts'
import type { Kept } from './kept.ts'
import { type Runbook, runbookOf, type TrafficNow } from './runbook.ts'
import type { RunningDeps } from './running.ts'

/** What the targets and hooks that are asked are given, all together. */
const WITHIN_MS = 20_000

/** The runbook of what has not begun. */
export async function dryRun(
  kept: Kept,
  deps: AboutDeps & Pick<RunningDeps, 'clock'> & { readonly traffic: Pick<TrafficWindow, 'service'> },
  gates: Gates,
): Promise<Runbook> {
  const limit = AbortSignal.timeout(WITHIN_MS)
  const about = aboutOf(kept, deps, new GateLog([], () => deps.clock.nowMs()), limit)
  const checks = await gates.check(about, limit)
  const names = (kept.wish.spec.hooks ?? []).map(nameOf)
  return runbookOf(kept, checks, trafficNow(deps.traffic.service(kept.service)), names, deps.clock.nowMs())
}

function trafficNow(traffic: ServiceTraffic | null): TrafficNow | null {
  if (traffic === null || traffic.windowMs <= 0) return null
  const sum = (field: number) =>
    [...traffic.pools.values()].flat().reduce((total, { recent }) => total + recent[field], 0)
  const attempts = sum(FIELD.attemptsGood) + sum(FIELD.attemptsFailed)
  return {
    requestsPerSecond: Number(((sum(FIELD.requests) * 1_000) / traffic.windowMs).toPrecision(3)),
    failing: attempts === 0 ? 0 : sum(FIELD.attemptsFailed) / attempts,
  }
}
