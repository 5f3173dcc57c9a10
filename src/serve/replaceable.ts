/**
 * A process of `turnout serve` that may take the place of another one, and that another one may take the place of (upgrade/).
 *
 *   given an offer → serves → upgrade (the admin API, or SIGUSR2) → another one serves → ends, or stays as the one that others take for it
 *
 * It ends where a service manager can be told of the other one (systemd.ts), and stays everywhere else.
 */
import { systemClock } from '../clock.ts'
import type { Spec } from '../config/schema.ts'
import { TurnoutError } from '../errors.ts'
import type { ServeSignals } from '../signals.ts'
import { Lifeline, tellLifeline } from '../upgrade/lifeline.ts'
import type { Upgraded } from '../upgrade/messages.ts'
import { Predecessor, takeOffer } from '../upgrade/predecessor.ts'
import { startSuccessor } from '../upgrade/start.ts'
import { Upgrade } from '../upgrade/upgrade.ts'
import { given, inherit } from './inherited.ts'
import type { Running, ServeOptions } from './options.ts'
import { SELF } from './present.ts'
import { ServiceManager, takeSockets } from './systemd.ts'

/** For an upgrade by a signal; whoever asks by the admin API says so himself. */
const LIMIT_MS = 60_000

export class Replaceable {
  readonly #signals: ServeSignals
  readonly #upgrade: Upgrade
  readonly #manager = new ServiceManager(process.env)
  readonly #predecessor: Predecessor | null
  /** Why the offer cannot be followed. */
  readonly #fault: string | null
  #taken: readonly boolean[] = []
  /** To the process that serves now, where this one is taken for it. */
  #lifeline: Lifeline | null = null

  constructor(signals: ServeSignals) {
    this.#signals = signals
    const offer = takeOffer(process.env)
    this.#fault = typeof offer === 'string' ? offer : null
    this.#predecessor =
      offer === null || typeof offer === 'string' ? null : new Predecessor(offer, process, systemClock)
    this.#upgrade = new Upgrade({ clock: systemClock, start: (...given) => this.#start(...given) })
  }

  /** Resolves once another process serves, and this one has ended what was under way. */
  get whenDrained(): Promise<void> {
    return this.#upgrade.whenDrained
  }

  /** What `serve` is to know of it. Throws when what is offered cannot be taken. */
  options(
    spec: Spec,
    folders: Pick<ServeOptions, 'directory' | 'stateDirectory'>,
  ): Pick<ServeOptions, 'sockets' | 'predecessor' | 'upgrade'> {
    if (this.#fault !== null) throw new TurnoutError('invalid', this.#fault)
    const upgrade = (limitMs: number) => this.#begin(limitMs)
    const predecessor = this.#predecessor
    if (predecessor === null) {
      const sockets = given(takeSockets(process.env), spec)
      return { upgrade, ...(sockets && { sockets }) }
    }
    const { sockets, taken } = inherit(predecessor.offer, spec, folders)
    this.#taken = taken
    return { upgrade, sockets, predecessor }
  }

  /** It serves: says so to the process before it, and can be replaced from now on. */
  serves({ present, listeners, admin, log, revision }: Running): void {
    this.#upgrade.attach(present)
    this.#signals.onUpgrade(async () => {
      await this.#begin(LIMIT_MS).catch((error: Error) => log.error(`no upgrade: ${error.message}`))
    })
    this.#manager.ready()
    const predecessor = this.#predecessor
    if (predecessor === null) return
    const { from, lifeline } = predecessor.offer
    tellLifeline(lifeline, 'pid', SELF.pid)
    predecessor.ready({ ...SELF, listeners, admin, revision: revision(), taken: this.#taken })
    const message = `process ${SELF.pid} (${SELF.version}) has taken the place of process ${from.pid} (${from.version})`
    log.info(message)
    present.publish({ type: 'upgrade', service: null, message, data: { ...SELF, from } })
    const tell = () => {
      // One that is replaced itself tells it at its own end.
      if (this.#upgrade.isReplaced) return
      for (const told of predecessor.takeTold()) present.publish({ type: 'shutdown', service: null, ...told })
    }
    predecessor.onEnd(tell)
    tell()
  }

  /** The start has failed: says why to the process before it. */
  async failed(why: string): Promise<void> {
    await this.#predecessor?.failed(why)
  }

  /** Ends an upgrade that is under way, since this process is to end. */
  giveUp(): Promise<void> {
    if (!this.#upgrade.isReplaced) this.#manager.stopping()
    return this.#upgrade.giveUp()
  }

  /** Resolves with the exit code: at once, or when the process is over that this one is taken for. */
  over(): Promise<number> {
    return (this.#upgrade.isReplaced ? this.#lifeline?.whenOver : undefined) ?? Promise.resolve(0)
  }

  /** It ends with this code: says so to the process that others take for it. */
  ends(code: number): void {
    if (!this.#upgrade.isReplaced) tellLifeline(this.#predecessor?.offer.lifeline ?? null, 'exit', code)
  }

  async #begin(limitMs: number): Promise<Upgraded> {
    const done = await this.#upgrade.begin(limitMs)
    const lifeline = this.#lifeline
    if (lifeline !== null) this.#signals.passOn((signal) => lifeline.passOn(signal))
    return done
  }

  #start(
    ...[offer, news]: Parameters<ConstructorParameters<typeof Upgrade>[0]['start']>
  ): ReturnType<typeof startSuccessor> {
    const lifeline = this.#predecessor?.offer.lifeline ?? null
    const earlier = this.#predecessor?.earlier ?? []
    const started = startSuccessor(offer, { self: SELF, lifeline, stays: !this.#manager.follows, earlier, news })
    this.#lifeline = started.pipe === null ? null : new Lifeline(started.pipe, started.pid)
    return started
  }
}
