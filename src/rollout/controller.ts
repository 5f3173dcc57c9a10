/**
 * Drives the rollouts of this process: keeps each, feeds it what happens, and does what state.ts asks for.
 *
 *   a person, the end of work, a look every 100 ms ─► step (state.ts) ─► kept in the store ─► work begins, the split moves, people are told
 *
 * Invariants: one rollout at a time for a service; its value is in the store before anything is done about it, so after `kill -9`
 * the same is done again, under the same key; events of one rollout are taken one at a time. What a look finds ends with batches of 1 or 10 ms, whenever it
 * comes (metrics/batches.ts); where the new version fails it comes as soon as one is closed.
 */
import type { Logger } from 'pino'
import type { RolloutLine } from '../change.ts'
import { own } from '../config/record.ts'
import { TurnoutError } from '../errors.ts'
import type { SharedMemory } from '../metrics/layout.ts'
import type { TrafficWindow } from '../metrics/window.ts'
import type { Store } from '../store/store.ts'
import { Archive } from './archive.ts'
import type { Asked } from './asked.ts'
import { Beginnings, type BeginningsDeps } from './beginnings.ts'
import { SLICE_MS } from './clump.ts'
import { type Asking, Counts, type Ending, type How } from './counts.ts'
import { dryRun } from './dry-run.ts'
import { eachAlone } from './each-alone.ts'
import { Elsewhere } from './elsewhere.ts'
import type { MeansGiven } from './gates/gate.ts'
import { Gates, type GatesDeps } from './gates/gates.ts'
import type { Post, PostAnswer } from './given/posted.ts'
import { Prometheus } from './given/prometheus.ts'
import type { Kept } from './kept.ts'
import { assertSomebodyLeft } from './left-to-nobody.ts'
import { Looks } from './looks.ts'
import type { Publish } from './news.ts'
import { type Claim, claimsOf, freeOrphans, takeOverUntried, tellSeen, undoBegin } from './orphans.ts'
import { Outposts } from './outposts.ts'
import { followPassed, passAbortOn } from './passed-on.ts'
import { Past } from './past.ts'
import { notNow, notOurs, THERE } from './refusals.ts'
import { Reports } from './reports.ts'
import { isRolling } from './rolling.ts'
import { isOver, livePoolsOf, type RolloutEvent } from './rollout.ts'
import type { Runbook } from './runbook.ts'
import { Running, type RunningDeps } from './running.ts'
import { Shown } from './shown.ts'
import { Standbys } from './standby.ts'
import type { ToldRollout } from './told.ts'
import { unreadOnce } from './told-once.ts'

export interface ControllerDeps extends BeginningsDeps, MeansGiven {
  readonly memory: SharedMemory
  /** What happened lately. */
  readonly traffic: Pick<TrafficWindow, 'service'>
  readonly store: Pick<Store, 'fleet' | 'get' | 'isShared' | 'put' | 'stillLeads'>
  /** Of this instance, for people. */
  readonly name: string
  readonly publish: Publish
  readonly log: Pick<Logger, 'error' | 'warn'>
}

export class Rollouts {
  readonly #deps: ControllerDeps & Pick<GatesDeps, 'stillLeads'>
  readonly #gates: Gates
  readonly #prometheus: Prometheus
  readonly #past: Past
  readonly #running = new Map<string, Running>()
  readonly #beginnings: Beginnings
  readonly #archive: Archive
  readonly #counts = new Counts()
  readonly #standbys: Standbys
  readonly #endPast: () => void
  readonly #endNews: () => void
  readonly #looks: Looks
  readonly #elsewhere: Elsewhere
  readonly #reports: Reports
  readonly #outposts: Outposts
  readonly #shown: Shown

