/**
 * The work of one rollout: one at a time is under way, and how it ends is told.
 *
 * A way back overtakes what is under way: it waits for nothing any more and changes no target, but a hook that was called is not cut off
 * in the middle. Targets are restored, or replaced once more, when that has ended, so that none is updated twice at the same time.
 */
import { TurnoutError } from '../errors.ts'
import { type AboutDeps, aboutOf } from './gates/about.ts'
import { GateClosed } from './gates/gate.ts'
import type { GateLog } from './gates/gate-log.ts'
import type { Gates } from './gates/gates.ts'
import type { StillVersion } from './gates/still-version.ts'
import type { Kept } from './kept.ts'
import { notifyWait } from './news.ts'
import type { RolloutEvent, Task } from './rollout.ts'

export interface WorksDeps extends AboutDeps {
  readonly gates: Pick<Gates, 'run' | 'versions' | 'notify'>
}

export class Works {
  readonly #deps: WorksDeps
  readonly #log: GateLog
  readonly #end: AbortSignal
  readonly #kept: () => Kept
  readonly #overtaken = new AbortController()
  readonly #versions: StillVersion
  #last: Promise<unknown> = Promise.resolve()

  /**
   * `end` ends all of it; `kept` is the rollout as it is now; `tell` hears of a target that has another version by now.
   */
  constructor(
    deps: WorksDeps,
    log: GateLog,
    end: AbortSignal,
    kept: () => Kept,
    tell: (wrong: string) => Promise<unknown>,
  ) {
    this.#kept = kept
    this.#versions = deps.gates.versions(
      end,
      (wrong) => void tell(wrong).catch(() => {}),
      (error) => this.#tellBroken(error),
    )
    this.#deps = deps
    this.#log = log
    this.#end = end
    // Who goes and comes back between two looks is seen by what is told of it.
    end.addEventListener(
      'abort',
      deps.control.subscribe(() => this.look()),
      { once: true },
    )
  }

  /** Looks after the targets that have the new version. */
  look(): void {
    const kept = this.#kept()
    this.#versions.look(() => aboutOf(kept, this.#deps, this.#log, this.#end), kept.rollout)
  }

  /** Aborts when a way back begins. */
  get overtaken(): AbortSignal {
    return this.#overtaken.signal
  }

  /** A way back begins. */
  overtake(): void {
    this.#overtaken.abort(new Error('the rollout goes back'))
  }

  /** Does work; resolves with how it has ended, or null when nobody waits for that any more. */
  async run(kept: Kept, work: Task, works: number): Promise<RolloutEvent | null> {
    const isWayBack = work === 'restoring' || work === 'onRollback'
    if (work === 'restoring' || work === 'replacing') await this.#last
    const signal = isWayBack ? this.#end : AbortSignal.any([this.#end, this.#overtaken.signal])
    const about = aboutOf(kept, this.#deps, this.#log, this.#end, {
      goesOn: (done) => this.#note(done),
      hurriedBy: () => this.#kept().rollout.hurriedBy ?? null,
      notifyWait: (why) => notifyWait(why, this.#kept(), this.#deps),
    })
    const done = this.#deps.gates.run(work, about, signal)
    this.#note(done)
    return done.then(
      () => (this.#end.aborted ? null : { type: 'passed', works }),
      (error: Error) => {
        if (signal.aborted) return null
        // Anything but a no, of a gate or of the state of the service, is a bug of ours.
        if (!(error instanceof GateClosed || error instanceof TurnoutError)) {
          this.#tellBroken(error)
        }
        return { type: 'failed', works, reason: error.message }
      },
    )
  }

  #tellBroken(error: unknown): void {
    this.#deps.log.error({ err: error, rollout: this.#kept().rollout.id }, 'a gate of a rollout has broken')
  }

  #note(done: Promise<unknown>): void {
    this.#last = Promise.allSettled([this.#last, done])
  }
}
