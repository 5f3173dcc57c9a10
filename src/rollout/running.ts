/**
 * One rollout under way: takes its events one at a time, keeps it, and does what is asked for.
 *
 * Looks come every 100 ms, and as soon as a batch has ended in which it failed; they mostly change nothing but a clock and the tests.
 */
import type { RolloutLine } from '../change.ts'
import { TurnoutError } from '../errors.ts'
import { auditLineOf } from './audit-line.ts'
import { GateLog } from './gates/gate-log.ts'
import type { Gates } from './gates/gates.ts'
import type { Given } from './given/given.ts'
import { Judging, type JudgingDeps } from './judging.ts'
import { Keeping, type KeepingDeps } from './keeping.ts'
import { entered, type Kept } from './kept.ts'
import { Moves } from './moves.ts'
import { notify, type Publish, tell, tellWait } from './news.ts'
import { PoolTargets } from './pool-targets.ts'
import { THERE } from './refusals.ts'
import {
  type Effect,
  isBack,
  isElsewhere,
  isLast,
  isOver,
  isTold,
  LOOK_COUNTS_MS_MAX,
  patienceMs,
  type RolloutEvent,
  type Task,
} from './rollout.ts'
import { effectsOf, step } from './state.ts'
import { isWithdrawn, notBack, notFollowed, Waits } from './store-wait.ts'
import { type ToldRollout, toldRollout } from './told.ts'
import { isWithin, Turns } from './turns.ts'
import { WayBack, type WayBackDeps } from './way-back.ts'
import { sentenceOf } from './words.ts'
import { Works } from './works.ts'

/** How long a person waits for an answer while the store is away. */
const VERB_MS = 5_000

export interface RunningDeps extends JudgingDeps, KeepingDeps, WayBackDeps {
  readonly gates: Gates
  readonly publish: Publish
}

export class Running {
  kept: Kept
  readonly #deps: RunningDeps
  readonly #judging: Judging
  readonly #targets: PoolTargets
  readonly #end = new AbortController()
  /** Resolves when it is over, or the process ends. */
  readonly whenOver = new Promise<void>((resolve) => this.#end.signal.addEventListener('abort', () => resolve()))
  readonly #gateLog: GateLog
  readonly #works: Works
  readonly #moves: Moves
  #moving: Promise<void> = Promise.resolve()
  readonly #keeping: Keeping
  #isEnding = false
  #isLost = false
  readonly #turns: Turns
  readonly #waits: Waits
  #isLooking = false
  /** It was to look again while it looked: a failure may have come. */
  #isDue = false

  constructor(deps: RunningDeps, kept: Kept) {
    this.#deps = deps
    this.kept = kept
    this.#turns = new Turns((error) => {
      deps.log.error({ err: error, rollout: kept.rollout.id }, 'an event of a rollout was not taken')
    })
    this.#judging = new Judging(deps, kept, this.#end.signal)
    this.#gateLog = new GateLog(kept.gates ?? [], () => deps.clock.nowMs())
    const wait = (what: string, error: Error) => tellWait(what, error, this.kept, deps)
    const isOurs = () => this.#isOurs()
    this.#waits = new Waits(deps.clock, this.#gateLog, this.#end.signal, wait, isOurs)
    this.#keeping = new Keeping(deps, this.#judging, this.#gateLog)
    const tell = (reason: string) => this.send({ type: 'look', outcome: 'fail', reason, answers: 0 })
    this.#works = new Works(deps, this.#gateLog, this.#end.signal, () => this.kept, tell)
    this.#targets = new PoolTargets(deps.control, deps.memory, kept.service, kept.rollout)
    const parts = { judging: this.#judging, works: this.#works, waits: this.#waits }
    const wayBack = new WayBack(deps, this.#targets, this.#gateLog, this.#end.signal)
    this.#moves = new Moves(deps, { ...parts, wayBack, running: this })
  }

  /** Keeps the new rollout, and begins it, at this revision only; rejects with what `ended` has aborted with by then. One that has not begun is over. */
  async open(ended: AbortSignal, ifMatch?: number): Promise<void> {
    try {
      await this.#keeping.keepNew(this.kept)
      await this.#moves.begin(ended, ifMatch)
    } catch (error) {
      this.#end.abort(new Error('the rollout has not begun'))
      throw error
    }
  }

  /** Goes on with what has begun; what people ask of it meanwhile waits for its turn. */
  begun(): Promise<void> {
    return this.#turns.take(async () => {
      await this.#keeping.keepBegun(this.kept)
      tell('begins', this.kept, this.#deps)
      this.#do(effectsOf(this.kept.rollout))
    })
  }