  constructor(given: ControllerDeps) {
    const stillLeads = () => (given.store.fleet ?? given.store).stillLeads?.() ?? true
    const deps = { ...given, stillLeads }
    this.#deps = deps
    const isService = (name: string) => Object.hasOwn(deps.control.snapshot().services, name)
    this.#archive = new Archive(deps.store, isService, unreadOnce(deps.log))
    this.#beginnings = new Beginnings(deps, (service) => this.#running.get(service))
    this.#gates = new Gates(deps)
    this.#prometheus = new Prometheus(deps.find)
    this.#standbys = new Standbys({
      ...deps,
      gates: this.#gates,
      save: (kept) => this.#archive.replace(kept, this.#running.get(kept.service)?.kept),
    })
    const takeUp = async () => this.#takeUp(await this.#readAll())
    this.#elsewhere = new Elsewhere({ ...deps, archive: this.#archive, takeUp })
    const shown = { control: deps.control, running: this.#running, elsewhere: this.#elsewhere, archive: this.#archive }
    this.#shown = new Shown({ ...shown, counts: this.#counts })
    this.#past = new Past(deps.memory)
    const { clock, control, memory } = deps
    this.#reports = new Reports(deps, () => {
      for (const running of this.#running.values()) running.look()
    })
    const parts = { past: this.#past, reports: this.#reports, elsewhere: this.#elsewhere }
    this.#outposts = new Outposts({ ...deps, ...parts, begin: () => this.#looks.begin() })
    this.#looks = new Looks(memory, clock, () => {
      const { services } = control.snapshot()
      for (const [service, running] of this.#running) {
        // Nobody can remove it meanwhile; but an older copy may be put in the place of the store.
        if (!Object.hasOwn(services, service)) {
          void running.send({ type: 'abort', by: 'turnout, since its service is gone' })
        }
        running.look()
      }
      return this.#outposts.look() || this.#running.size > 0
    })
    this.#endNews = control.subscribe(({ type, data }) => {
      if (type === 'change' && data['kind'] === 'reload')
        for (const running of this.#running.values()) void followPassed(this.#deps, running)
    })
    this.#endPast = clock.every(SLICE_MS, () => this.#past.followAll(control.snapshot().status, clock.steadyMs()))
  }

  /** Takes up what a process before this one has left; what another one runs that lives beside us is shown until that one is gone. */
  async start(): Promise<void> {
    const isShared = await this.#deps.store.isShared()
    const open = await this.#readAll()
    if (!isShared) return this.#takeUp(open)
    this.#elsewhere.follow(open)
    this.#outposts.sync()
  }

  /** Those that are kept, of services that the index may have lost, too: one that goes back the document does not tell of, but it was seen. */
  #readAll(): Promise<Kept[]> {
    const { status } = this.#deps.control.snapshot()
    const tried = Object.keys(status).filter((service) => status[service].trial !== undefined)
    return this.#archive.read([...tried, ...this.#elsewhere.services])
  }

  async #takeUp(open: readonly Kept[]): Promise<void> {
    this.#reports.isJudge = true
    this.#outposts.handOver()
    await this.#archive.forgetGone()
    const { control } = this.#deps
    await takeOverUntried(control, open)
    const claims = claimsOf(open, this.#elsewhere.seen, control.snapshot())
    await eachAlone(this.#deps, claims, this.#goOn, this.#lose)
    await eachAlone(this.#deps, this.#archive.allEnded, ({ kept }) => this.#standbys.watch(kept))
    await freeOrphans(this.#deps, this.#gates, (service) => this.#running.has(service))
  }

  /** Goes on with one that a process before this one has begun. One without a step, of which no traffic is tried, had not begun: nobody was told of it. */
  readonly #goOn = async (claim: Claim): Promise<void> => {
    const { service, step } = claim.kept
    if (this.#running.has(service)) return
    const isTried = own(this.#deps.control.snapshot().status, service)?.trial !== undefined
    if (step === 0 && !isTried) return this.#archive.forget(service)
    tellSeen(claim, this.#deps.publish)
    const running = this.#runningOf(claim.kept)
    this.#follow(running)
    running.resume(isTried, claim.isBehind)
    void followPassed(this.#deps, running)
  }

  /** One that cannot be gone on with is not run: then its split goes back. */
  readonly #lose = (service: string): void => {
    void this.#running.get(service)?.close()
    this.#running.delete(service)
    this.#reports.end(service)
  }

  /** Begins a rollout, at this revision of the service only. Rejects with `conflict` while another runs, `not_found`, `invalid`, `stale_revision`, and `not_ready` once closed. */
  async begin(service: string, asked: Asked, by: string, ifMatch?: number): Promise<ToldRollout> {
    if (this.#elsewhere.isThere) throw new TurnoutError('conflict', `Nothing is begun here: ${THERE}.`)
    const open = async (kept: Kept, ended: AbortSignal, at?: number) => {
      const running = this.#runningOf(kept)
      await running.open(ended, at)
      this.#follow(running)
      // It may have been sent an abort as soon as its traffic was seen.
      void followPassed(this.#deps, running)
      await running.begun()
      this.#counts.ask(service, 'begin')
      return running.told()
    }
    const undo = (isWanted: () => boolean) => {
      this.#reports.end(service)
      return undoBegin(this.#deps, this.#archive, service, isWanted)
    }
    return this.#beginnings.begin(service, asked, by, open, undo, ifMatch)
  }

  /** What a rollout would do, with what its checks find now. Rejects as `begin` would; nothing is changed. */
  dryRun(service: string, asked: Asked, by: string): Promise<Runbook> {
    return dryRun(this.#beginnings.keptOf(service, asked, by), this.#deps, this.#gates)
  }

  /**
   * Follows a person's verb; rejects with `conflict` when it makes no sense now. An abort waits until traffic is back.
   */
  async command(service: string, id: string, verb: Asking, by: string, how: How = {}): Promise<ToldRollout> {
    const { force = verb === 'abort', only = () => {} } = how
    const found = this.find(service, id)
    only()
    const running = this.#running.get(service)
    if (running === undefined || running.kept.rollout.id !== found.id) {
      if (verb === 'abort' && isOver(found)) return found
      if (verb === 'abort' && found.runsElsewhere) {
        if (!force) assertSomebodyLeft(this.#elsewhere.kept(service)!, this.#deps)
        const deps = { ...this.#deps, refresh: () => this.refresh(service) }
        await passAbortOn(deps, by, () => this.find(service, found.id))
        await this.refresh(service)
        return this.find(service, found.id)
      }
      throw notOurs(found)
    }
    if (verb === 'abort') {
      if (!force) assertSomebodyLeft(running.kept, this.#deps)
      this.#counts.ask(service, verb)
      await running.abort(by)
      return running.told()
    }
    const refused = await running.send({ type: verb, by, ...(verb === 'promote' && { force }) } as RolloutEvent, only)
    if (refused !== undefined) throw notNow(refused, running.told())
    this.#counts.ask(service, verb)
    return running.told()
  }

  /** Takes counts of a metric that is given from outside. Rejects with `not_found`, `conflict` and `invalid`. */
  post(service: string, id: string, name: string, post: Post): PostAnswer {
    const found = this.find(service, id)
    const running = this.#running.get(service)
    if (running?.kept.rollout.id !== found.id) throw notOurs(found)
    return running.given.post(name, post, this.#deps.clock.steadyMs())
  }

  /** Before any of a service is read: takes over what another process that runs them has kept, if one does by now. Rejects with `store_unavailable`. */
  async refresh(service: string): Promise<void> {
    if (this.#elsewhere.isThere) await this.#elsewhere.refresh(service)
    else await this.#deps.stillLeads()
  }

  list: Shown['list'] = (service) => this.#shown.list(service)
  find: Shown['find'] = (service, id) => this.#shown.find(service, id)
  running: Shown['running'] = (service) => this.#shown.running(service)
  figures: Shown['figures'] = () => this.#shown.figures()

  /** Whether whoever switches to this pool, or goes back (null), wants the rollout that runs, here or elsewhere, to end. */
  isLeftBy(service: string, to: string | null): boolean {
    const { rollout } = this.#running.get(service)?.kept ?? this.#elsewhere.kept(service) ?? {}
    return rollout !== undefined && (to === null || (!isRolling(rollout) && livePoolsOf(rollout).includes(to)))
  }

  async close(): Promise<void> {
    const whenNoneBegins = this.#beginnings.close()
    const closeRunning = () => Promise.all([...this.#running.values()].map((running) => running.close()))
    this.#endPast()
    this.#endNews()
    this.#elsewhere.close()
    this.#looks.close()
    this.#outposts.close()
    this.#standbys.close()
    await closeRunning()
    await whenNoneBegins
    // Those that had made their first shift already.
    await closeRunning()
    await this.#reports.close()
    await this.#gates.close()
    await this.#prometheus.close()
  }

  #runningOf(kept: Kept): Running {
    const deps: RunningDeps = {
      ...this.#deps,
      gates: this.#gates,
      prometheus: this.#prometheus,
      past: this.#past,
      reports: this.#reports,
      save: (value, line) => this.#save(value, line),
    }
    return new Running(deps, kept)
  }

  #follow(running: Running): void {
    this.#running.set(running.kept.service, running)
    this.#looks.begin()
  }

  /** Keeps one that runs, with its line in the audit, if there is one; it stops running once it is over. */
  async #save(kept: Kept, line: RolloutLine | null): Promise<void> {
    const { service, rollout } = kept
    const withLine = (key: string, text: string) =>
      this.#deps.control.change(line!, { actor: `rollout ${rollout.id}`, named: { [key]: text } })
    await this.#archive.keep(kept, line === null ? undefined : withLine)
    if (!isOver(rollout) || this.#running.get(service)?.kept.rollout.id !== rollout.id) return
    this.#archive.end(kept)
    this.#standbys.watch(kept)
    this.#running.delete(service)
    this.#reports.end(service)
    this.#counts.end(service, rollout.state as Ending)
  }
}
