/** Tries again what must be done in the end: a store that is away comes back, and one that another process has locked is soon free. */
import { Patience } from '../busy.ts'
import { type Clock, sleep } from '../clock.ts'

const PAUSE_MS = 500

/** Tries until it is done, `failed` being told each time that it is not, unless that is no news yet; false when nobody wants it any more. */
export async function retry(
  clock: Pick<Clock, 'after' | 'monotonicMs'>,
  attempt: () => Promise<void>,
  failed: (error: unknown) => void,
  isWanted: () => boolean,
): Promise<boolean> {
  const patience = new Patience(clock)
  for (;;) {
    try {
      await attempt()
      return true
    } catch (error) {
      if (!isWanted()) return false
      const pauseMs = patience.pauseMs(error)
      if (pauseMs === null) failed(error)
      await sleep(clock, pauseMs ?? PAUSE_MS)
      if (!isWanted()) return false
    }
  }
}