  /** Goes on where a process before this one has stopped; back, where that one had taken the traffic back and not kept it yet, or what it had kept is lost. */
  resume(isTried: boolean, isBehind: boolean): void {
    const { rollout, step: present } = this.kept
    this.kept = { ...this.kept, rollout: { ...rollout, lookedAtMs: this.#deps.clock.steadyMs() } }
    this.#judging.goOn(present, rollout.weight, rollout.state === 'holding', this.kept.answers ?? 0)
    if (isBehind && !isBack(rollout)) void this.send({ type: 'abort', by: 'turnout, since its record is lost' })
    else if (isTried || isLast(rollout)) this.#do(effectsOf(rollout))
    else void this.send({ type: 'abort', by: 'turnout, since its traffic was taken back already' })
  }

  /**
   * Takes an event in its turn; resolves with why it was refused, if it was, once what it has changed is kept. A person's verb that cannot be
   * kept, or whose turn does not come, rejects with `store_unavailable`, and has changed nothing; an abort alone is tried until it is done.
   * Where `only` throws in its turn, it rejects so.
   */
  send(event: RolloutEvent, only = () => {}): Promise<string | undefined> {
    if (this.#keeping.isUnkept) {
      // A way back does not wait until what came before it is kept.
      if (this.#leadsBack(event)) return this.#turns.beside(this.#take(event))
      // There will be other looks.
      if (event.type === 'look') return Promise.resolve(undefined)
    }
    if (!isWithdrawn(event)) return this.#turns.take(() => this.#take(event))
    const late = () =>
      notFollowed(
        this.#waits.failed ?? new TurnoutError('overloaded', 'What came before is not through yet.'),
        this.kept.rollout,
        this.#isDone,
      )
    return this.#turns.within(() => this.#take(event, only), VERB_MS, this.#deps.clock, late)
  }

  #leadsBack(event: RolloutEvent): boolean {
    const { rollout } = this.kept
    return !this.#isEnding && !isBack(rollout) && isBack(step(rollout, event, this.#deps.clock.steadyMs()).rollout)
  }

  /**
   * Sends an abort; resolves when traffic is back and that is kept. Rejects with `store_unavailable` when that takes too long: it goes on then. With
   * `not_ready` when it is not run here any more before that.
   */
  async abort(by: string): Promise<void> {
    const done = this.send({ type: 'abort', by }).then(() => {
      const { state, phase } = this.kept.rollout
      return state === 'rollingBack' && phase === 'moving' ? this.#moves.whenBack : undefined
    })
    while (!(await isWithin(VERB_MS, done, this.#deps.clock))) {
      const { failed } = this.#waits
      if (failed !== null) throw notBack(failed, this.kept.rollout, this.#targets.areTried, this.#isDone)
    }
  }

  /** All that it does is done, and only its end is still to be kept. */
  get #isDone(): boolean {
    return this.#isEnding && !isBack(this.kept.rollout)
  }

  /** It is over, or is not run here any more. */
  get isEnded(): boolean {
    return this.#end.signal.aborted
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
    if (this.#isLooking && !this.#keeping.isUnkept) {
      this.#isDue = true
      return
    }
    const judging = this.#judging
    const { outcome } = judging.look(this.kept.rollout)
    if (judging.harm !== this.kept.harm) this.kept = { ...this.kept, harm: judging.harm }
    this.#isLooking = true
    // What is missing is told to whoever soon has no more patience; before that nobody reads it, and it costs.
    const isNear = outcome === 'insufficient' ? patienceMs(this.kept.rollout) <= LOOK_COUNTS_MS_MAX : outcome !== 'pass'
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
    // A shift may be in the line of control already, and what it comes to is an event.
    await this.#moving
    await this.#turns.end()
  }

  /** Whether it is still run here: one that another instance runs by now ends here at once, and says and does nothing more. */
  #isOurs(): boolean | Promise<boolean> {
    if (this.#isLost) return false
    const note = (isOurs: boolean): boolean => {
      this.#isLost = !isOurs
      if (!isOurs) this.#end.abort(new Error('another instance leads by now'))
      return isOurs
    }
    const still = this.#deps.stillLeads()
    return typeof still === 'boolean' ? note(still) : still.then(note)
  }

  async #take(event: RolloutEvent, only = () => {}): Promise<string | undefined> {
    const isOurs = this.#isOurs()
    if (!(isOurs === true || (await isOurs))) {
      if ('by' in event) throw new TurnoutError('conflict', `Nothing was done: ${THERE}.`)
      return undefined
    }
    only()
    const { clock } = this.#deps
    const before = this.kept.rollout
    const { rollout, effects, refused } = step(before, event, clock.steadyMs())
    const isNew = isTold(before, rollout, event)
    if (!isNew && !isElsewhere(before, rollout)) {
      this.kept = { ...this.kept, rollout }
      if (this.#keeping.isDue) {
        this.kept = this.#keeping.noted(this.kept)
        await this.#keeping.keepMeanwhile(this.kept)
      }
      return refused
    }
    const next = entered({ ...this.kept, rollout }, clock.nowMs(), isNew, event)
    const line = isNew ? auditLineOf(before, next, event) : null
    if (isWithdrawn(event)) await this.#saveFirst(next, line)
    else if (!isOver(rollout)) this.kept = next
    else if (!(await this.#saveEnd(next, line))) return refused
    if (isLast(rollout)) this.#judging.end(this.kept, event.type === 'look' && isBack(rollout) && !isBack(before))
    // On the way back nobody waits for the store: what is kept of it says the same a moment later.
    if (rollout.state === 'rollingBack') this.#do(effects)
    if (!isWithdrawn(event) && !isOver(rollout)) await this.#save(rollout, line)
    if (isBack(this.kept.rollout) && !isBack(rollout)) return refused
    const isStillOurs = this.#isOurs()
    if (!(isStillOurs === true || (await isStillOurs))) return refused
    if (isNew) tell(rollout.state, this.kept, this.#deps)
    if (rollout.state !== 'rollingBack') this.#do(effects)
    if (isOver(rollout)) this.#end.abort(new Error('the rollout is over'))
    return refused
  }

  /** Keeps what a person has asked for before it is so. Rejects when that cannot be kept; a way back that came meanwhile stays. */
  async #saveFirst(next: Kept, line: RolloutLine | null): Promise<void> {
    const isOvertaken = () => isBack(this.kept.rollout)
    await this.#keeping.keepFirst(next, line, isOvertaken).catch((error: unknown) => {
      throw notFollowed(error, this.kept.rollout, this.#isDone)
    })
    if (!isOvertaken()) this.kept = { ...next, harm: this.kept.harm, step: this.kept.step }
  }

  /** Keeps its end before it is told, since another may begin from then on; false when the process ends before. */
  async #saveEnd(next: Kept, line: RolloutLine | null): Promise<boolean> {
    const noted = this.#keeping.noted(next)
    this.#isEnding = true
    if (!(await this.#waits.until('a rollout cannot be kept', () => this.#keeping.keep(noted, line)))) return false
    this.kept = noted
    return true
  }

  /** Keeps what it has become; while the store is away, tries again, until a way back has overtaken that. */
  async #save(rollout: Kept['rollout'], line: RolloutLine | null): Promise<void> {
    this.kept = this.#keeping.noted(this.kept)
    const isWanted = () => isBack(rollout) || !isBack(this.kept.rollout)
    await this.#waits.until('a rollout cannot be kept', () => this.#keeping.keep(this.kept, line), isWanted)
  }

  #do(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type === 'run') void this.#run(effect.work, effect.works)
      else if (effect.type === 'move') this.#moving = this.#moves.move(effect.weight)
      else if (effect.type === 'back') this.#moving = this.#moves.back()
      else notify(effect.about, this.kept, this.#deps)
    }
  }

  async #run(work: Task, works: number): Promise<void> {
    const ended = await this.#works.run(this.kept, work, works)
    if (ended !== null) await this.send(ended).catch(() => {})
  }
}
