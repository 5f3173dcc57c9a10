/** Looks again and again whether another process has written to the store; one look at a time. */
import type { Clock } from '../clock.ts'

/** Time between the end of a look and the next one. */
export const LOOK_MS = 500

export interface Follower {
  /** Looks now, or right after the look that is under way. */
  hurry(): void
  end(): void
}

/** Calls `look` every LOOK_MS from now on; what it rejects with is its own to tell. */
export function startFollower(clock: Clock, look: () => Promise<void>): Follower {
  let isEnded = false
  let isLooking = false
  let isDue = false
  let cancel = () => {}
  const arm = (delayMs: number): void => {
    if (!isEnded) cancel = clock.after(delayMs, begin)
  }
  const looked = (): void => {
    isLooking = false
    arm(isDue ? 0 : LOOK_MS)
  }
  const begin = (): void => {
    isLooking = true
    isDue = false
    look().then(looked, looked)
  }
  arm(LOOK_MS)
  return {
    hurry() {
      if (isLooking) isDue = true
      else {
        cancel()
        arm(0)
      }
    },
    end() {
      isEnded = true
      cancel()
    },
  }
}
