/** Tries again what must be done in the end: a store that is away comes back. */
import type { Clock } from '../clock.ts'

const PAUSE_MS = 500

/** Tries until it is done, `failed` being told each time that it is not; false when nobody wants it any more. */
export async function retry(
  { after }: Pick<Clock, 'after'>,
  attempt: () => Promise<void>,
  failed: (error: unknown) => void,
  isWanted: () => boolean,
): Promise<boolean> {
  for (;;) {
    try {
      await attempt()
      return true
    } catch (error) {
      failed(error)
      await new Promise<void>((resolve) => after(PAUSE_MS, resolve))
      if (!isWanted()) return false
    }
  }
}
