/**
 * What is asked of whoever takes requests with the new version before the end of a rollout, and that there is somebody.
 *
 * Silence is waited for, and so is somebody where nobody takes requests: of all that has passed by then nothing holds for nobody. Meanwhile the
 * verdict ends a rollout whose targets are all out.
 */
import { letsInNew } from '../../table/proven.ts'
import type { TargetStatus } from '../../table/status.ts'
import { targetsSettled } from '../rolling.ts'
import { type About, GateClosed, type Means } from './gate.ts'

/** Whoever says nothing is waited for so long. */
const ANSWERS_WITHIN_MS = 60_000
const BETWEEN_MS = 1_000

/** A clear no, after which nobody is asked again. */
export class ClearNo extends GateClosed {}

/** Passes once somebody with the new version takes requests of whoever is new; told where that is waited for only. */
export async function stillThere(about: About, means: Means, signal: AbortSignal): Promise<void> {
  if (isThere(about, takingOf(about, means.steadyMs()))) return
  await untilAnswered('targets', about, means, signal, async (urls) => {
    return `${urls.length} targets of ${about.rollout.to} take requests again`
  })
}

/**
 * Asks those with the new version that take requests until `ask` gives a sentence, and passes with it. Rejects at once with a clear no, and
 * with why there is no answer when there was none in time.
 */
export async function untilAnswered(
  gate: string,
  about: About,
  means: Means,
  signal: AbortSignal,
  ask: (urls: readonly string[]) => Promise<string>,
): Promise<void> {
  await about.log.watch(gate, null, signal, async () => {
    const untilMs = means.steadyMs() + ANSWERS_WITHIN_MS
    for (;;) {
      try {
        const taking = takingOf(about, means.steadyMs())
        if (!isThere(about, taking))
          throw new GateClosed(`no target of ${about.rollout.to} takes requests of whoever is new`)
        return await ask([...taking.keys()])
      } catch (error) {
        const isSilent = error instanceof GateClosed && !(error instanceof ClearNo)
        if (!isSilent || means.steadyMs() >= untilMs) throw error
      }
      await means.pause(BETWEEN_MS, signal)
    }
  })
}

/** Whether somebody who is new is let in by one of those that take requests: one of weight 0 has those alone whom it had before. */
function isThere({ rollout, targets }: About, taking: ReadonlyMap<string, TargetStatus>): boolean {
  const pool = targets.spec?.pools[rollout.to]
  return [...taking].some(([url, { admin }]) => letsInNew(pool, url, admin))
}

/** The targets of a pool that take requests now, by URL: where they are replaced, those with the new version. */
export function takingOf(about: About, nowMs: number, name = about.rollout.to): Map<string, TargetStatus> {
  const settled = targetsSettled(about.rollout)
  const pool = about.status()?.pools[name]
  return new Map(
    Object.entries(pool?.admin === 'ready' ? pool.targets : {}).filter(
      ([url, { admin, health, ejectedUntilMs }]) =>
        settled?.includes(url) !== false && admin === 'ready' && health !== 'unhealthy' && ejectedUntilMs <= nowMs,
    ),
  )
}
