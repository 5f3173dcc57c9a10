/**
 * One rollout under way: takes its events one at a time, keeps it, and does what is asked for.
 *
 * Looks come every 100 ms, and as soon as a batch has ended in which it failed; they mostly change nothing but a clock and the tests. These
 * are kept at every change, and every 10 s: after a restart they go on from there; what they have not seen since is lost, which is no harm.
 */
import type { PoolShift, RolloutLine } from '../change.ts'
import type { Trial } from '../table/types.ts'
import { auditLineOf } from './audit-line.ts'
import { GateLog } from './gates/gate-log.ts'
import type { Gates } from './gates/gates.ts'
import type { Given } from './given/given.ts'
import { Judging, type JudgingDeps } from './judging.ts'
import { entered, type Kept } from './kept.ts'
import { notify, type Publish, tell, tellWait } from './news.ts'
import { PoolTargets } from './pool-targets.ts'
import { retry } from './retry.ts'
import { isRolling, poolBackOf, poolShiftOf } from './rolling.ts'
import {
  type Effect,
  isBack,
  isElsewhere,
  isLast,
  isOver,
  isTold,
  patienceMs,
  type RolloutEvent,
  type Task,
} from './rollout.ts'
import { sharesAt } from './shares.ts'
import { shiftOf, trialOf } from './shift.ts'
import { effectsOf, step } from './state.ts'
import { StoreWait } from './store-wait.ts'
import { type ToldRollout, toldRollout } from './told.ts'
import { sentenceOf } from './words.ts'
import { Works } from './works.ts'

/** How often it is kept while nothing but its clock and its tests change. */
const KEEP_MS = 10_000
/** Longer than a look is ever late. */
const SOON_MS = 1_000

export interface RunningDeps extends JudgingDeps {
  readonly gates: Gates
  /** Keeps it, for good, with its line in the audit at once; resolves when the store has both. */
  save(kept: Kept, line: RolloutLine | null): Promise<void>
  readonly publish: Publish
}

export class Running {
  kept: Kept
  readonly #deps: RunningDeps
  readonly #judging: Judging
  readonly #targets: PoolTargets
  readonly #end = new AbortController()
  readonly #gateLog: GateLog
  readonly #works: Works
  #turn: Promise<unknown> = Promise.resolve()
  #isLooking = false
  /** It was to look again while it looked: a failure may have come. */
  #isDue = false
  /** What the present event has changed cannot be kept yet. */
  #isUnkept = false
  #keptAtMs = 0
  #whenBack = Promise.withResolvers<void>()

  constructor(deps: RunningDeps, kept: Kept) {
    this.#deps = deps
    this.kept = kept
    this.#judging = new Judging(deps, kept, this.#end.signal)
    this.#gateLog = new GateLog(kept.gates ?? [], () => deps.clock.nowMs())
    const tell = (reason: string) => this.send({ type: 'look', outcome: 'fail', reason, answers: 0 })
    this.#works = new Works(deps, this.#gateLog, this.#end.signal, () => this.kept, tell)
    this.#targets = new PoolTargets(deps.control, deps.memory, kept.service, kept.rollout)
  }

