/**
 * The end of a tunnel on the side of its target: what is written still leaves before the connection goes, while the target takes any of
 * it. The exchange is over by then, so a timer of its own watches that.
 */
import { systemClock } from '../../clock.ts'
import type { Upstream } from '../upstream/upstream.ts'

/** Ends our side, and closes the connection once all has left, or when the target has taken nothing for so long. */
export function endUpstream(upstream: Upstream, sendMs: number): void {
  // Node tells nobody of the end of a socket that was destroyed before.
  if (upstream.isGone) return
  upstream.mark()
  const stop = systemClock.every(sendMs, () => {
    if (!upstream.hasMoved) upstream.destroy()
    upstream.mark()
  })
  upstream.end(() => {
    stop()
    upstream.destroy()
  })
}
