import type { Call } from './verb.ts'

/** Waits, or returns early when the user ends the verb. Keeps the process alive meanwhile. */
export function pause({ clock, signal }: Pick<Call, 'clock' | 'signal'>, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    // The clock's timers do not hold a process; nothing else may be open while this waits.
    const alive = new MessageChannel()
    alive.port1.ref?.()
    const done = (): void => {
      cancel()
      signal.removeEventListener('abort', done)
      alive.port1.close()
      resolve()
    }
    const cancel = clock.after(delayMs, done)
    signal.addEventListener('abort', done)
    if (signal.aborted) done()
  })
}