  /** Keeps the rollout that has just begun, and begins it. */
  async open(): Promise<void> {
    await this.#deps.save(this.kept, null)
    await this.#shift(this.kept.rollout.before, this.#nextTrial())
    tell('begins', this.kept, this.#deps)
    this.#do(effectsOf(this.kept.rollout))
  }

  /** Goes on where a process before this one has stopped. */
  resume(): void {
    const { rollout, step: present } = this.kept
    this.kept = { ...this.kept, rollout: { ...rollout, lookedAtMs: this.#deps.clock.steadyMs() } }
    this.#judging.goOn(present, rollout.weight, rollout.state === 'holding', this.kept.answers ?? 0)
    this.#do(effectsOf(rollout))
  }

  /** Takes an event in its turn; resolves with why it was refused, if it was, once what it has changed is kept. */
  send(event: RolloutEvent): Promise<string | undefined> {
    if (this.#isUnkept) {
      // A way back does not wait until what came before it is kept.
      if (this.#leadsBack(event)) {
        const taken = this.#take(event)
        this.#turn = Promise.allSettled([this.#turn, taken])
        return taken
      }
      // There will be other looks.
      if (event.type === 'look') return Promise.resolve(undefined)
    }
    const taken = this.#turn.then(() => this.#take(event))
    this.#turn = taken.catch((error: unknown) => {
      this.#deps.log.error({ err: error, rollout: this.kept.rollout.id }, 'an event of a rollout was not taken')
    })
    return taken
  }

  #leadsBack(event: RolloutEvent): boolean {
    const { rollout } = this.kept
    return !isBack(rollout) && isBack(step(rollout, event, this.#deps.clock.steadyMs()).rollout)
  }

  /** Resolves when a way back has led there. */
  whenBack(): Promise<void> {
    return this.#whenBack.promise
  }

  /** What is given from outside. */
  get given(): Given {
    return this.#judging.given
  }

  /** As it stands now. */
  told(): ToldRollout {
    const { answers } = this.#judging
    return toldRollout({ ...this.kept, verdict: this.#judging.told(this.kept), gates: this.#gateLog.entries, answers })
  }

  /** Looks at the batches that have come. */
  look(): void {
    if (isOver(this.kept.rollout)) return
    this.#works.look()
    if (this.#isLooking && !this.#isUnkept) {
      this.#isDue = true
      return
    }
    const judging = this.#judging
    const { outcome } = judging.look(this.kept.rollout)
    if (judging.harm !== this.kept.harm) this.kept = { ...this.kept, harm: judging.harm }
    this.#isLooking = true
    // What is missing is told to whoever soon has no more patience; before that nobody reads it, and it costs.
    const isNear = outcome === 'insufficient' ? patienceMs(this.kept.rollout) <= SOON_MS : outcome !== 'pass'
    const reason = isNear ? sentenceOf(judging.finding, judging.verdict, this.kept, judging.given.told()) : ''
    const seen = (): void => {
      this.#isLooking = false
      if (!this.#isDue) return
      this.#isDue = false
      this.look()
    }
    // What goes wrong is told by `send`.
    this.send({ type: 'look', outcome, reason, ...judging.seen }).then(seen, seen)
  }

  async close(): Promise<void> {
    this.#end.abort(new Error('the process ends'))
    await this.#turn
  }

  async #take(event: RolloutEvent): Promise<string | undefined> {
    const { clock } = this.#deps
    const before = this.kept.rollout
    const { rollout, effects, refused } = step(before, event, clock.steadyMs())
    const isNew = isTold(before, rollout, event)
    this.kept = { ...this.kept, rollout }
    if (isLast(rollout)) this.#judging.end(this.kept, event.type === 'look' && isBack(rollout) && !isBack(before))
    if (!isNew && !isElsewhere(before, rollout)) {
      await this.#keepNowAndThen()
      return refused
    }
    this.kept = entered(this.kept, clock.nowMs(), isNew, event)
    // On the way back nobody waits for the store: what is kept of it says the same a moment later.
    if (rollout.state === 'rollingBack') this.#do(effects)
    await this.#save(rollout, isNew ? auditLineOf(before, this.kept, event) : null)
    if (isBack(this.kept.rollout) && !isBack(rollout)) return refused
    if (isNew) tell(rollout.state, this.kept, this.#deps)
    if (rollout.state !== 'rollingBack') this.#do(effects)
    if (isOver(rollout)) this.#end.abort(new Error('the rollout is over'))
    return refused
  }

  /** Keeps how far the clock and the tests have come; when the store is away, that waits. */
  async #keepNowAndThen(): Promise<void> {
    const nowMs = this.#deps.clock.steadyMs()
    if (nowMs - this.#keptAtMs < KEEP_MS) return
    this.#keptAtMs = nowMs
    this.#note()
    await this.#deps.save(this.kept, null).catch(() => {})
  }

  /** Notes what the verdict has come to. */
  #note(): void {
    if (isOver(this.kept.rollout)) this.#gateLog.close()
    this.kept = {
      ...this.kept,
      live: this.#judging.live,
      tests: this.#judging.verdict.states,
      verdict: this.#judging.told(this.kept),
      gates: this.#gateLog.entries,
      answers: this.#judging.answers,
      forgiven: this.#judging.forgiven,
    }
  }

  /** Keeps what it has become; while the store is away, tries again, until a way back has overtaken that. */
  async #save(rollout: Kept['rollout'], line: RolloutLine | null): Promise<void> {
    this.#keptAtMs = this.#deps.clock.steadyMs()
    this.#note()
    const save = async () => {
      this.#isUnkept = true
      await this.#deps.save(this.kept, line)
      this.#isUnkept = false
    }
    const isWanted = () => isBack(rollout) || !isBack(this.kept.rollout)
    await this.#retry('a rollout cannot be kept', save, isWanted)
  }

  #do(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type === 'run') void this.#run(effect.work, effect.works)
      else if (effect.type === 'move') void this.#move(effect.weight)
      else if (effect.type === 'back') void this.#back()
      else notify(effect.about, this.kept, this.#deps)
    }
  }

  async #run(work: Task, works: number): Promise<void> {
    const ended = await this.#works.run(this.kept, work, works)
    if (ended !== null) await this.send(ended).catch(() => {})
  }

  async #move(weight: number): Promise<void> {
    const { service, rollout } = this.kept
    const isEnd = rollout.work === 'afterBake'
    const trial = isEnd ? null : this.#nextTrial()
    const weights = isRolling(rollout) ? rollout.before : sharesAt(rollout.before, rollout.to, weight)
    const pool = poolShiftOf(this.kept)
    const isWanted = () => this.kept.rollout.phase === 'moving' && this.kept.rollout.weight === weight
    const shift = () => this.#shift(weights, trial, isEnd ? 'done' : undefined, pool)
    if (!(await this.#retry(`${service} cannot be shifted to ${weight} %`, shift, isWanted))) return
    await this.send({ type: 'moved', weight }).catch(() => {})
  }

  /** Back to where it began, whatever the health of who was there. Tried until it is done. */
  async #back(): Promise<void> {
    const { service, rollout } = this.kept
    this.#works.overtake()
    const shift = async () => {
      // The service is gone: there is nothing to go back to.
      if (this.#targets.spec === undefined) return
      try {
        await this.#shift(rollout.before, null, 'back', poolBackOf(this.kept))
      } catch (error) {
        // The store may be away. As long as it is, those that fail are at least out, as others that fail.
        await this.#targets.eject(rollout, this.#deps.clock.steadyMs()).catch(() => {})
        throw error
      }
    }
    if (!(await this.#retry(`${service} cannot be taken back`, shift))) return
    this.#whenBack.resolve()
    await this.send({ type: 'moved', weight: 0 }).catch(() => {})
  }

  /** Tries until it is done, and says what that waits for; false when the process ends, or it is not wanted any more. */
  async #retry(what: string, attempt: () => Promise<void>, isWanted = () => true): Promise<boolean> {
    const wait = new StoreWait(this.#gateLog, null, (error) => tellWait(what, error, this.kept, this.#deps))
    const isStill = () => isWanted() && !this.#end.signal.aborted
    const isDone = await retry(this.#deps.clock, attempt, (error) => wait.note(error), isStill)
    wait.end()
    return isDone
  }

  async #shift(
    weights: Readonly<Record<string, number>>,
    trial: Trial | null,
    ends?: 'done' | 'back',
    pool?: PoolShift,
  ): Promise<void> {
    const { rollout } = this.kept
    // From now on answers of the step before count no more, and those of the next are what comes.
    this.#judging.beginStep(trial?.step ?? 0, rollout.weight)
    const change = shiftOf(this.kept, weights, trial, ends, pool)
    await this.#deps.control.change(change, { actor: `rollout ${rollout.id}`, force: ends === 'back' })
    // What is given from outside has no step on it: it counts only from where every worker routes by the new split.
    this.#judging.given.beginStep(rollout.weight / 100, this.#deps.clock.steadyMs())
  }

  /** What the workers are to count from now on: a new step. */
  #nextTrial(): Trial {
    const step = Math.max(this.kept.step, this.#judging.step) + 1
    this.kept = { ...this.kept, step }
    return trialOf(this.kept)
  }
}
