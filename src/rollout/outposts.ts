/**
 * The rollouts that another instance runs, as far as this one has a part in them: one outpost for each service of which it knows that it is tried.
 *
 * They follow what control has committed here. An instance that takes the rollouts up hands over what it has counted, and has none from then on.
 */
import { own } from '../config/record.ts'
import { Outpost, type OutpostDeps } from './outpost.ts'

export interface OutpostsDeps extends OutpostDeps {
  /** There is something to look at from now on. */
  begin(): void
}

export class Outposts {
  readonly #deps: OutpostsDeps
  readonly #outposts = new Map<string, Outpost>()
  readonly #endNews: () => void

  constructor(deps: OutpostsDeps) {
    this.#deps = deps
    this.#endNews = deps.control.subscribe(({ type, service }) => {
      if (type === 'change') this.sync(service)
    })
  }

  /** Follows what has become of one service, or of all (null). */
  sync(service: string | null = null): void {
    if (!this.#deps.elsewhere.isThere || this.#deps.reports.isJudge) return
    const { status } = this.#deps.control.snapshot()
    const names = service === null ? new Set([...Object.keys(status), ...this.#outposts.keys()]) : [service]
    for (const name of names) this.#follow(name)
  }

  #follow(service: string): void {
    const trial = own(this.#deps.control.snapshot().status, service)?.trial
    const { rollout, step } = trial ?? {}
    const present = this.#outposts.get(service)
    if (present !== undefined && present.rollout !== rollout) this.#end(service, present)
    else if (present !== undefined) return present.follow(trial!)
    if (rollout === undefined) return
    const ledger = this.#deps.reports.open(service, rollout, step!)
    if (ledger === null) return
    this.#outposts.set(service, new Outpost(this.#deps, service, { ...trial!, rollout }, ledger))
    this.#deps.begin()
  }

  /** Takes what has come of each; tells whether there is any. */
  look(): boolean {
    for (const outpost of this.#outposts.values()) outpost.look()
    return this.#outposts.size > 0
  }

  #end(service: string, outpost: Outpost): void {
    outpost.end(false)
    this.#outposts.delete(service)
    this.#deps.reports.end(service)
  }

  /** What another one has run is run here from now on: what was counted of it stays. */
  handOver(): void {
    for (const outpost of this.#outposts.values()) outpost.end(true)
    this.#outposts.clear()
  }

  close(): void {
    this.#endNews()
    for (const outpost of this.#outposts.values()) outpost.look()
    this.#outposts.clear()
  }
}
