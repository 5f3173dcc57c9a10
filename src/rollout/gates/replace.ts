/**
 * Replaces the targets of a batch, and restores them on the way back.
 *
 *   ready ─► drain: nobody new, until nothing is in flight ─► maint ─► hook UpdateTarget ─► standby: probed ─► healthy ─► ready
 *
 * A target is healthy here when it has answered us at each of its addresses as often in a row as its probes ask for, and the probes say
 * so too: what they knew of it was of the version before. Without probes any answer below 500 is one.
 *
 * A store that is away says nothing of the release: whatever has to be set waits for it, however long.
 */
import { durationMs } from '../../config/duration.ts'
import { isAmong, type StatusRanges, statusRanges } from '../../config/statuses.ts'
import type { AdminState } from '../../table/types.ts'
import { batchOf } from '../rolling.ts'
import { isForNow, StoreWait } from '../store-wait.ts'
import { assertVersion } from './answer-checks.ts'
import { type About, GateClosed, type Means } from './gate.ts'
import type { OpenGate } from './gate-log.ts'
import { callHooks } from './hooks.ts'
import { allPlacesOf } from './places.ts'

const LOOK_MS = 50
/** Others of the pool that are out are waited for so long. */
const ROOM_WITHIN_MS = 60_000
/** How long after its update a target must be healthy, where the settings do not say. */
export const HEALTHY_WITHIN = '60s'
/** Other instances that are waited for longer are named: all need a moment to hear that a target is out, and to say that it is at rest. */
const TOLD_MS = 1_000
/** Time for requests that came in the last moment before a target was set aside. */
const LAST_MS = 2_000
/** Between two tries while the store is away. */
const STORE_MS = 500
const ASK_MS = 2_000
/** Answers in a row, and the time between them. */
const ANSWERS_MIN = 2
const BETWEEN_MS = 100

/** Passes once nothing is in flight at the targets of the present batch, or their drain is over. */
export async function drain(about: About, means: Means, signal: AbortSignal): Promise<void> {
  await room(about, means, signal)
  await Promise.all(presentOf(batchOf(about.rollout), about).map((url) => drainOne(url, about, means, signal)))
}

/** Passes once the targets of the present batch have the new version and take requests. */
export async function replace(about: About, means: Means, signal: AbortSignal): Promise<void> {
  const updates = presentOf(batchOf(about.rollout), about).map((url) => update(url, false, about, means, signal))
  about.goesOn(Promise.allSettled(updates))
  await Promise.all(updates)
}

/** Gives all targets that were begun the old version again, batch by batch, the last first. Goes on when one fails, and tells in the end. */
export async function restore(about: About, means: Means, signal: AbortSignal): Promise<void> {
  const { plan, begun } = about.rollout
  const failed: string[] = []
  const restoreOne = async (url: string): Promise<void> => {
    try {
      await drainOne(url, about, means, signal)
      await setState(url, 'maint', about, means, signal)
      await update(url, true, about, means, signal)
    } catch (error) {
      signal.throwIfAborted()
      failed.push((error as Error).message)
    }
  }
  for (const batch of (plan.batches ?? []).slice(0, begun).reverse())
    await Promise.all(presentOf(batch, about).map(restoreOne))
  if (failed.length > 0) throw new GateClosed(failed.join('; '))
}

/** Those that nobody has removed meanwhile, by force. */
const presentOf = (batch: readonly string[], { targets }: About): readonly string[] =>
  batch.filter((url) => Object.hasOwn(targets.all, url))

/** Waits until the batch may be out together with what is out already. */
async function room(about: About, { steadyMs, pause }: Means, signal: AbortSignal): Promise<void> {
  const batch = batchOf(about.rollout)
  const most = about.spec.rolling?.maxUnavailable ?? batch.length
  const untilMs = steadyMs() + ROOM_WITHIN_MS
  for (;;) {
    const out = Object.entries(about.targets.all).filter(
      ([url, { admin, health, ejectedUntilMs }]) =>
        batch.includes(url) || admin !== 'ready' || health === 'unhealthy' || ejectedUntilMs > steadyMs(),
    )
    if (out.length <= most) return
    if (steadyMs() >= untilMs) {
      const others = out.map(([url]) => url).filter((url) => !batch.includes(url))
      throw new GateClosed(
        `of pool ${about.rollout.to} at most ${most} targets may be out, and ${others.join(', ')} are`,
      )
    }
    await pause(LOOK_MS, signal)
  }
}

