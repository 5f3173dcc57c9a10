/**
 * An abort that is sent to a process which does not run the rollout: it stands in the store for the one that does, with a line of the audit.
 *
 * The line moves the revision, so the other process hears of it as of every change, within half a second. One that takes the rollout up later
 * finds it there too. It says how the rollout stands when it is written, and is not written once that is over. It may come while the last step is
 * on its way there: what is done then goes back all the same, unless that end was kept first (control/ended.ts).
 */
import type { Logger } from 'pino'
import { untilFree } from '../busy.ts'
import type { Control } from '../change.ts'
import { type Clock, sleep } from '../clock.ts'
import { own } from '../config/record.ts'
import { isTurnoutError, TurnoutError } from '../errors.ts'
import type { Store } from '../store/store.ts'
import type { Kept } from './kept.ts'
import { retry } from './retry.ts'
import { isOver, type RolloutEvent } from './rollout.ts'
import type { ToldRollout } from './told.ts'

const LOOK_MS = 100
/** Others may change something each time that it was just read how the rollout stands. In the end the abort is worth more than what is said of that. */
const TRIES_MAX = 20
/** How long whoever has sent it waits for the other process. */
const FOLLOWED_MS = 5_000

interface Note {
  readonly id: string
  readonly by: string
}

export interface PassedOnDeps {
  readonly control: Control
  readonly clock: Clock
  /** Reads how the rollout stands. */
  refresh(): Promise<void>
}

interface FollowDeps {
  readonly store: Pick<Store, 'get' | 'put'>
  readonly clock: Clock
  readonly log: Pick<Logger, 'warn'>
}

const keyOf = (service: string) => `rollout-abort:${service}`

/**
 * Passes an abort on; resolves when traffic is back here, or when it came too late, since the rollout is over: `told` gives it as it was read last.
 * Rejects with `not_ready` when the other process has not followed it in time.
 */
export async function passAbortOn(deps: PassedOnDeps, by: string, told: () => ToldRollout): Promise<void> {
  const { control, clock } = deps
  const { service, id } = told()
  await note(deps, by, told)
  const untilMs = clock.steadyMs() + FOLLOWED_MS
  const isForward = (): boolean => {
    const { trial, done } = own(control.snapshot().status, service) ?? {}
    const isTried = trial !== undefined && (trial.rollout ?? id) === id
    return isTried || (done?.rollout === id && told().state !== 'done')
  }
  while (isForward()) {
    if (clock.steadyMs() >= untilMs) {
      const message = `The abort of rollout ${id} stands in the store, but the process that runs it has not followed it within 5 s. It does once it can, or else the one that takes the rollout up.`
      throw new TurnoutError('not_ready', message)
    }
    await sleep(clock, LOOK_MS)
  }
}

/** Keeps the abort with its line, unless the rollout is over before. */
async function note({ control, clock, refresh }: PassedOnDeps, by: string, told: () => ToldRollout): Promise<void> {
  const reason = `abort asked for by ${by} at a process that does not run it`
  const sinceMs = clock.nowMs()
  for (let tries = 1; ; tries++) {
    const { revision } = control.snapshot()
    await refresh()
    const rollout = told()
    if (isOver(rollout)) return
    const { service, id, to, state, weight } = rollout
    const asked = { verb: 'abort', askedBy: by, reason, sinceMs } as const
    const named = { [keyOf(service)]: JSON.stringify({ id, by } satisfies Note) }
    const only = tries < TRIES_MAX ? { ifMatch: revision } : {}
    try {
      const line = { kind: 'rollout', service, rollout: id, to, state, weight, ...asked } as const
      await control.change(line, { actor: `rollout ${id}`, named, ...only })
      return
    } catch (error) {
      if (tries === TRIES_MAX || !isTurnoutError(error, 'stale_revision')) throw error
    }
  }
}

/** What it is followed by. */
interface Followed {
  readonly kept: Pick<Kept, 'service' | 'rollout'>
  /** It is not run here any more. */
  readonly isEnded: boolean
  send(event: RolloutEvent): Promise<unknown>
}

/** Follows an abort that another process has been sent, if there is one; whether there is, is asked until it is known, or the rollout has ended. */
export async function followPassed({ store, clock, log }: FollowDeps, running: Followed): Promise<void> {
  const { service, rollout } = running.kept
  let text: string | null = null
  let isTold = false
  const read = async (): Promise<void> => {
    text = await store.get(keyOf(service))
  }
  const unread = (err: unknown): void => {
    if (!isTold) log.warn({ err, service }, 'whether another process was sent an abort cannot be read yet')
    isTold = true
  }
  if (!(await retry(clock, read, unread, () => !running.isEnded)) || text === null) return
  try {
    const note = JSON.parse(text) as Note
    if (note.id !== rollout.id) return
    await running.send({ type: 'abort', by: note.by })
    await untilFree(clock, () => store.put(keyOf(service), null))
  } catch (err) {
    log.warn({ err, service }, 'an abort that another process was sent cannot be followed, or forgotten')
  }
}
