import type { Clock } from '../../clock.ts'

/** Resolves after so many ms; rejects with the reason of `signal`. */
export function waitFor(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = () => {
      cancel()
      reject(signal.reason as Error)
    }
    const cancel = clock.after(ms, () => {
      signal.removeEventListener('abort', gone)
      resolve()
    })
    if (signal.aborted) gone()
    else signal.addEventListener('abort', gone, { once: true })
  })
}
