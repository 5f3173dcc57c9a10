/** SIGINT and SIGTERM: the first one asks for a clean end, a later one for an end at once. */
import { systemClock } from './clock.ts'

/** npm passes Ctrl-C on to a process that the terminal has told already, so one press may arrive twice. */
const SAME_PRESS_MS = 500

/** Calls `end` at the first signal, and `endNow` at one that comes later than the same key press can. */
export function onEndSignal(end: (signal: string) => void, endNow: () => void): void {
  let firstMs = -1
  const heard = (signal: string): void => {
    const nowMs = systemClock.monotonicMs()
    if (firstMs < 0) {
      firstMs = nowMs
      end(signal)
    } else if (nowMs - firstMs > SAME_PRESS_MS) endNow()
  }
  process.on('SIGINT', heard)
  process.on('SIGTERM', heard)
}
