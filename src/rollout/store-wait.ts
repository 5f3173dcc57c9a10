/**
 * A wait for what cannot be done now and must be done in the end, such as a change while the store is away: a gate for as long as it
 * lasts, so that whoever asks sees what is waited for, and told once to those who listen.
 */
import { ERRORS, isTurnoutError } from '../errors.ts'
import type { GateLog, OpenGate } from './gates/gate-log.ts'

/** Trying again can help: nothing has changed, and nothing was wrong with what was asked. */
export const isForNow = (error: unknown): boolean => isTurnoutError(error) && ERRORS[error.code].retry === 'unsent'

export class StoreWait {
  readonly #log: GateLog
  readonly #at: string | null
  readonly #tell: (error: Error) => void
  #open: OpenGate | null = null

  /** `at` names what is waited for, where there are several; `tell` is called once. */
  constructor(log: GateLog, at: string | null, tell: (error: Error) => void) {
    this.#log = log
    this.#at = at
    this.#tell = tell
  }

  /** It could not be done this time. */
  note(thrown: unknown): void {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown))
    if (this.#open === null) {
      this.#open = this.#log.begin(isForNow(error) ? 'store' : 'change', this.#at)
      this.#tell(error)
    }
    this.#open.say(error.message)
  }

  /** It is done, or nobody wants it any more. */
  end(): void {
    this.#open?.end('passed', null)
    this.#open = null
  }
}
