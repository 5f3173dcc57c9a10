/**
 * What this instance has counted of rollouts, said to the others every `REPORT_MS` while one runs, in one write for all of them; and what the
 * others have said. Where there is one instance only, and where no rollout runs, nothing is said.
 *
 * What a failure of a new version is in is said as soon as its stretch of time is over, and whoever judges hears of it at once. A store that is
 * away delays nothing here: everybody judges on by what it has.
 */
import type { Clock } from '../clock.ts'
import type { FleetCounts, Store } from '../store/store.ts'
import { Ledger, type Said, stretchEndMs } from './ledger.ts'
import { type Heard, saidOf } from './pooled.ts'
import { isWithin } from './turns.ts'

const REPORT_MS = 100
/** What has not changed is said so often. */
const AGAIN_MS = 1_000
/** The last one may take so long. */
const CLOSE_MS = 500
/** Readings in one write, over all services. */
const READINGS_MAX = 256

export interface ReportsDeps {
  readonly store: Pick<Store, 'fleet'>
  /** Of this instance, for people. */
  readonly name: string
  readonly clock: Clock
}

export class Reports {
  /** By chance: counts begin from zero with it. */
  readonly run = crypto.randomUUID()
  /** Whether this one judges for all, and so wants to hear them. */
  isJudge = false
  /** Instances that say something, this one among them; 1 as long as nothing is known. */
  count = 1
  readonly #deps: ReportsDeps
  /** Null where this instance is the only one there can be. */
  readonly #counts: FleetCounts | null
  readonly #heardSome: () => void
  readonly #ledgers = new Map<string, Ledger>()
  /** By service, what each other run has said last. */
  #heard = new Map<string, Heard[]>()
  #cancel: (() => void) | null = null
  #cancelHurry: (() => void) | null = null
  #isListening = false
  #isSaying = false
  #isUrgent = false
  #lastText = ''
  #lastAtMs = -Infinity
  #isClosed = false

  /** Calls `heardSome` when the others have said something. */
  constructor(deps: ReportsDeps, heardSome: () => void) {
    this.#deps = deps
    this.#counts = deps.store.fleet?.counts ?? null
    this.#heardSome = heardSome
  }

  /** Of this instance, for people. */
  get name(): string {
    return this.#deps.name
  }

  /** What this one counts of the rollout of a service: what there is already, or a new ledger; null where nobody wants it. */
  open(service: string, rollout: string, step: number): Ledger | null {
    if (this.#counts === null || this.#isClosed) return null
    const present = this.#ledgers.get(service)
    if (present?.rollout === rollout) return present
    const ledger = new Ledger(rollout, step)
    this.#ledgers.set(service, ledger)
    this.#listen(this.#counts)
    this.#cancel ??= this.#deps.clock.every(REPORT_MS, () => void this.#say())
    return ledger
  }

  /** The rollout of a service is over. */
  end(service: string): void {
    this.#ledgers.delete(service)
    this.#heard.delete(service)
    if (this.#ledgers.size > 0) return
    this.#cancel?.()
    this.#cancel = null
  }

  /** A new version has failed: what its stretch of time is in is said as soon as that is over. */
  hurry(): void {
    if (this.#ledgers.size === 0) return
    this.#isUrgent = true
    const { clock } = this.#deps
    // A ms more, since timers may be early by a part of one.
    this.#cancelHurry ??= clock.after(stretchEndMs(clock.steadyMs()) - clock.steadyMs() + 1, () => {
      this.#cancelHurry = null
      void this.#say()
    })
  }

  /** What others have said of the rollout of a service. */
  heard(service: string): readonly Heard[] {
    return this.#heard.get(service) ?? []
  }

  /** A number from 1 on that no other run has for this rollout: the one that was given here, or a new one; null as long as there is none to give. Rejects with `store_unavailable`. */
  async seat(rollout: string, given: number | null): Promise<number | null> {
    return this.#counts!.seat(rollout, given)
  }

  /** Says for the last time what was counted. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#cancel?.()
    this.#cancelHurry?.()
    if (this.#counts === null || this.#ledgers.size === 0) return
    const said = this.#counts.report(this.run, this.#text(Infinity, true), false, false).catch(() => {})
    this.#ledgers.clear()
    await isWithin(CLOSE_MS, said, this.#deps.clock)
  }

  /** Only a hint, and no more than one connection of a process. */
  #listen(counts: FleetCounts): void {
    if (this.#isListening) return
    this.#isListening = true
    counts.listen(() => {
      if (this.isJudge && this.#ledgers.size > 0 && !this.#isClosed) void this.#say()
    })
  }

  #text(steadyMs: number, ends: boolean): string {
    const each = Math.max(1, Math.floor(READINGS_MAX / this.#ledgers.size))
    const trials: Record<string, Said> = {}
    for (const [service, ledger] of this.#ledgers) {
      trials[service] = { ...ledger.said(steadyMs, each), ...(ends && { ends: true as const }) }
    }
    return JSON.stringify({ name: this.#deps.name, trials })
  }

  async #say(): Promise<void> {
    if (this.#isSaying || this.#isClosed || this.#ledgers.size === 0) return
    const { clock } = this.#deps
    const text = this.#text(clock.steadyMs(), false)
    const atMs = clock.monotonicMs()
    if (text === this.#lastText && !this.isJudge && atMs - this.#lastAtMs < AGAIN_MS) return
    this.#isSaying = true
    const isUrgent = this.#isUrgent
    this.#isUrgent = false
    try {
      const { count, others } = await this.#counts!.report(this.run, text, isUrgent && !this.isJudge, this.isJudge)
      this.#lastText = text
      this.#lastAtMs = atMs
      this.count = count
      this.#take(others)
    } catch {
      // Told by control, whose store it is; the next one says it all.
      this.#lastText = ''
    }
    this.#isSaying = false
  }

  #take(others: Awaited<ReturnType<FleetCounts['report']>>['others']): void {
    if (!this.isJudge || this.#isClosed) return
    const heard = new Map<string, Heard[]>()
    for (const { id: run, agoMs, text } of others) {
      const told = saidOf(text)
      if (told === null) continue
      const atMs = this.#deps.clock.steadyMs() - agoMs
      for (const [service, said] of Object.entries(told.trials)) {
        if (!this.#ledgers.has(service)) continue
        heard.set(service, [...(heard.get(service) ?? []), { run, name: told.name, said, atMs }])
      }
    }
    this.#heard = heard
    this.#heardSome()
  }
}
