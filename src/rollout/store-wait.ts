/**
 * A wait for what cannot be done now and must be done in the end, such as a change while the store is away: a gate for as long as it
 * lasts, so that whoever asks sees what is waited for, and told once to those who listen.
 */
import type { Clock } from '../clock.ts'
import { ERRORS, isTurnoutError, TurnoutError } from '../errors.ts'
import type { GateLog, OpenGate } from './gates/gate-log.ts'
import { retry } from './retry.ts'
import { isBack, type Rollout, type RolloutEvent } from './rollout.ts'

/** Trying again can help: nothing has changed, and nothing was wrong with what was asked. */
export const isForNow = (error: unknown): boolean => isTurnoutError(error) && ERRORS[error.code].retry === 'unsent'

/** What a person asks for is kept before it is so, or is not done; an abort alone is tried until it is done. */
export const isWithdrawn = (event: RolloutEvent): boolean => 'by' in event && event.type !== 'abort'

/** What is said of one that has done all, while its end cannot be stored: no verb is followed any more. */
const DONE =
  'the rollout is done, which is stored as soon as that can be; what leads back after that is a back, or another rollout'

/** Why a person's verb was not followed; `isDone`: all but its end is stored. What is no failure of ours to foresee stays as it is. */
export function notFollowed(error: unknown, { state }: Rollout, isDone: boolean): unknown {
  if (!isTurnoutError(error)) return error
  const after = isBack({ state }) ? '' : ', and is judged all the while; an abort is followed all the same'
  const how = isDone ? DONE : `the rollout is ${state}${after}`
  return new TurnoutError(error.code, `${error.message} Nothing was done: ${how}.`)
}

/** Why an abort is not through yet, and what becomes of it; `isDone`: it comes too late, since all but the end of the rollout is stored. */
export function notBack(error: unknown, rollout: Rollout, isTried: boolean, isDone: boolean): unknown {
  if (isDone) return notFollowed(error, rollout, isDone)
  if (!isTurnoutError(error)) return error
  const { to } = rollout
  const where = isTried
    ? `Until then the targets of ${to} are out, as far as others can take their traffic.`
    : 'Traffic is back.'
  const message = `${error.message} The rollout is aborted and goes back by itself as soon as that can be stored, as long as this process lives. ${where}`
  return new TurnoutError(error.code, message)
}

/** The same, where another process is to run it before that. Nobody knows here whether that one has heard of the abort. */
export const notBackHere = ({ id }: Rollout): TurnoutError => {
  const message = `Rollout ${id} is not run here any more, and the abort was not stored before. Send it again: it is followed by whoever runs the rollout.`
  return new TurnoutError('not_ready', message)
}

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

/** What of one rollout must be done in the end: tried until it is, and told as a wait meanwhile. */
export class Waits {
  /** Why something cannot be done at present; null where nothing waits. */
  failed: unknown = null
  readonly #clock: Pick<Clock, 'after' | 'monotonicMs'>
  readonly #log: GateLog
  readonly #end: AbortSignal
  readonly #tell: (what: string, error: Error) => void
  readonly #isOurs: () => boolean | Promise<boolean>

  /** `end` ends all of it; `tell` is called once for each wait; `isOurs`, before each try, says whether it is still to be done here, and else ends all. */
  constructor(
    clock: Pick<Clock, 'after' | 'monotonicMs'>,
    log: GateLog,
    end: AbortSignal,
    tell: (what: string, error: Error) => void,
    isOurs: () => boolean | Promise<boolean>,
  ) {
    this.#clock = clock
    this.#log = log
    this.#end = end
    this.#tell = tell
    this.#isOurs = isOurs
  }

  /** Tries until it is done; false when the process ends, or it is not wanted any more. */
  async until(what: string, attempt: () => Promise<void>, isWanted = () => true): Promise<boolean> {
    const wait = new StoreWait(this.#log, null, (error) => this.#tell(what, error))
    const note = (error: unknown) => {
      this.failed = error
      wait.note(error)
    }
    const ours = async () => {
      const isOurs = this.#isOurs()
      if (!(isOurs === true || (await isOurs))) throw this.#end.reason
      await attempt()
    }
    const isDone = await retry(this.#clock, ours, note, () => isWanted() && !this.#end.aborted)
    this.failed = null
    wait.end()
    return isDone
  }
}
