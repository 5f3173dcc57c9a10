/**
 * The process that this one is to replace, as the new one knows it: what it offers, and what the two say to each other.
 *
 * When it is gone, however it ended, nobody is left to wait for: what it wrote is in the store, its sockets are here too, and the kernel has
 * freed its lock. So the new process goes on as though it had been told to take over, and nothing more is said. Those before it that are not over
 * either (earlier.ts) are waited for all the same.
 */

import type { Change } from '../change.ts'
import type { Clock } from '../clock.ts'
import type { HandedDepartures } from '../control/old-departures.ts'
import { EarlierProcesses } from './earlier.ts'
import {
  type EarlierProcess,
  type FromSuccessor,
  isSaid,
  OFFER_VARIABLE,
  type Offer,
  type Ready,
  readHanded,
  readOffer,
  sealed,
  type Told,
  toldIn,
} from './messages.ts'

/** The old process says before that what it cannot do. */
const YOURS_MS_MAX = 60_000

/** The way to the old process: `process` itself, when it was started with a channel. */
export interface Channel {
  readonly connected: boolean
  send?(message: object, done: (error: Error | null) => void): unknown
  on(event: 'message', listener: (sent: unknown) => void): unknown
  once(event: 'disconnect', listener: () => void): unknown
}

export class Predecessor {
  readonly offer: Offer
  readonly #channel: Channel
  readonly #clock: Pick<Clock, 'after'>
  readonly #yours = Promise.withResolvers<void>()
  readonly #earlier: EarlierProcesses
  readonly #over = Promise.withResolvers<void>()
  #isOver = false
  #left: readonly EarlierProcess[] = []
  #untold: Told[] = []
  #onEnd: () => void = () => {}
  #onLetGo: (handed: HandedDepartures, pid: number) => void = () => {}

  constructor(offer: Offer, channel: Channel, clock: Pick<Clock, 'after'>) {
    this.offer = offer
    this.#channel = channel
    this.#clock = clock
    this.#earlier = new EarlierProcesses(offer.earlier ?? [], {
      letGo: (handed, pid) => this.#onLetGo(handed, pid),
      ended: (told) => this.#note(told),
    })
    channel.on('message', (sent) => {
      if (isSaid(sent, 'yours')) this.#yours.resolve()
      const handed = readHanded(sent)
      if (handed !== null) this.#onLetGo(handed, offer.from.pid)
      if (isSaid(sent, 'drained')) this.#ends(toldIn(sent))
    })
    channel.once('disconnect', () => this.#isGone())
    if (!channel.connected) this.#isGone()
  }

  #isGone(): void {
    this.#yours.resolve()
    const { pid } = this.offer.from
    const message = `process ${pid} is gone, and has not said what it still had under way`
    this.#ends({ message, data: { ...this.offer.from } })
  }

  #ends(told: Told | null): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#note(told)
  }

  #note(told: Told | null): void {
    if (told !== null) this.#untold.push(told)
    this.#onEnd()
    if (this.busyPid === null) this.#over.resolve()
  }

  /** The process id of one that still has requests and tunnels under way, which nobody counts here; null when none has. */
  get busyPid(): number | null {
    const { pid } = this.offer.from
    return this.#isOver ? (this.earlier.find((process) => process.pid !== pid)?.pid ?? null) : pid
  }

  /** Whether a process before this one is over, or unknown. Of those that the process after this one looks at nothing new is known. */
  isOver(pid: number): boolean {
    if (pid === this.offer.from.pid) return this.#isOver
    return [...this.#left, ...this.#earlier.all].every((process) => process.pid !== pid)
  }

  /** Resolves when none has any more. */
  get whenOver(): Promise<void> {
    return this.#over.promise
  }

  /** Those that are not over, for the process after this one. */
  get earlier(): readonly EarlierProcess[] {
    return this.#earlier.all
  }

  /** The process after this one looks at them from now on; of the one before this one only this one hears. */
  leaveEarlier(): void {
    this.#left = this.#earlier.all
    this.#earlier.close()
    this.#note(null)
  }

  /** Calls `hear` from now on whenever one has ended. */
  onEnd(hear: () => void): void {
    this.#onEnd = hear
  }

  /** What they have told of their ends since the last call. */
  takeTold(): readonly Told[] {
    return this.#untold.splice(0)
  }

  /** Calls `hear` from now on with whose tunnels they close, and the process id of who tells it. */
  onLetGo(hear: (handed: HandedDepartures, pid: number) => void): void {
    this.#onLetGo = hear
  }

  /** This process routes by a change that the store may not have, made at this revision: so shall what is under way there. */
  routed(change: Change, revision: number): void {
    if (!this.#isOver) void this.#say({ type: 'routed', change, revision })
  }

  /** Tables are built, and all that could be looked at before is. */
  built(): void {
    void this.#say({ type: 'built' })
  }

  /** Targets have been probed. */
  probed(): void {
    void this.#say({ type: 'probed' })
  }

  /** Asks to take over; resolves when the old process writes no more, or is gone. */
  async takeOver(): Promise<void> {
    void this.#say({ type: 'asks' })
    const { promise: late, reject } = Promise.withResolvers<never>()
    const cancel = this.#clock.after(YOURS_MS_MAX, () => reject(new Error('the old process does not hand over')))
    try {
      await Promise.race([this.#yours.promise, late])
    } finally {
      cancel()
    }
  }

  /** This process serves. */
  ready(ready: Ready): void {
    this.#earlier.read()
    void this.#say({ type: 'ready', ...ready })
  }

  /** This process ends; resolves when that is said. */
  failed(message: string): Promise<void> {
    return this.#say({ type: 'failed', message })
  }

  #say(message: FromSuccessor): Promise<void> {
    const channel = this.#channel
    if (!channel.connected) return Promise.resolve()
    return new Promise((resolve) => channel.send?.(sealed(message), () => resolve()))
  }
}

/** The offer that this process was started with, taken out of `env`; null when there is none, and the reason when it cannot be followed. */
export function takeOffer(env: Record<string, string | undefined>): Offer | string | null {
  const text = env[OFFER_VARIABLE]
  // What this process starts is not meant.
  delete env[OFFER_VARIABLE]
  return text === undefined ? null : readOffer(text)
}
