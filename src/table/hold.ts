/**
 * A hold: the requests of a service wait, all of them or its writes, until it is released or its time is over. Pure.
 *
 * A hold ends by itself at `untilMs`, whatever becomes of whoever began it, and is of no account from then on; so nobody has to take it away.
 * With `only: writes` what is safe by its method (RFC 9110 9.2.1) goes on; an upgrade does not, since nobody sees what its tunnel writes.
 */
import { isSafe } from './methods.ts'
import type { RequestView } from './types.ts'

export interface Hold {
  /** By which it is told from the one before and the next. */
  readonly id: string
  /** When it began and when it ends by itself; steady ms. */
  readonly sinceMs: number
  readonly untilMs: number
  readonly only: 'all' | 'writes'
  /** Requests of the service that may wait, over all workers. */
  readonly queueMax: number
  /** Bytes that these may take in memory: of what has come of them. */
  readonly bytesMax: number
  /** A switch is under way that has begun it, and is called off when it ends; absent for any other. */
  readonly isOfSwitch?: true
}

/** Whether a request is to wait now. */
export function isHeld(hold: Hold, view: RequestView, nowMs: number): boolean {
  return nowMs < hold.untilMs && concerns(hold, view)
}

/** Whether it is a request of the kind that is held. */
export function concerns({ only }: Pick<Hold, 'only'>, view: RequestView): boolean {
  return only === 'all' || isWrite(view)
}

const isWrite = (view: RequestView): boolean => !isSafe(view.method) || view.header('upgrade') !== undefined
