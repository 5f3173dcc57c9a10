/**
 * What it means that the deadline of a phase has passed: who is too late, or nobody, because whoever is waited for makes
 * progress. Progress is that bytes are taken, however slowly; it is looked at from one deadline to the next.
 */
import type { Upstream } from '../upstream/upstream.ts'
import type { Downstream } from './downstream.ts'

/** `waiting` is for the target, with all of the request, or with a head that asks it whether to send the rest (100-continue). */
export type Phase = 'none' | 'queued' | 'connecting' | 'sending' | 'waiting' | 'relaying' | 'inherited'

/** Who is too late: `room` all who have some, or who might end a hold, `connect` and `target` the target, `request` the client with its request, `client` with its answer. */
export type Lapse = 'room' | 'connect' | 'request' | 'target' | 'client' | 'nobody'

/**
 * Who is too late in this phase. From here on it is seen what they take. `isAsked` says that the client waits to be told to send the body of
 * its request.
 */
export function lapseOf(phase: Phase, downstream: Downstream, upstream: Upstream | null, isAsked: boolean): Lapse {
  if (phase === 'queued') return 'room'
  if (phase === 'connecting' || upstream === null) return 'connect'
  if (phase === 'relaying' && downstream.unsentBytes > 0) return takes(downstream) ? 'nobody' : 'client'
  const isTaking = upstream.isFull || (phase === 'waiting' && upstream.undelivered > 0)
  if (isTaking && takes(upstream)) return 'nobody'
  if (phase === 'sending') return upstream.isFull ? 'target' : 'request'
  // A target that has all that has come may well wait for the rest; so a client that sends none is no failure of it.
  const lacksMore = phase === 'relaying' && !isAsked && !upstream.requestSent && upstream.unsentBytes === 0
  return lacksMore ? 'request' : 'target'
}

function takes(side: Downstream | Upstream): boolean {
  const { hasMoved } = side
  side.mark()
  return hasMoved
}
