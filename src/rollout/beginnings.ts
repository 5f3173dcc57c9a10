/**
 * Rollouts that are about to begin: nobody can see one yet, and none beside it can.
 *
 * What one begins with is read twice: before the pool takes the version that was sent, so that nothing is changed for one that is refused, and
 * right before it begins, since others may have changed the service meanwhile.
 *
 * The process after this one finds all of a beginning, or at most the version of its pool: at the end what has not made its first shift is turned
 * away, and the rest is waited for.
 */
import type { Control } from '../change.ts'
import type { Clock } from '../clock.ts'
import { poolNamed, serviceNamed } from '../config/named.ts'
import { own } from '../config/record.ts'
import { TurnoutError } from '../errors.ts'
import { type Asked, keptOf } from './asked.ts'
import type { Kept } from './kept.ts'
import { isRolling } from './rolling.ts'
import { isBack } from './rollout.ts'
import { isWithin } from './turns.ts'
import type { Wish } from './wish.ts'

/** The store may be away. */
const UNDO_MS = 1_000
/** A hook may be asked; as long as a switch waits for its pool. */
const END_MS = 10_000

const ENDED =
  'Another process is about to run the rollouts, or this one ends, and none was begun: try again in a second.'

/** One that runs, and may be about to end. */
interface Ending {
  readonly kept: Kept
  readonly whenOver: Promise<void>
}

export interface BeginningsDeps {
  readonly control: Control
  readonly clock: Clock
  /** Folders whose programs hooks may run. */
  readonly commandFolders: readonly string[]
  /** A name that no other rollout has. */
  id(): string
}

export class Beginnings {
  readonly #deps: BeginningsDeps
  readonly #running: (service: string) => Ending | undefined
  /** By service; each resolves once nothing of it is under way. */
  readonly #underWay = new Map<string, Promise<void>>()
  readonly #end = new AbortController()

  /** `running` tells of the one that runs. */
  constructor(deps: BeginningsDeps, running: (service: string) => Ending | undefined) {
    this.#deps = deps
    this.#running = running
  }

  /**
   * Begins one by `open`, once its pool has the version that was sent. When that fails, `undo` is waited for so long, and until it is done
   * no other begins. Once `ended` has aborted, `open` moves nothing. Rejects as `keptOf` throws, as `open` does, with `stale_revision`, and with
   * `not_ready` at the end.
   */
  async begin<T>(
    service: string,
    asked: Asked,
    by: string,
    open: (kept: Kept, ended: AbortSignal, ifMatch: number | undefined) => Promise<T>,
    undo: (isWanted: () => boolean) => Promise<unknown>,
    ifMatch?: number,
  ): Promise<T> {
    // Whoever was told that traffic is back may begin another at once: the end of the last one is not far then.
    const last = this.#running(service)
    if (last !== undefined && isBack(last.kept.rollout)) await isWithin(END_MS, last.whenOver, this.#deps.clock)
    const ended = this.#end.signal
    ended.throwIfAborted()
    const { wish, rollout } = this.keptOf(service, asked, by)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#underWay.set(service, promise)
    let undone: Promise<unknown> = Promise.resolve()
    try {
      const at = await this.#putVersion(service, asked, wish, by, ifMatch)
      ended.throwIfAborted()
      const kept = this.keptOf(service, asked, by, rollout.id)
      return await open(kept, ended, at).catch(async (error: unknown) => {
        undone = undo(() => !ended.aborted)
        await isWithin(UNDO_MS, undone, this.#deps.clock)
        throw error
      })
    } finally {
      void undone.then(() => {
        this.#underWay.delete(service)
        resolve()
      })
    }
  }

  /** Begins none any more; resolves when nothing of those that were about to begin is under way. */
  async close(): Promise<void> {
    this.#end.abort(new TurnoutError('not_ready', ENDED))
    await Promise.all(this.#underWay.values())
  }

  /**
   * One that begins now, before anything is done about it; `mine` is the id that it has already. Throws `conflict` while another runs,
   * `not_found` and `invalid`.
   */
  keptOf(service: string, asked: Asked, by: string, mine?: string): Kept {
    const { to } = asked
    const { control, clock, id } = this.#deps
    const { services, status } = control.snapshot()
    const spec = serviceNamed(services, service)
    poolNamed(spec, service, to)
    const last = this.#running(service)
    if (last !== undefined && isBack(last.kept.rollout)) {
      const message = `Rollout ${last.kept.rollout.id} of ${service} goes back and has not ended: its hook OnRollback, or targets that are restored, are waited for.`
      throw new TurnoutError('conflict', message)
    }
    const isTaken = last !== undefined || (this.#underWay.has(service) && mine === undefined)
    if (isTaken || own(status, service)?.trial !== undefined) {
      throw new TurnoutError('conflict', `A rollout of ${service} is running.`)
    }
    const times = { nowMs: clock.nowMs(), steadyMs: clock.steadyMs() }
    const rest = { service, id: mine ?? id(), by, ...times, commandFolders: this.#deps.commandFolders }
    return keptOf(asked, spec, own(status, service), rest)
  }

  /** A pool that is tried has the version that was sent from now on; a rolling release brings it. The revision that all is to be at then. */
  async #putVersion(
    service: string,
    { to, version }: Asked,
    wish: Wish,
    by: string,
    ifMatch: number | undefined,
  ): Promise<number | undefined> {
    const { control } = this.#deps
    const present = control.snapshot().services[service].pools[to]
    if (isRolling(wish) || version === undefined || version === present.version) return ifMatch
    const spec = { ...present, version }
    const { revision } = await control.change({ kind: 'pool.put', service, pool: to, spec }, { actor: by, ifMatch })
    return ifMatch === undefined ? undefined : revision
  }
}
