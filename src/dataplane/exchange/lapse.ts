/**
 * What it means that the deadline of a phase has passed: who is too late, or nobody, because whoever is waited for makes
 * progress. Progress is that bytes are taken, however slowly; it is looked at from a mark to the deadline, and from one deadline to the next.
 */
import type { Upstream } from '../upstream/upstream.ts'
import type { Downstream } from './downstream.ts'

/** `waiting` is for the target, with all of the request, or with a head that asks it whether to send the rest (100-continue). */
export type Phase = 'none' | 'queued' | 'connecting' | 'sending' | 'waiting' | 'relaying' | 'inherited'

/**
 * Who is too late: `room` all who have some, or who might end a hold, `connect` and `target` the target, `request` the client with its request,
 * `client` with its answer. `half` is nobody yet: an answer has as much time again.
 */
export type Lapse = 'room' | 'connect' | 'request' | 'target' | 'client' | 'half' | 'nobody'

/**
 * Who is too late in this phase. From here on it is seen what they take; `isMarked` says that it was so far. `isAsked` says that the client
 * waits to be told to send the body of its request.
 */
export function lapseOf(
  phase: Phase,
  downstream: Downstream,
  upstream: Upstream | null,
  isAsked: boolean,
  isMarked: boolean,
): Lapse {
  if (phase === 'queued') return 'room'
  if (phase === 'connecting' || upstream === null) return 'connect'
  if (phase === 'sending') return upstream.isFull ? lapseOfTarget(upstream) : 'request'
  if (!isMarked) {
    // A target that is full was marked as it became so.
    if (phase === 'relaying') downstream.mark()
    else upstream.mark()
    return 'half'
  }
  if (phase === 'relaying' && downstream.unsentBytes > 0) return takes(downstream) ? 'nobody' : 'client'
  if (upstream.isFull || (phase === 'waiting' && upstream.undelivered > 0)) return lapseOfTarget(upstream)
  // A target of HTTP/1.0 knows no 100, and is right to wait for what the client does not send.
  if (isAsked) return upstream.isHttp11 ? 'target' : 'request'
  // So is one whose answer has begun and that has all that has come.
  return phase === 'relaying' && !upstream.requestSent && upstream.unsentBytes === 0 ? 'request' : 'target'
}

const lapseOfTarget = (upstream: Upstream): Lapse => (takes(upstream) ? 'nobody' : 'target')

function takes(side: Downstream | Upstream): boolean {
  const { hasMoved } = side
  side.mark()
  return hasMoved
}
