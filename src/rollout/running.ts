/**
 * One rollout under way: takes its events one at a time, keeps it, and does what is asked for.
 *
 * Looks come every 10 ms and mostly change nothing but a clock, which is not kept: after a restart a step begins its time anew, and the
 * origin tests go on from where they stood at the last change; what they have not seen since is lost, which is no harm.
 */
import type { Logger } from 'pino'
import type { Control } from '../change.ts'
import type { Clock } from '../clock.ts'
import { own } from '../config/record.ts'
import { CELL, type SharedMemory } from '../metrics/layout.ts'
import type { ServiceStatus } from '../table/status.ts'
import type { Trial } from '../table/types.ts'
import { Feed, historyOf } from './feed.ts'
import type { Gates } from './gates/gates.ts'
import { Given } from './given/given.ts'
import type { Kept } from './kept.ts'
import { type Effect, isOver, type RolloutEvent, type Work } from './rollout.ts'
import { sharesAt } from './shares.ts'
import { effectsOf, step } from './state.ts'
import { type ToldRollout, toldRollout, toldVerdict } from './told.ts'
import { type Finding, metricsOf, Verdict } from './verdict.ts'
import { sentenceOf } from './words.ts'

/** How often the live pool's times are looked at. */
const FOLLOW_MS = 1_000
/** A shift that fails, because the store is away or a pool is not proven, is tried again after so long. */
const RETRY_MS = 500

export interface RunningDeps {
  readonly control: Control
  readonly clock: Clock
  readonly memory: SharedMemory
  readonly gates: Gates
  /** Keeps it, for good; resolves when the store has it. */
  save(kept: Kept): Promise<void>
  publish(event: { type: 'rollout'; service: string; message: string; data: Record<string, unknown> }): void
  readonly log: Pick<Logger, 'error' | 'warn'>
}

export class Running {
  kept: Kept
  /** What the last look has found. */
  finding: Finding = { outcome: 'insufficient', cause: 'failures' }
  readonly verdict: Verdict
  readonly #deps: RunningDeps
  readonly #feed: Feed
  readonly given: Given
  readonly #slot: number
  readonly #end = new AbortController()
  #turn: Promise<unknown> = Promise.resolve()
  #isLooking = false
  #answers = 0
  #followedAtMs = -Infinity
  #whenBack = Promise.withResolvers<void>()

