/** Before anything else: both pools have somebody to answer, the new one to go to and the old one to go back to. */
import { type About, GateClosed, type Means } from './gate.ts'

/** Targets are waited for so long until they are healthy. */
const PROVEN_WITHIN_MS = 60_000
const LOOK_MS = 200

/** Passes once both pools have somebody to answer; waits a while for the targets of the new one. */
export async function preflight(about: About, { steadyMs, pause }: Means, signal: AbortSignal): Promise<void> {
  const untilMs = steadyMs() + PROVEN_WITHIN_MS
  for (;;) {
    const missing = missingOf(about)
    if (missing === null) return
    if (steadyMs() >= untilMs) throw new GateClosed(missing)
    await pause(LOOK_MS, signal)
  }
}

function missingOf({ rollout, status }: About): string | null {
  const present = status()
  for (const pool of [rollout.to, ...Object.keys(rollout.before).filter((name) => rollout.before[name] > 0)]) {
    const targets = Object.values(present?.pools[pool]?.targets ?? {})
    if (targets.length === 0) return `pool ${pool} has no targets`
    if (targets.every(({ health }) => health === 'unhealthy')) return `no target of pool ${pool} is healthy`
    if (pool === rollout.to && targets.some(({ health }) => health === 'unhealthy'))
      return `not all targets of pool ${pool} are healthy`
  }
  return null
}
