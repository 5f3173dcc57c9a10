/** What became of the copied requests of a service, as its status tells it: figures, and the last few that differed. */
import type { Control, Snapshot } from '../change.ts'
import type { Difference } from '../dataplane/messages.ts'
import { FIELD } from '../metrics/layout.ts'
import { sumTallies } from '../metrics/summary.ts'
import type { ServiceTraffic } from '../metrics/window.ts'

/** Enough to see what it is about. */
const EXAMPLES_MAX = 5

/** null for a service without a mirror. */
export function mirrorOf(
  { services }: Snapshot,
  service: string,
  traffic: ServiceTraffic['pools'],
  { control }: { readonly control: Pick<Control, 'events'> },
): object | null {
  const { mirror } = services[service]
  if (mirror === undefined) return null
  const total = sumTallies((traffic.get(mirror.pool) ?? []).map((target) => target.total))
  const compared = total[FIELD.mirrorsCompared]
  const meanOf = (field: number): number | null => (compared === 0 ? null : total[field] / compared)
  return {
    pool: mirror.pool,
    share: mirror.share,
    sent: total[FIELD.mirrors],
    failed: total[FIELD.mirrorsFailed],
    compared,
    differing: {
      status: total[FIELD.mirrorsOtherStatus],
      body: total[FIELD.mirrorsOtherBody],
      slower: total[FIELD.mirrorsSlower],
    },
    meanMs: meanOf(FIELD.mirrorsSumMs),
    clientMeanMs: meanOf(FIELD.mirroredSumMs),
    examples: control
      .events()
      .filter((event) => event.type === 'mirror' && event.service === service)
      .slice(-EXAMPLES_MAX)
      .reverse()
      .map(({ atMs, data }) => {
        const { target, method, path, live, copy } = data as unknown as Difference
        return { atMs, target, method, path, live, copy }
      }),
  }
}
