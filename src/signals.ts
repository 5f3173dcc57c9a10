/**
 * Signals of a process that serves: the first SIGINT or SIGTERM asks for a clean end, a later one for an end at once, SIGHUP for a
 * reload. `ServeSignals` is made before anything else is loaded, so that no signal ends the process while it starts.
 */
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

export class ServeSignals {
  readonly #ended = new AbortController()
  readonly #whenEnded = Promise.withResolvers<void>()
  readonly #now = Promise.withResolvers<void>()
  #reload: (() => Promise<void>) | null = null
  /** A reload is asked for and has not begun. */
  #isAskedFor = false
  #isReloading = false

  constructor() {
    onEndSignal(
      (signal) => {
        this.#ended.abort(signal)
        this.#whenEnded.resolve()
      },
      () => this.#now.resolve(),
    )
    process.on('SIGHUP', () => {
      this.#isAskedFor = true
      void this.#next()
    })
  }

  /** Aborts with the name of the first signal that asks for the end. */
  get ended(): AbortSignal {
    return this.#ended.signal
  }

  /** Resolves at that signal. */
  get whenEnded(): Promise<void> {
    return this.#whenEnded.promise
  }

  /** Resolves at a later signal that asks for the end. */
  get now(): Promise<void> {
    return this.#now.promise
  }

  /**
   * Calls `reload`, which never rejects, at each SIGHUP, and for those that came before. One runs at a time, and however many come
   * meanwhile, one more follows: it reads what the file is by then.
   */
  onReload(reload: () => Promise<void>): void {
    this.#reload = reload
    void this.#next()
  }

  async #next(): Promise<void> {
    if (this.#reload === null || this.#isReloading) return
    this.#isReloading = true
    while (this.#isAskedFor && !this.ended.aborted) {
      this.#isAskedFor = false
      await this.#reload()
    }
    this.#isReloading = false
  }
}
