/** Checks of what is known of the health of the pools; nobody is asked anything. */
import { questionIn } from '../../config/question.ts'
import { fitTargets, isProven, targetsForNew } from '../../table/proven.ts'
import { isRolling } from '../rolling.ts'
import { livePoolsOf } from '../rollout.ts'
import { type Found, failed, ill, ok, skipped } from './check.ts'
import type { About, Means } from './gate.ts'

/** What is asked of a pool; null when nothing is. */
const questionTo = (pool: string, { targets: { spec } }: About) => (spec === undefined ? null : questionIn(spec, pool))

/** Every target of the new pool that is ready fits: found healthy by a probe where there are probes, and not ejected. */
export function targetsFit(about: About, { steadyMs }: Means): Found {
  const { to } = about.rollout
  const pool = about.status()?.pools[to]
  if (pool === undefined || Object.keys(pool.targets).length === 0) return failed(`pool ${to} has no targets`)
  if (pool.admin !== 'ready') return ill(`pool ${to} is in state ${pool.admin}; set it ready`)
  const question = questionTo(to, about)
  const { ready, fit } = fitTargets(targetsForNew(about.targets.spec?.pools[to], pool.targets), question, steadyMs())
  if (ready === 0) return ill(`pool ${to} has no target that is ready`)
  const how = question !== null ? 'found healthy by a probe' : 'not known to fail'
  return fit === ready
    ? ok(`${ready} of ${ready} ready targets of ${to} are ${how}`)
    : ill(`not all targets of pool ${to} are healthy: of ${ready} that are ready ${fit} are ${how}`)
}

/** Whoever has the traffic now can take it back. */
export function liveFits(about: About, { steadyMs }: Means): Found {
  const { to } = about.rollout
  if (isRolling(about.rollout)) return skipped(`targets of ${to} are replaced, and the others of it go on answering`)
  const all = livePoolsOf(about.rollout)
  const ready = all.filter((name) => about.status()?.pools[name]?.admin === 'ready')
  // What is out of service has no traffic, and gets none back.
  const live = ready.length > 0 ? ready : all
  for (const name of live) {
    const pool = about.status()?.pools[name]
    const targets = targetsForNew(about.targets.spec?.pools[name], pool?.targets ?? {})
    const question = questionTo(name, about)
    if (pool?.admin === 'ready' && isProven(targets, question, steadyMs())) continue
    const { ready, fit } = fitTargets(targets, question, steadyMs())
    return ill(
      `the live pool ${name} is not well, so there would be nothing to go back to: of its ${ready} ready targets ${fit} are (a switch asks for no such thing)`,
    )
  }
  return ok(`${live.join(' and ')} can take the traffic back`)
}
