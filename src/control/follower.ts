/** Looks again and again whether another process has written to the store; one look at a time. */
import type { Clock } from '../clock.ts'

/** Time between the end of a look and the next one. */
export const LOOK_MS = 500

/** Calls `look` every LOOK_MS from now on; what it rejects with is its own to tell. The returned function ends it. */
export function startFollower(clock: Clock, look: () => Promise<void>): () => void {
  let isEnded = false
  let cancel = () => {}
  const arm = (): void => {
    if (isEnded) return
    cancel = clock.after(LOOK_MS, () => {
      look().then(arm, arm)
    })
  }
  arm()
  return () => {
    isEnded = true
    cancel()
  }
}
