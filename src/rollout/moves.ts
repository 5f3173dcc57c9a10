/**
 * The shifts of one rollout, which control makes: of its begin, to a step, and back.
 *
 * A step is tried until it is done, or until a way back has overtaken it; a way back until it is done. The rollout is told when every worker
 * routes by the new split. What the workers are to count from then on has a number of its own, which is the next one: also on a way back that is
 * made in steps, so that whoever takes the rollout up before it is kept that it goes back sees that its split has moved on (orphans.ts).
 */
import type { ChangeOptions, Control, PoolShift } from '../change.ts'
import type { Clock } from '../clock.ts'
import { own } from '../config/record.ts'
import type { Trial } from '../table/types.ts'
import type { Judging } from './judging.ts'
import type { Kept } from './kept.ts'
import { isRolling, poolBackOf, poolShiftOf } from './rolling.ts'
import { isBack, type RolloutEvent } from './rollout.ts'
import { sharesAt } from './shares.ts'
import { shiftOf, trialOf } from './shift.ts'
import { notBackHere, type Waits } from './store-wait.ts'
import type { WayBack } from './way-back.ts'
import type { Works } from './works.ts'

export interface MovesDeps {
  readonly control: Control
  readonly clock: Clock
}

/** What of a rollout they are made with. */
export interface MovesParts {
  readonly judging: Judging
  readonly works: Works
  readonly waits: Waits
  readonly wayBack: WayBack
  readonly running: { kept: Kept; send(event: RolloutEvent): Promise<unknown> }
}

/** On the way back nobody's health is asked, and no store is waited for. */
const BACK: Pick<ChangeOptions, 'force' | 'atOnce'> = { force: true, atOnce: true }

export class Moves {
  readonly #deps: MovesDeps
  readonly #parts: MovesParts
  readonly #back = Promise.withResolvers<void>()

  constructor(deps: MovesDeps, parts: MovesParts) {
    this.#deps = deps
    this.#parts = parts
    // Mostly nobody has asked for it.
    this.#back.promise.catch(() => {})
  }

  /** Resolves when traffic is back. Rejects with `not_ready` when it is not run here any more before that. */
  get whenBack(): Promise<void> {
    return this.#back.promise
  }

  /** The rollout begins, at this revision only, unless `ended` has aborted before that: nothing has moved yet. */
  begin(ended: AbortSignal, ifMatch: number | undefined): Promise<void> {
    return this.#shift(this.#kept.rollout.before, this.#nextTrial(), 0, {}, { ifMatch, unless: ended })
  }

  /** Gives the new version this much, in per cent, unless it is overtaken by a way back. */
  async move(weight: number): Promise<void> {
    const { waits, works, running } = this.#parts
    const { service, rollout } = this.#kept
    const isEnd = rollout.work === 'afterBake'
    const trial = isEnd ? null : this.#nextTrial()
    const weights = isRolling(rollout) ? rollout.before : sharesAt(rollout.before, rollout.to, weight)
    const more = { ...(isEnd && { ends: 'done' as const }), pool: poolShiftOf(this.#kept) }
    const isWanted = () => !isBack(this.#kept.rollout)
    const shift = () => this.#shift(weights, trial, weight, more, { unless: works.overtaken })
    const isDone = await waits.until(`${service} cannot be shifted to ${weight} %`, shift, isWanted)
    if (!isDone || !isWanted()) return
    await running.send({ type: 'moved', weight }).catch(() => {})
  }

  /** Back to where it began, whatever the health of who was there. Tried until it is done. */
  async back(): Promise<void> {
    const { waits, wayBack, works, running } = this.#parts
    const { service, rollout } = this.#kept
    works.overtake()
    await wayBack.ease(this.#kept, (weights, percent) => this.#shift(weights, this.#nextTrial(), percent, {}, BACK))
    const last = () => this.#shift(rollout.before, null, 0, { ends: 'back', pool: poolBackOf(this.#kept) }, BACK)
    const shift = () => wayBack.end(this.#kept, last)
    if (!(await waits.until(`${service} cannot be taken back`, shift))) return this.#back.reject(notBackHere(rollout))
    this.#back.resolve()
    await running.send({ type: 'moved', weight: 0 }).catch(() => {})
  }

  get #kept(): Kept {
    return this.#parts.running.kept
  }

  async #shift(
    weights: Readonly<Record<string, number>>,
    trial: Trial | null,
    weight: number,
    { ends, pool }: { readonly ends?: 'done' | 'back'; readonly pool?: PoolShift | undefined },
    how: Partial<ChangeOptions>,
  ): Promise<void> {
    const { judging } = this.#parts
    const { control } = this.#deps
    // Not before it is on its way: while it is refused, the step before goes on to be judged.
    const onWay = () => this.#beginStep(trial, weight)
    const change = shiftOf(this.#kept, weights, trial, ends, pool)
    try {
      await control.change(change, { actor: `rollout ${this.#kept.rollout.id}`, onWay, ...how })
    } catch (error) {
      // One that was reported as failed and had happened after all is taken over like that of another process.
      if (this.#servedStep === trial?.step) onWay()
      throw error
    }
    onWay()
    // What is given from outside has no step on it: it counts only from where every worker routes by the new split.
    judging.given.beginStep(weight / 100, this.#deps.clock.steadyMs())
  }

  /** Answers of the step before count no more, and those of this one are what comes; null: none is. */
  #beginStep(trial: Trial | null, weight: number): void {
    const { judging, running } = this.#parts
    if (trial !== null) running.kept = { ...running.kept, step: trial.step }
    judging.beginStep(trial?.step ?? 0, weight)
  }

  get #servedStep(): number | undefined {
    return own(this.#deps.control.snapshot().status, this.#kept.service)?.trial?.step
  }

  /** What the workers are to count once it has begun: a new step. */
  #nextTrial(): Trial {
    return trialOf({ ...this.#kept, step: this.#parts.judging.nextStep(this.#kept.step) })
  }
}
