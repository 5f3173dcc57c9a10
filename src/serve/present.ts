/**
 * The process that serves, as an upgrade sees it (upgrade/upgrade.ts): what it hands over, and how it steps back, forward again, or out.
 *
 * Stepping back: changes are refused with 503 from then on, those that wait for something among them, one that is under way ends first, and rollouts are
 * those of another process. So whatever was answered as done, and whatever the workers have, is in the store when the other one is told to take over,
 * nothing comes after it, and that one reads it before it accepts anything; where it cannot be stored, nothing is handed over. Tables follow the store as long as this process has connections.
 */
import { hostname } from 'node:os'
import type { Logger } from 'pino'
import { type Admin, endsNow } from '../admin/server.ts'
import { untilFree } from '../busy.ts'
import { systemClock } from '../clock.ts'
import type { ConfigFile } from '../control/config-file.ts'
import type { DepartureWatch } from '../control/departure-watch.ts'
import type { RunningControl } from '../control/deps.ts'
import { holdOfSwitch } from '../control/holding.ts'
import { notStored } from '../control/owed.ts'
import { endEvent } from '../cuts.ts'
import { descriptorOfServer } from '../dataplane/socket/handle.ts'
import { TurnoutError } from '../errors.ts'
import { HELD, type SharedMemory } from '../metrics/layout.ts'
import { sumHeld } from '../metrics/load.ts'
import type { Seat } from '../rollout/seat.ts'
import type { Told } from '../upgrade/messages.ts'
import type { Present } from '../upgrade/sides.ts'
import { VERSION } from '../version.ts'
import type { Workers } from '../workers/workers.ts'
import type { Cleanup } from './cleanup.ts'
import type { KeptEvents } from './kept-events.ts'
import { addressOf } from './listener-plan.ts'
import type { ServeOptions } from './options.ts'
import { storeKind, storeUrl } from './store-url.ts'

/** What this process says of itself. */
export const SELF = Object.freeze({ pid: process.pid, version: VERSION })

/** What it says of itself to the other instances of its store. */
export const INSTANCE = Object.freeze({ name: `${hostname()}:${process.pid}`, version: VERSION })

/** Where it is between serving and its end. */
export interface Stage {
  isDraining: boolean
  /** Another process is about to take over from this one, or this one from another: nobody may change anything. */
  isYielded: boolean
  /** Another process accepts for both: the one before this one, or the one that has taken over. */
  isCovered: boolean
  /** Aborts when it begins to drain. */
  readonly leaving: AbortController
}

export interface Parts {
  readonly options: ServeOptions
  readonly memory: SharedMemory
  readonly workers: Workers
  readonly control: RunningControl
  readonly events: Pick<KeptEvents, 'flush'>
  readonly file: ConfigFile
  readonly rollouts: Seat
  readonly departures: DepartureWatch
  readonly admin: Admin
  readonly stage: Stage
  readonly shutdownMs: number
  readonly cleanup: Cleanup
  readonly log: Logger
}

type Close = (taken?: readonly boolean[]) => Promise<Told>

/**
 * Ends all, at most once, and resolves with what was cut: told as an event, which is there after the restart; or with `taken`, which is `isShared` of
 * dataplane/messages.ts, by the process that has taken over. Without it only sockets of a service manager are shared, where the next process finds them.
 */
export function closerOf({ options, workers, control, stage, shutdownMs, cleanup, log }: Parts): Close {
  const { listeners = [], duplicate = null } = options.sockets ?? {}
  const kept = listeners.map((descriptors) => duplicate !== null && descriptors.length > 0)
  let closing: Promise<Told> | null = null
  const end = async (taken?: readonly boolean[]): Promise<Told> => {
    // Requests in flight end first, while health and admin still tell of them.
    const { message, data } = endEvent(await workers.drain(shutdownMs, taken ?? kept))
    const told = { message: `process ${SELF.pid} has ended: ${message}`, data: { ...SELF, ...data } }
    log.info(data, told.message)
    if (taken === undefined) control.publish({ type: 'shutdown', service: null, ...told })
    await cleanup.run()
    return told
  }
  return (taken) => {
    stage.isDraining = true
    stage.leaving.abort(endsNow())
    closing ??= end(taken)
    return closing
  }
}

