/**
 * Drives an upgrade in the process that is to be replaced: starts the new one, hears what it says, and does what state.ts asks for.
 *
 * One at a time. Whoever asked is answered when the new process serves, or when all is as before and why; what becomes of the old one
 * then is `whenDrained`. Each phase has a limit, and the whole has the one that was asked for; the new process is killed when it is over.
 */

import { type Clock, sleep } from '../clock.ts'
import { TurnoutError } from '../errors.ts'
import { type FromSuccessor, type Ready, readFromSuccessor, type Told, type Upgraded } from './messages.ts'
import type { Present, Successor, SuccessorNews } from './sides.ts'
import { type Effect, type Happening, isUnderWay, LATE, LIMIT_MS, type Phase, step } from './state.ts'

/** Pause before what was given away is tried to be taken back again, where the store is away. */
const AGAIN_MS = 500

/** How often the new process is told whose tunnels are closed. */
const TELL_MS = 250

const MOVED = 'a worker was replaced meanwhile; try again'

export interface UpgradeDeps {
  readonly clock: Clock
  /** Starts the new process; throws when it cannot. */
  start(offer: ReturnType<Present['offer']>, news: SuccessorNews): Successor
}

export class Upgrade {
  /** Resolves once the new process serves and this one has ended what was under way. */
  readonly whenDrained: Promise<void>
  readonly #deps: UpgradeDeps
  readonly #drained = Promise.withResolvers<void>()
  #present: Present | null = null
  #attempt: Attempt | null = null
  #isGivenUp = false

  constructor(deps: UpgradeDeps) {
    this.#deps = deps
    this.whenDrained = this.#drained.promise
  }

  /** Says what is to be replaced; before, no upgrade can begin. */
  attach(present: Present): void {
    this.#present = present
  }

  /** The new process serves. */
  get isReplaced(): boolean {
    const phase = this.#attempt?.phase
    return phase === 'draining' || phase === 'ended'
  }

