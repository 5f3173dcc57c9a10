/**
 * Checks of what is known of the pools: their health, and what they carry.
 *
 * Nobody is asked anything. Requests under way at once are the rate times the time that each takes, over the last ten seconds or so.
 */
import { inDigits } from '../../config/digits.ts'
import { FIELD } from '../../metrics/layout.ts'
import { fitTargets, isProven } from '../../table/proven.ts'
import { isRolling } from '../rolling.ts'
import { livePoolsOf } from '../rollout.ts'
import { type Found, failed, ill, ok, skipped } from './check.ts'
import { type About, type Means, targetsOf } from './gate.ts'

const isProbed = ({ targets }: About): boolean => targets.spec?.health !== undefined

/** Every target of the new pool that is ready fits: found healthy by a probe where there are probes, and not ejected. */
export function targetsFit(about: About, { steadyMs }: Means): Found {
  const { to } = about.rollout
  const pool = about.status()?.pools[to]
  if (pool === undefined || Object.keys(pool.targets).length === 0) return failed(`pool ${to} has no targets`)
  if (pool.admin !== 'ready') return ill(`pool ${to} is in state ${pool.admin}; set it ready`)
  const { ready, fit } = fitTargets(Object.values(pool.targets), isProbed(about), steadyMs())
  if (ready === 0) return ill(`pool ${to} has no target that is ready`)
  const how = isProbed(about) ? 'found healthy by a probe' : 'not known to fail'
  return fit === ready
    ? ok(`${ready} of ${ready} ready targets of ${to} are ${how}`)
    : ill(`not all targets of pool ${to} are healthy: of ${ready} that are ready ${fit} are ${how}`)
}

/** Whoever has the traffic now can take it back. */
export function liveFits(about: About, { steadyMs }: Means): Found {
  const { to } = about.rollout
  if (isRolling(about.rollout)) return skipped(`targets of ${to} are replaced, and the others of it go on answering`)
  const live = livePoolsOf(about.rollout)
  for (const name of live) {
    const pool = about.status()?.pools[name]
    const targets = Object.values(pool?.targets ?? {})
    if (pool?.admin === 'ready' && isProven(targets, isProbed(about), steadyMs())) continue
    const { ready, fit } = fitTargets(targets, isProbed(about), steadyMs())
    return ill(
      `the live pool ${name} is not well, so there would be nothing to go back to: of its ${ready} ready targets ${fit} are (a switch asks for no such thing)`,
    )
  }
  return ok(`${live.join(' and ')} can take the traffic back`)
}

/** What the live pools do now fits into the new one. */
export function capacitySuffices(about: About, { traffic }: Means): Found {
  const { service, spec, rollout } = about
  if (spec.capacity === undefined) return skipped('rollout.capacity does not say what a target carries')
  if (isRolling(rollout)) return skipped('its targets are replaced where they are')
  const now = traffic(service)
  if (now === null || now.windowMs <= 0) return skipped('nothing is known of the traffic yet')
  let [requests, busyMs] = [0, 0]
  for (const targets of now.pools.values()) {
    for (const { recent } of targets) {
      requests += recent[FIELD.requests]
      busyMs += recent[FIELD.durationSumMs]
    }
  }
  const ready = targetsOf(about, rollout.to).length
  const carries = ready * spec.capacity.requestsPerTarget
  const atOnce = busyMs / now.windowMs
  const perSecond = number((requests * 1_000) / now.windowMs)
  const load = `now ${perSecond} requests a second take ${number(busyMs / Math.max(1, requests))} ms each, so ${number(atOnce)} are under way at once`
  const room = `${ready} targets of ${rollout.to} carry ${carries}`
  return atOnce <= carries ? ok(`${load}; ${room}`) : failed(`too little capacity: ${load}, and ${room}`)
}

const number = (value: number): string => inDigits(Number(value.toPrecision(3)))