/** What an upgrade does with these parts; `close` as `closerOf` gives it. */
export function presentOf(parts: Parts, close: Close): Present {
  const { control, events, file, rollouts, departures, admin, stage, log } = parts
  return {
    self: SELF,
    offer: () => offerOf(parts),
    async yield() {
      stage.isYielded = true
      await untilFree(systemClock, () => rollouts.leave())
      // Calls that had begun before, a config file that is read again: whatever comes now comes too late.
      control.yield(true)
      // The queue is one line: once a change that changes nothing has had its turn, all before it are stored.
      await file.check(control.snapshot().services).catch(() => {})
      // What was owed meanwhile is stored by nobody while this one is not to write.
      assertStored(parts)
      // The new one reads them then, and not again.
      await events.flush()
    },
    async takeBack() {
      control.yield(false)
      await untilFree(systemClock, () => rollouts.comeBack())
      stage.isYielded = false
    },
    async drain(isShared) {
      const { predecessor } = parts.options
      predecessor?.leaveEarlier()
      stage.isCovered = true
      // The other one has an admin API. The one that this one has replaced tells nobody else, so this one ends after that.
      const [told] = await Promise.all([close(isShared), admin.close(true), predecessor?.whenOver])
      const before = predecessor?.takeTold() ?? []
      if (before.length === 0) return told
      const message = [told, ...before].map((end) => end.message).join('; ')
      return { message, data: { ...told.data, before: before.map(({ data }) => data) } }
    },
    held: () => heldOver(parts),
    handOver: () => departures.handOver(),
    follow: (change, revision) => control.follow(change, revision),
    publish: (event) => control.publish(event),
    log,
  }
}

/** Throws `conflict` while a switch holds a service: its end would be that of its hook, whose migration would be made for nothing. */
function assertNoSwitch({ control }: Pick<Parts, 'control'>): void {
  const nowMs = systemClock.steadyMs()
  const held = Object.entries(control.snapshot().status).find(([, service]) => holdOfSwitch(service, nowMs) !== null)
  if (held === undefined) return
  throw new TurnoutError('conflict', `A switch holds ${held[0]}. Wait until it is made, or release ${held[0]}.`)
}

/** What is held here longer than `timeouts.shutdown`, after which it is refused. */
function heldOver({ control, memory, shutdownMs }: Parts): ReturnType<Present['held']> {
  const lastMs = systemClock.steadyMs() + shutdownMs
  const held = Object.values(control.snapshot().status).filter(
    ({ hold }) => hold !== undefined && hold.untilMs > lastMs,
  )
  const requests = held.reduce((sum, { slot }) => sum + sumHeld(memory.held, slot, HELD.requests), 0)
  return requests === 0 ? null : { requests, refusedInMs: shutdownMs }
}

/** Throws `conflict` while workers have what the store has not: the new process would go back to that. */
function assertStored({ control }: Parts): void {
  const [service] = control.unstored()
  if (service !== undefined) throw new TurnoutError('conflict', `${notStored(service)} Upgrade then.`)
}

function offerOf(parts: Parts): ReturnType<Present['offer']> {
  const { options, workers, admin } = parts
  assertNoSwitch(parts)
  assertStored(parts)
  const { spec, sockets } = options
  const store = storeUrl(spec.store, options)
  if (storeKind(spec.store) === 'memory') {
    const how = 'set store to sqlite:PATH and restart'
    throw new TurnoutError('conflict', `Nothing can be handed over: a store in memory ends with its process; ${how}.`)
  }
  const isShared = sockets !== undefined && sockets.duplicate !== null
  return {
    store,
    isShared,
    listeners: spec.listeners.map((listener, i) => ({
      ...addressOf(listener),
      bound: workers.ports[i],
      descriptors: isShared && sockets.listeners[i].length > 0 ? sockets.listeners[i] : workers.descriptors[i],
    })),
    admin: {
      ...addressOf(spec.admin),
      bound: Number(new URL(admin.address).port),
      descriptors: [descriptorOfServer(admin.server)],
    },
  }
}
