/**
 * Whether what the new version is to be given fits into it: before a rollout all that there is, and before each step what that step gives.
 *
 * Requests under way at once are the rate times the time that each takes, both over the last ten seconds or so. The time is that of the new
 * version itself once it has answered enough, else that of all. Where targets are replaced one by one, the others have to carry all.
 *
 * Before a rollout too little ends it at once; between its steps it waits, without end but not in silence, in its step, as it waits for its schedule: it is neither `holding`,
 * which is of a live pool that is ill, nor `paused`, which is of a person.
 */
import { inDigits } from '../../config/digits.ts'
import { weightAt } from '../../config/strategy.ts'
import { workOf } from '../../metrics/work.ts'
import { carriedBy, demandOf, type PoolLimits } from '../../table/demand.ts'
import { targetsForNew } from '../../table/proven.ts'
import { limitsOf } from '../limits.ts'
import { batchOf, isRolling } from '../rolling.ts'
import { type Found, failed, ok, skipped } from './check.ts'
import { type About, GateClosed, type Means } from './gate.ts'
import type { OpenGate } from './gate-log.ts'
import { mayGoOn } from './schedule.ts'

const LOOK_MS = 1_000
/** Whoever is to be notified hears of a wait that lasts so long: what is missing may have to be brought by a person. */
const NOTIFIED_AFTER_MS = 60_000

/** What the live pools do now fits into the new one. */
export function capacitySuffices(about: About, means: Means): Found {
  const limits = limitsOf(about.spec, about.targets.spec)
  if (limits === null) return skipped('neither capacity nor rollout.capacity says what a target carries')
  if (isRolling(about.rollout))
    return skipped('its targets are replaced where they are; before each step the others are looked at')
  return room(about, means, limits, 100, 'now')
}

/** Passes once the schedule lets the rollout go on, and what it gives next fits; or a person has it go on all the same. */
export async function mayGive(about: About, means: Means, signal: AbortSignal): Promise<void> {
  await mayGoOn(about, means, signal)
  // Whoever has waited for one of them asks the other once more.
  for (let isAgain = false; await hasWaited(isAgain, about, means, signal); isAgain = true) {
    await mayGoOn(about, means, signal)
  }
}

/** Waits until what comes next fits; false when it need not, or a person lets it go on all the same. */
async function hasWaited(isAgain: boolean, about: About, means: Means, signal: AbortSignal): Promise<boolean> {
  const [percent, limits] = [nextPercent(about), limitsOf(about.spec, about.targets.spec)]
  if (limits === null || percent === null) return false
  const look = (): Found => room(about, means, limits, percent, `at ${percent} %`)
  const first = look()
  if (isAgain && first.state !== 'failed') return false
  const open = about.log.begin('capacity')
  if (first.state !== 'failed') {
    open.end(first.state === 'ok' ? 'passed' : first.state, first.sentence)
    return false
  }
  if (about.hurriedBy() === null) about.tellWait('it is given no more yet', new GateClosed(first.sentence))
  return wait(first, look, open, about, means, signal)
}

async function wait(
  first: Found,
  look: () => Found,
  open: OpenGate,
  { hurriedBy, notifyWait }: About,
  { pause, steadyMs }: Means,
  signal: AbortSignal,
): Promise<boolean> {
  const notifiesAtMs = steadyMs() + NOTIFIED_AFTER_MS
  let isNotified = false
  for (let { state, sentence } = first; ; { state, sentence } = look()) {
    const by = hurriedBy()
    if (state !== 'failed') {
      open.end('passed', sentence)
      return true
    }
    if (by !== null) {
      open.end('skipped', `${sentence}; promoted by ${by} all the same`)
      return false
    }
    open.say(sentence)
    if (!isNotified && steadyMs() >= notifiesAtMs) {
      isNotified = true
      notifyWait(sentence)
    }
    await pause(LOOK_MS, signal)
  }
}

/** Per cent that the new version has after the next step; null where that is no more than it has. */
function nextPercent({ rollout }: About): number | null {
  const { plan, work, at, weight } = rollout
  // Targets that are out already come back by it.
  if (work === 'replacing') return null
  const next = work === 'afterBake' ? 100 : weightAt(plan, at)
  return isRolling(rollout) ? (work === 'afterBake' ? null : next) : next > weight ? next : null
}

function room(about: About, { traffic, steadyMs }: Means, limits: PoolLimits, percent: number, when: string): Found {
  const { service, rollout, targets } = about
  const now = traffic(service)
  if (now === null || now.windowMs <= 0) return skipped('nothing is known of the traffic yet')
  const [all, own] = [workOf([...now.pools.values()].flat()), workOf(now.pools.get(rollout.to) ?? [])]
  const isReplaced = isRolling(rollout)
  // What it has already by rules and pins it keeps.
  const requests = isReplaced ? own.requests : Math.max((all.requests * percent) / 100, own.requests)
  const { perSecond, eachMs, atOnce, isOwn } = demandOf(requests, all, own, now.windowMs)
  const pool = about.status()?.pools[rollout.to]
  const others = Object.entries(pool?.admin === 'ready' ? pool.targets : {}).filter(
    ([url]) => !isReplaced || !batchOf(rollout).includes(url),
  )
  const its = targetsForNew(targets.spec?.pools[rollout.to], Object.fromEntries(others))
  const { fit, carries } = carriedBy(its, limits, targets.spec?.health !== undefined, steadyMs())
  const whose = isOwn ? ` as ${rollout.to} answers` : ''
  const load = `${when} ${number(perSecond)} requests a second take ${number(eachMs)} ms each${whose}, so ${number(atOnce)} are under way at once`
  const carried = `${fit} ${isReplaced ? 'other targets' : 'healthy targets'} of ${rollout.to} carry ${inDigits(carries)}`
  return atOnce <= carries ? ok(`${load}; ${carried}`) : failed(`too little capacity: ${load}, and ${carried}`)
}

const number = (value: number): string => inDigits(Number(value.toPrecision(3)))