  /** Replaces this process by a new one. Rejects with `conflict` when it cannot begin, and with `upgrade_failed` when all is as before. */
  async begin(limitMs: number): Promise<Upgraded> {
    if (this.#present === null) throw new TurnoutError('conflict', 'This process has not started yet.')
    if (this.#attempt !== null) throw new TurnoutError('conflict', this.#attempt.inWords())
    // Nobody would be left to tell the new one that it is to end, too.
    if (this.#isGivenUp) throw new TurnoutError('conflict', 'This process ends.')
    const attempt = new Attempt(this.#deps, this.#present, this.#drained.resolve)
    this.#attempt = attempt
    try {
      return await attempt.run(limitMs)
    } catch (error) {
      this.#attempt = null
      throw error
    }
  }

  /** Gives up what is under way, since this process is to end, and begins nothing more; resolves when the new one is gone. Nothing once that serves. */
  async giveUp(): Promise<void> {
    this.#isGivenUp = true
    await this.#attempt?.giveUp()
  }
}

class Attempt {
  phase: Phase = 'starting'
  readonly #deps: UpgradeDeps
  readonly #present: Present
  readonly #drained: () => void
  readonly #outcome = Promise.withResolvers<Upgraded>()
  readonly #startedMs: number
  #successor: Successor | null = null
  #ready: Ready | null = null
  /** What was offered, as text. */
  #offered = ''
  #yielding: Promise<void> = Promise.resolve()
  #isAbandoned = false
  /** Of the end of this process. */
  #told: Told | null = null
  #why = ''
  #cancelLimit = () => {}

  constructor(deps: UpgradeDeps, present: Present, drained: () => void) {
    this.#deps = deps
    this.#present = present
    this.#drained = drained
    this.#startedMs = deps.clock.monotonicMs()
  }

  run(limitMs: number): Promise<Upgraded> {
    const { clock, start } = this.#deps
    const { log } = this.#present
    const offer = this.#present.offer()
    this.#offered = JSON.stringify(offer)
    try {
      this.#successor = start(offer, {
        message: (sent) => this.#hear(sent),
        gone: (why) => this.#happen('broken', why),
      })
    } catch (error) {
      throw new TurnoutError('upgrade_failed', `The new process cannot be started: ${(error as Error).message}`)
    }
    log.info({ newPid: this.#successor.pid }, `an upgrade begins: process ${this.#successor.pid} is started`)
    const cancel = clock.after(limitMs, () => this.#happen('broken', `was not ready within ${limitMs} ms`))
    this.#limit()
    return this.#outcome.promise.finally(cancel)
  }

  inWords(): string {
    if (isUnderWay(this.phase)) {
      const sinceMs = Math.round(this.#deps.clock.monotonicMs() - this.#startedMs)
      return `An upgrade is under way: process ${this.#successor?.pid} is ${this.phase}, ${sinceMs} ms after its start.`
    }
    return this.phase === 'failed'
      ? 'An upgrade has failed, and what was given away is just taken back.'
      : `Process ${this.#successor?.pid} serves already; this one ends.`
  }

  async giveUp(): Promise<void> {
    if (!isUnderWay(this.phase)) return
    this.#isAbandoned = true
    this.#happen('broken', 'was given up, since the present process is to end')
    await this.#outcome.promise.catch(() => {})
  }

  #hear(sent: unknown): void {
    const message: FromSuccessor | null = readFromSuccessor(sent)
    if (message === null) return this.#happen('broken', 'says what this version does not understand')
    if (message.type === 'failed') return this.#happen('broken', `says: ${message.message}`)
    if (message.type === 'routed') return this.#follow(message)
    if (message.type === 'ready') this.#ready = message
    this.#happen(message.type)
  }

  #happen(happening: Happening, why = ''): void {
    const next = step(this.phase, happening)
    if (next === null) {
      if (isUnderWay(this.phase)) this.#happen('broken', `says ${happening} while it is ${this.phase}`)
      return
    }
    if (happening === 'broken') this.#why = why
    this.phase = next.phase
    this.#limit()
    const newPid = this.#successor?.pid
    this.#present.log.info({ newPid, phase: this.phase }, `upgrade to process ${newPid}: ${this.phase}`)
    this.#do(next.effects)
  }

  #limit(): void {
    this.#cancelLimit()
    const { phase } = this
    const limitMs = LIMIT_MS[phase]
    if (limitMs === null) return
    const late = () => this.#happen('broken', `${LATE[phase]} within ${limitMs} ms`)
    this.#cancelLimit = this.#deps.clock.after(limitMs, late)
  }

  #do(effects: readonly Effect[]): void {
    if (effects.includes('kill')) void this.#goBack(effects.includes('takeBack'))
    else if (effects.includes('give')) this.#successor!.send({ type: 'yours' })
    else if (effects.includes('drain')) this.#end()
    else if (effects.includes('tell'))
      this.#successor!.send({ type: 'drained', ...(this.#told && { told: this.#told }) })
    else if (effects.includes('yield')) {
      this.#yielding = this.#yield()
      this.#yielding.then(
        () => this.#happen('yielded'),
        (error: Error) => this.#happen('broken', `cannot take over: ${error.message}`),
      )
    }
  }

  async #yield(): Promise<void> {
    // What could be handed over at the start may not be so any more; and a worker that was replaced has a socket that the new process has not.
    if (!this.#isAsOffered()) throw new Error(MOVED)
    await this.#present.yield()
  }

  /** What is held here goes on, too, when it is released there. */
  #follow({ change, revision }: Extract<FromSuccessor, { type: 'routed' }>): void {
    if (this.phase !== 'draining') return
    this.#present.follow(change, revision).catch((error: unknown) => {
      this.#present.log.error({ err: error }, 'what the new process has changed is not followed here')
    })
  }

  /** Whether the new process has all of our sockets. Throws where nothing can be handed over any more. */
  #isAsOffered(): boolean {
    return JSON.stringify(this.#present.offer()) === this.#offered
  }

  /** The same once it was: a worker that was replaced in the last moment has a socket of its own, and what waits there is to be accepted here. */
  #isStillAsOffered(): boolean {
    try {
      return this.#isAsOffered()
    } catch {
      return true
    }
  }

  /** The new process serves. */
  #end(): void {
    const { clock } = this.#deps
    const { log, self: from, held } = this.#present
    const { taken, pid, version, listeners, admin, revision } = this.#ready!
    const tookMs = clock.monotonicMs() - this.#startedMs
    log.info({ newPid: pid, tookMs }, `process ${pid} (${version}) serves; this one finishes what is under way`)
    // Nothing is accepted here any more when it is answered.
    const draining = this.#present.drain(this.#isStillAsOffered() ? taken : taken.map(() => false))
    this.#outcome.resolve({ pid, version, listeners, admin, revision, from, tookMs, held: held() })
    const successor = this.#successor!
    const tell = () => successor.send({ type: 'letGo', handed: this.#present.handOver() })
    const cancel = clock.every(TELL_MS, () => successor.isBehind || tell())
    draining
      .finally(cancel)
      .finally(tell)
      .then(
        (told) => {
          this.#told = told
          this.#happen('drained')
        },
        (error: unknown) => {
          log.error({ err: error }, 'could not end cleanly')
          this.#happen('drained')
        },
      )
      .then(this.#drained)
  }

  /** All is to be as before. */
  async #goBack(mayHaveYielded: boolean): Promise<void> {
    const { clock } = this.#deps
    const { log, self } = this.#present
    const successor = this.#successor!
    await successor.kill()
    if (mayHaveYielded) {
      await this.#yielding.catch(() => {})
      while (!this.#isAbandoned) {
        try {
          await this.#present.takeBack()
          break
        } catch (error) {
          log.error({ err: error }, 'what was handed over cannot be taken back yet')
          await sleep(clock, AGAIN_MS)
        }
      }
    }
    const { pid } = successor
    const why = `The new process, ${pid}, ${this.#why}`.replace(/\.?$/, '.')
    const message = `the upgrade failed, and process ${self.pid} ${this.#isAbandoned ? 'ends' : 'goes on as before'}: ${why}`
    log.error({ newPid: pid }, message)
    this.#present.publish({ type: 'upgrade', service: null, message, data: { pid: self.pid, failed: pid } })
    this.#outcome.reject(new TurnoutError('upgrade_failed', why))
  }
}