/** Sets a target so. While the store is away that waits, and says so. */
async function setState(
  url: string,
  state: AdminState,
  about: About,
  means: Means,
  signal: AbortSignal,
): Promise<void> {
  const wait = new StoreWait(about.log, url, (error) => about.tellWait(`${url} cannot be set to ${state}`, error))
  for (;;) {
    signal.throwIfAborted()
    try {
      await about.targets.set(url, state, signal)
      return wait.end()
    } catch (error) {
      if (!isForNow(error)) throw error
      wait.note(error)
    }
    await means.pause(STORE_MS, signal)
  }
}

async function drainOne(url: string, about: About, means: Means, signal: AbortSignal): Promise<void> {
  const { targets } = about
  if (targets.all[url]?.admin === 'ready') await setState(url, 'drain', about, means, signal)
  await idle(url, durationMs(targets.spec?.drain.timeout ?? '0s'), about, means, signal)
}

/**
 * Waits until nothing is in flight at the target, for so long at most; what the process before this one has there is not counted here, and others
 * say it of themselves. Those that are waited for are named.
 */
async function idle(
  url: string,
  withinMs: number,
  { targets, service, rollout, log }: About,
  { steadyMs, pause, busyPredecessor, busyElsewhere }: Means,
  signal: AbortSignal,
): Promise<void> {
  const fromMs = steadyMs()
  let wait: OpenGate | null = null
  for (;;) {
    const isBusyHere = targets.inFlight(url) > 0 || busyPredecessor() !== null
    const others = isBusyHere ? [] : busyElsewhere(service, rollout.to, url)
    const isBusy = isBusyHere || others.length > 0
    const forMs = steadyMs() - fromMs
    const what = others.length === 0 ? null : `something may be under way there through ${others.join(', ')}`
    if (!isBusy || forMs >= withinMs) return wait?.end('passed', what && `its time is over, and ${what}`)
    if (what !== null && forMs >= TOLD_MS) {
      wait ??= log.begin('idle', url)
      wait.say(what)
    }
    await pause(LOOK_MS, signal)
  }
}

async function update(url: string, isUndone: boolean, about: About, means: Means, signal: AbortSignal): Promise<void> {
  const { targets, version, rollout } = about
  // Whoever a cookie keeps there was let in until now.
  await idle(url, LAST_MS, about, means, signal)
  const before = targets.spec?.pools[rollout.to]?.version ?? null
  const versions = isUndone ? { version: before, before: version } : { version, before }
  const part = `-${(rollout.plan.batches ?? []).flat().indexOf(url)}`
  await callHooks('UpdateTarget', about, means, signal, { target: url, ...versions, undo: isUndone }, part)
  await setState(url, 'standby', about, means, signal)
  await healthy(url, about, means, signal)
  await assertVersion(url, versions.version, about, means, signal)
  targets.noteNew(url)
  await setState(url, 'ready', about, means, signal)
}

async function healthy(url: string, { targets, spec }: About, means: Means, signal: AbortSignal): Promise<void> {
  const { steadyMs, pause } = means
  const within = spec.rolling?.within ?? HEALTHY_WITHIN
  const untilMs = steadyMs() + durationMs(within)
  const probes = targets.spec?.health
  const wanted: StatusRanges = probes === undefined ? [[100, 499]] : statusRanges(probes.status)
  const path = probes?.path ?? '/'
  // As probes ask, for it is their answer that counts.
  const headers: Record<string, string> = probes?.host === undefined ? {} : { host: probes.host }
  let passes = 0
  for (;;) {
    // It may have come back with other addresses, long before its name would be looked up.
    const places = Object.hasOwn(targets.all, url) ? allPlacesOf(url, targets.all[url]) : []
    const answers = await Promise.all(
      places.map((place) => means.asker.getAt(place, path, ASK_MS, signal, headers).catch(() => null)),
    )
    signal.throwIfAborted()
    const pass = answers.length > 0 && answers.every((answer) => answer !== null && isAmong(answer.status, wanted))
    passes = pass ? passes + 1 : 0
    if (!pass) means.lookAgain(url)
    const isSeen = probes === undefined || targets.all[url]?.health === 'healthy'
    if (isSeen && passes >= (probes?.healthyAfter ?? ANSWERS_MIN)) return
    if (steadyMs() >= untilMs) throw new GateClosed(`${url} was not healthy ${within} after its update`)
    await pause(BETWEEN_MS, signal)
  }
}