  constructor(deps: RunningDeps, kept: Kept) {
    this.#deps = deps
    this.kept = kept
    const { memory, control } = deps
    this.#slot = own(control.snapshot().status, kept.service)?.slot ?? 0
    this.#feed = new Feed(memory, this.#slot)
    this.given = new Given(kept, this.#livePools())
    const none = metricsOf(kept.wish.verdict).map(() => ({ bad: 0, all: 0 }))
    const before = {
      histories: [historyOf(memory, this.#slotsOf(this.#livePools())), ...none.slice(1)],
      clumps: none.map(() => ({ x2: 0, dof: 0 })),
    }
    this.verdict = new Verdict(kept.wish.verdict, before, kept.origins ?? undefined)
  }

  /** Keeps the rollout that has just begun, and begins it. */
  async open(): Promise<void> {
    await this.#deps.save(this.kept)
    await this.#shift(this.kept.rollout.before, { pool: this.kept.rollout.to, step: this.#nextStep() })
    this.#tell('begins')
    this.#do(effectsOf(this.kept.rollout))
  }

  /** Goes on where a process before this one has stopped. */
  resume(): void {
    const { rollout, step: present } = this.kept
    this.kept = { ...this.kept, rollout: { ...rollout, lookedAtMs: this.#deps.clock.steadyMs() } }
    this.#beginStep(present)
    this.#do(effectsOf(rollout))
  }

  /** Takes an event in its turn; resolves with why it was refused, if it was, once what it has changed is kept. */
  send(event: RolloutEvent): Promise<string | undefined> {
    const taken = this.#turn.then(() => this.#take(event))
    this.#turn = taken.catch((error: unknown) => {
      this.#deps.log.error({ err: error, rollout: this.kept.rollout.id }, 'an event of a rollout was not taken')
    })
    return taken
  }

  /** Resolves when a way back has led there. */
  whenBack(): Promise<void> {
    return this.#whenBack.promise
  }

  /** As it stands now. */
  told(): ToldRollout {
    return toldRollout({ ...this.kept, verdict: toldVerdict(this.finding, this.verdict, this.kept, this.given.told()) })
  }

  /** Looks at what has come. Called on a timer, never because of an answer. */
  look(): void {
    if (this.#isLooking || isOver(this.kept.rollout)) return
    const { clock } = this.#deps
    const nowMs = clock.steadyMs()
    if (nowMs - this.#followedAtMs >= FOLLOW_MS) {
      this.#followedAtMs = nowMs
      this.#feed.follow(this.#slotsOf(this.#livePools()))
    }
    const came = [...this.#feed.take(), ...this.given.take()]
    this.#answers += came[0].canary
    this.kept = { ...this.kept, harm: this.kept.harm + came[0].canaryBad }
    this.finding = this.verdict.look({ nowMs, came, harm: this.kept.harm, allOut: this.#isAllOut(nowMs) })
    const { outcome } = this.finding
    this.#isLooking = true
    const isTold = outcome === 'fail' || outcome === 'hold'
    const reason = isTold ? sentenceOf(this.finding, this.verdict, this.kept, this.given.told()) : ''
    const seen = (): void => {
      this.#isLooking = false
    }
    // What goes wrong is told by `send`.
    this.send({ type: 'look', outcome, reason, answers: this.#answers }).then(seen, seen)
  }

  async close(): Promise<void> {
    this.#end.abort(new Error('the process ends'))
    await this.#turn
  }

  async #take(event: RolloutEvent): Promise<string | undefined> {
    const { clock } = this.#deps
    const before = this.kept.rollout
    const { rollout, effects, refused } = step(before, event, clock.steadyMs())
    const isNew = rollout.state !== before.state || rollout.weight !== before.weight
    const changed =
      isNew || rollout.phase !== before.phase || rollout.works !== before.works || rollout.at !== before.at
    this.kept = { ...this.kept, rollout }
    if (!changed) return refused
    const atMs = clock.nowMs()
    const { state, weight, reason } = rollout
    this.kept = {
      ...this.kept,
      updatedAtMs: atMs,
      endedAtMs: isOver(rollout) ? atMs : null,
      history: isNew ? [...this.kept.history, { atMs, state, weight, reason }].slice(-1_000) : this.kept.history,
      origins: this.verdict.metrics.map(({ origin }) => origin.state),
      verdict: toldVerdict(this.finding, this.verdict, this.kept, this.given.told()),
    }
    // On the way back nobody waits for the store: what is kept of it says the same a moment later.
    if (rollout.state === 'rollingBack') this.#do(effects)
    await this.#save()
    if (isNew) this.#tell(rollout.state)
    if (rollout.state !== 'rollingBack') this.#do(effects)
    if (isOver(rollout)) this.#end.abort(new Error('the rollout is over'))
    return refused
  }

  /** Keeps it; while the store is away, tries again. */
  async #save(): Promise<void> {
    for (;;) {
      try {
        return await this.#deps.save(this.kept)
      } catch (error) {
        if (await this.#givesUp(error, 'a rollout cannot be kept')) return
      }
    }
  }

  #do(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type === 'run') void this.#run(effect.work, effect.works)
      else if (effect.type === 'move') void this.#move(effect.weight)
      else if (effect.type === 'back') void this.#back()
      else this.#notify(effect.about)
    }
  }

  async #run(work: Work, works: number): Promise<void> {
    const { gates, control } = this.#deps
    const { service, rollout, wish } = this.kept
    const status = (): ServiceStatus | undefined => own(control.snapshot().status, service)
    const ended = await gates.run(work, { service, rollout, spec: wish.spec, status }, this.#end.signal).then(
      () => ({ type: 'passed', works }) as const,
      (error: Error) => ({ type: 'failed', works, reason: error.message }) as const,
    )
    if (!this.#end.signal.aborted) await this.send(ended).catch(() => {})
  }

  async #move(weight: number): Promise<void> {
    const { service, rollout } = this.kept
    const isEnd = rollout.work === 'afterBake'
    const trial = isEnd ? null : { pool: rollout.to, step: this.#nextStep() }
    const weights = sharesAt(rollout.before, rollout.to, weight)
    for (;;) {
      try {
        await this.#shift(weights, trial, isEnd ? 'done' : undefined)
        break
      } catch (error) {
        if (await this.#givesUp(error, `${service} cannot be shifted to ${weight} %`)) return
        if (this.kept.rollout.phase !== 'moving' || this.kept.rollout.weight !== weight) return
      }
    }
    await this.send({ type: 'moved', weight }).catch(() => {})
  }

  /** Back to where it began, whatever the health of who was there. Tried until it is done. */
  async #back(): Promise<void> {
    const { service, rollout } = this.kept
    for (;;) {
      try {
        await this.#shift(rollout.before, null, 'back')
        break
      } catch (error) {
        if (await this.#givesUp(error, `${service} cannot be taken back`)) return
      }
    }
    this.#whenBack.resolve()
    await this.send({ type: 'moved', weight: 0 }).catch(() => {})
  }

  /** Tells what kept a shift up, and waits a moment. True when the process ends. */
  async #givesUp(error: unknown, what: string): Promise<boolean> {
    const { clock, log } = this.#deps
    log.warn({ err: error, rollout: this.kept.rollout.id }, what)
    await new Promise<void>((resolve) => clock.after(RETRY_MS, resolve))
    return this.#end.signal.aborted
  }

  async #shift(weights: Readonly<Record<string, number>>, trial: Trial | null, ends?: 'done' | 'back'): Promise<void> {
    const { control } = this.#deps
    const { service, rollout } = this.kept
    // From now on answers of the step before count no more, and those of the next are what comes.
    this.#beginStep(trial?.step ?? 0)
    const { id, before } = rollout
    const change = { kind: 'shift', service, weights, trial, ...(ends && { ends }), before, rollout: id } as const
    await control.change(change, { actor: `rollout ${id}`, force: ends === 'back' })
    this.given.beginStep(this.kept.rollout.weight / 100, this.#deps.clock.steadyMs())
  }

  #nextStep(): number {
    const step = Math.max(this.kept.step, Atomics.load(this.#deps.memory.cells, CELL.step + this.#slot)) + 1
    this.kept = { ...this.kept, step }
    return step
  }

  /** From now on the workers count for this step. */
  #beginStep(step: number): void {
    Atomics.store(this.#deps.memory.cells, CELL.step + this.#slot, step)
    this.#feed.take()
    this.#answers = 0
    const share = this.kept.rollout.weight / 100
    this.verdict.beginStep(share)
    this.given.beginStep(share, this.#deps.clock.steadyMs())
  }

  #notify(about: 'paused' | 'done' | 'rolledBack'): void {
    const { service, rollout, wish } = this.kept
    const text = `${service}: rollout ${rollout.id} to ${rollout.to} is ${WORDS[about]}${rollout.reason === null ? '' : `: ${rollout.reason}`}`
    for (const { url } of wish.spec.notify ?? []) {
      void this.#deps.gates.notify(url, { text, service, rollout: rollout.id, state: rollout.state }).then((heard) => {
        if (!heard) this.#deps.log.warn({ rollout: rollout.id, url }, 'nobody has heard of the end of a rollout')
      })
    }
  }

  #tell(what: string): void {
    const { service, rollout } = this.kept
    const { id, to, state, weight, reason } = rollout
    const why = reason === null ? '' : `: ${reason}`
    const message = `rollout ${id} of ${service} to ${to} ${what === 'begins' ? what : `is ${what}`} at ${weight} %${why}`
    this.#deps.publish({ type: 'rollout', service, message, data: { id, to, state, weight, reason } })
  }

  #livePools(): string[] {
    const { before, to } = this.kept.rollout
    return Object.keys(before).filter((pool) => pool !== to && before[pool] > 0)
  }

  #slotsOf(pools: readonly string[]): number[] {
    const status = own(this.#deps.control.snapshot().status, this.kept.service)
    return pools.flatMap((pool) => Object.values(status?.pools[pool]?.targets ?? {}).flatMap(({ slots }) => [...slots]))
  }

  #isAllOut(nowMs: number): boolean {
    const { service, rollout } = this.kept
    if (rollout.weight === 0) return false
    const targets = Object.values(own(this.#deps.control.snapshot().status, service)?.pools[rollout.to]?.targets ?? {})
    return targets.every(({ health, ejectedUntilMs }) => health === 'unhealthy' || ejectedUntilMs > nowMs)
  }
}

const WORDS = { paused: 'paused', done: 'done', rolledBack: 'rolled back' } as const
