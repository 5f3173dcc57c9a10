/**
 * How a rollout is kept: with what its verdict and its gates have come to, at every change, and every 10 s while nothing but its clock and its
 * tests change. After a restart they go on from there; what they have not seen since is lost, which is no harm.
 */
import { untilFree } from '../busy.ts'
import type { RolloutLine } from '../change.ts'
import type { Clock } from '../clock.ts'
import type { GateLog } from './gates/gate-log.ts'
import type { Judging } from './judging.ts'
import type { Kept } from './kept.ts'
import { isOver } from './rollout.ts'

const KEEP_MS = 10_000

export interface KeepingDeps {
  readonly clock: Clock
  /** Keeps it, for good, with its line in the audit at once; resolves when the store has both. */
  save(kept: Kept, line: RolloutLine | null): Promise<void>
}

export class Keeping {
  /** What the present event has changed cannot be kept yet. */
  isUnkept = false
  readonly #deps: KeepingDeps
  readonly #judging: Judging
  readonly #gateLog: GateLog
  #atMs = 0

  constructor(deps: KeepingDeps, judging: Judging, gateLog: GateLog) {
    this.#deps = deps
    this.#judging = judging
    this.#gateLog = gateLog
  }

  /** With what the verdict and the gates have come to. */
  noted(kept: Kept): Kept {
    if (isOver(kept.rollout)) this.#gateLog.close()
    const { live, answers, forgiven, given, harm, taken, verdict } = this.#judging
    // Nothing is taken any more of one that is over.
    const postKeys = isOver(kept.rollout) ? undefined : given.postKeys
    const told = { verdict: this.#judging.told(kept), gates: this.#gateLog.entries }
    return { ...kept, ...told, live, tests: verdict.states, taken, postKeys, answers, forgiven, harm }
  }

  /** Keeps it; while that has not come to be, `isUnkept`. */
  async keep(kept: Kept, line: RolloutLine | null): Promise<void> {
    this.#atMs = this.#deps.clock.steadyMs()
    this.isUnkept = true
    await this.#deps.save(kept, line)
    this.isUnkept = false
  }

  /** Keeps one that is about to begin. */
  keepNew(kept: Kept): Promise<void> {
    return untilFree(this.#deps.clock, () => this.#deps.save(kept, null))
  }

  /** Keeps what a person has asked for before it is so, unless it is overtaken. Rejects when that cannot be kept. */
  async keepFirst(next: Kept, line: RolloutLine | null, isOvertaken: () => boolean): Promise<void> {
    const noted = this.noted(next)
    try {
      await untilFree(this.#deps.clock, async () => {
        if (!isOvertaken()) await this.keep(noted, line)
      })
    } catch (error) {
      this.isUnkept = false
      throw error
    }
  }

  /** Nothing was kept for so long that how far the clock and the tests have come is lost in a crash. */
  get isDue(): boolean {
    return this.#deps.clock.steadyMs() - this.#atMs >= KEEP_MS
  }

  /**
   * Keeps the step of a rollout that has begun, by which whoever takes it up knows that it has, also where its traffic was taken back before more
   * was kept. A store that is busy is waited for; where it is away, the first look tries again.
   */
  async keepBegun(kept: Kept): Promise<void> {
    try {
      await untilFree(this.#deps.clock, () => this.#deps.save(kept, null))
      this.#atMs = this.#deps.clock.steadyMs()
    } catch {
      // As said.
    }
  }

  /** Keeps how far they have come; when the store is away, that waits. */
  async keepMeanwhile(kept: Kept): Promise<void> {
    this.#atMs = this.#deps.clock.steadyMs()
    await this.#deps.save(kept, null).catch(() => {})
  }
}
