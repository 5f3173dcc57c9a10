/** The list of what is checked before a rollout. All of it only reads, so a dry run does it too. */
import { noDrift, versionAsAnnounced } from './answer-checks.ts'
import { capacitySuffices } from './capacity.ts'
import type { Check, Found } from './check.ts'
import { type About, GateClosed, type Means } from './gate.ts'
import { liveFits, targetsFit } from './pool-checks.ts'
import { hooksReachable } from './reach.ts'

/** In the order in which they are told. */
export const CHECKS: readonly Check[] = [
  {
    name: 'targets',
    asks: 'Is every target of the new pool healthy, and proven where there are probes?',
    run: targetsFit,
  },
  { name: 'live pool', asks: 'Can whoever has the traffic now take it back?', run: liveFits },
  {
    name: 'version',
    asks: 'Does every target of the new pool answer its version?',
    after: 'targets',
    run: versionAsAnnounced,
  },
  {
    name: 'capacity',
    asks: 'Does the present traffic fit into the new pool?',
    after: 'targets',
    run: capacitySuffices,
  },
  { name: 'hooks', asks: 'Does somebody listen wherever a hook is called?', run: hooksReachable },
  {
    name: 'drift',
    asks: 'Do all targets of the new pool answer the same fingerprint, and the live ones where that is wished?',
    after: 'targets',
    run: noDrift,
  },
]

/** Asks one; what keeps it from an answer is one. */
export async function look(check: Check, about: About, means: Means, signal: AbortSignal): Promise<Found> {
  try {
    return await check.run(about, means, signal)
  } catch (error) {
    if (error instanceof GateClosed) return { state: 'failed', sentence: error.message }
    throw error
  }
}
