/**
 * Signals of a process that serves: the first SIGINT or SIGTERM asks for a clean end, a later one for an end at once, SIGHUP for a
 * reload, SIGUSR2 for an upgrade; SIGUSR1 is nothing. `ServeSignals` is made before anything else is loaded, so that no signal ends the process while it starts.
 * Once another process serves in the place of this one, and this one is still taken for it (upgrade/lifeline.ts), all go to that one too.
 */
import { systemClock } from './clock.ts'

/** npm passes Ctrl-C on to a process that the terminal has told already, so one press may arrive twice. */
const SAME_PRESS_MS = 500

/** Calls `end` at the first signal, and `endNow` at one that comes later than the same key press can. */
export function onEndSignal(end: (signal: NodeJS.Signals) => void, endNow: (signal: NodeJS.Signals) => void): void {
  let firstMs = -1
  const heard = (signal: NodeJS.Signals): void => {
    const nowMs = systemClock.monotonicMs()
    if (firstMs < 0) {
      firstMs = nowMs
      end(signal)
    } else if (nowMs - firstMs > SAME_PRESS_MS) endNow(signal)
  }
  process.on('SIGINT', heard)
  process.on('SIGTERM', heard)
}

/** What is done at a signal, one at a time: however many come meanwhile, one more follows. */
class Repeated {
  readonly #isEnded: () => boolean
  #run: (() => Promise<void>) | null = null
  /** It is asked for and has not begun. */
  #isAskedFor = false
  #isRunning = false

  constructor(isEnded: () => boolean) {
    this.#isEnded = isEnded
  }

  ask(): void {
    this.#isAskedFor = true
    void this.#next()
  }

  /** Calls `run`, which never rejects, from now on, and for what was asked before. */
  begin(run: () => Promise<void>): void {
    this.#run = run
    void this.#next()
  }

  /** Whether it was asked for and had not begun; then it will not. */
  takeBack(): boolean {
    const isAskedFor = this.#isAskedFor
    this.#isAskedFor = false
    return isAskedFor
  }

  async #next(): Promise<void> {
    if (this.#run === null || this.#isRunning) return
    this.#isRunning = true
    while (this.#isAskedFor && !this.#isEnded()) {
      this.#isAskedFor = false
      await this.#run()
    }
    this.#isRunning = false
  }
}

export class ServeSignals {
  readonly #ended = new AbortController()
  readonly #whenEnded = Promise.withResolvers<void>()
  readonly #now = Promise.withResolvers<void>()
  readonly #reload = new Repeated(() => this.ended.aborted)
  readonly #upgrade = new Repeated(() => this.ended.aborted)
  #passOn: ((signal: NodeJS.Signals) => void) | null = null

  constructor() {
    onEndSignal(
      (signal) => {
        this.#ended.abort(signal)
        this.#whenEnded.resolve()
        this.#passOn?.(signal)
      },
      (signal) => {
        this.#now.resolve()
        this.#passOn?.(signal)
      },
    )
    const repeated = (signal: NodeJS.Signals, what: Repeated) => {
      process.on(signal, () => {
        if (this.#passOn === null) what.ask()
        else this.#passOn(signal)
      })
    }
    repeated('SIGHUP', this.#reload)
    if (process.platform === 'win32') return
    repeated('SIGUSR2', this.#upgrade)
    // To other proxies it means to open their logs anew, or to stop. Node would let a debugger in.
    process.on('SIGUSR1', () => {})
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
    this.#reload.begin(reload)
  }

  /** The same for SIGUSR2 and `upgrade`. */
  onUpgrade(upgrade: () => Promise<void>): void {
    this.#upgrade.begin(upgrade)
  }

  /** From now on each signal goes to `passOn`, and so do those that still wait here; those that ask for the end are heard here too. */
  passOn(passOn: (signal: NodeJS.Signals) => void): void {
    this.#passOn = passOn
    if (this.#reload.takeBack()) passOn('SIGHUP')
    if (this.#upgrade.takeBack()) passOn('SIGUSR2')
  }
}
