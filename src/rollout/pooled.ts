/**
 * What the other instances have counted of a rollout, for the one that judges by all of it. Pure.
 *
 * Each says sums that only grow, under a name that it has by chance since it started (ledger.ts): the difference to what was taken of
 * that name before has come since. So an instance that restarts begins from zero under another name, one that falls silent is just not heard,
 * and whatever is lost or read twice takes nothing back and counts nothing twice. What was taken is kept with the tests, so that it is so for
 * whoever takes the rollout up, too. Answers count in the step that they were decided in alone; harm always does.
 */

import { cameBetween, isReading, type Ledger, nothingRead, type Reading, type Said } from './ledger.ts'
import type { Stratum } from './origin-test.ts'
import type { Side } from './told.ts'

/** An instance that has said nothing for so long does not count as heard. */
export const SILENT_MS = 3_000
/** And for so long: it may be gone, and nothing is set aside for what it may do. */
const GONE_MS = 60_000
/** Runs of instances that are pooled in one rollout; a later one is left out. */
const RUNS_MAX = 200

/** What was taken of a run. */
export interface Taken {
  readonly name: string
  readonly step: number
  readonly reading: Reading
  /** Answers in this step that came without a weight; absent: none. */
  readonly byRules?: number
  /** Answers over all steps. */
  readonly canary: number
  readonly canaryBad: number
  readonly control: number
  readonly controlBad: number
}

/** By the name that a run has by chance; plain data. */
export type TakenByRun = Readonly<Record<string, Taken>>

/** What a run says, and when that was heard. */
export interface Heard {
  readonly run: string
  readonly name: string
  readonly said: Said
  /** Steady time in ms. */
  readonly atMs: number
}

/** An instance as it is told. */
export interface ToldShare {
  readonly name: string
  /** It is the one that judges. */
  readonly isSelf: boolean
  readonly canary: Pick<Side, 'requests' | 'failed'>
  readonly control: Pick<Side, 'requests' | 'failed'>
  /** For how long nothing was heard of it, in ms; 0 where it is heard. */
  readonly silentMs: number
}

/** What has come of one run. */
export interface PooledBatch {
  readonly run: string
  readonly came: readonly Stratum[]
  readonly harm: number
  /** Answers of the new version that came without a weight. */
  readonly byRules: number
}

const NOTHING = { canary: 0, canaryBad: 0, control: 0, controlBad: 0 }

export class Pooled {
  readonly #rollout: string
  readonly #own: Pick<Heard, 'run' | 'name'>
  readonly #taken: Map<string, Taken>
  readonly #heard = new Map<string, Heard>()
  readonly #sinceMs: number

  /** For the instance `own`; `taken` is what was taken before, by this process or another one; times are steady ones in ms. */
  constructor(rollout: string, own: Pick<Heard, 'run' | 'name'>, steadyMs: number, taken: TakenByRun = {}) {
    this.#rollout = rollout
    this.#own = own
    this.#sinceMs = steadyMs
    this.#taken = new Map(Object.entries(taken))
  }

  /** Takes note of what a run says; what is of another rollout, or older than what it has said before, says nothing. */
  hear(heard: Heard): void {
    const before = this.#heard.get(heard.run)
    if (heard.said.rollout !== this.#rollout || numberOf(heard.said) < numberOf(before?.said)) return
    if (!this.#taken.has(heard.run) && before === undefined && this.#runs().size >= RUNS_MAX) return
    this.#heard.set(heard.run, heard)
  }

  /** What has come since the last call, in this step: a batch for each reading that was not taken yet. */
  take(step: number): PooledBatch[] {
    return [...this.#heard].flatMap(([run, { name, said }]) => this.#take(run, name, said, step))
  }

  #take(run: string, name: string, said: Said, step: number): PooledBatch[] {
    const batches: PooledBatch[] = []
    let taken: Taken = this.#taken.get(run) ?? { name, step: said.step, reading: nothingRead(), ...NOTHING }
    const byRulesBefore = taken.step === said.step ? (taken.byRules ?? 0) : 0
    for (const reading of said.readings) {
      if (reading[0] < taken.reading[0]) continue
      const before =
        taken.step === said.step ? taken.reading : [...taken.reading.slice(0, 2), ...nothingRead().slice(2)]
      const came = cameBetween(before, reading)
      const harm = reading[1] - taken.reading[1]
      // Of the stretch that was open when it was taken, an earlier reading may come later.
      if (came === null || harm < 0) continue
      const isNow = said.step === step
      taken = { ...(isNow ? withMore(taken, came[0]) : taken), name, step: said.step, reading }
      if (isNow && came.some(isAny)) batches.push({ run, came, harm, byRules: 0 })
      else if (harm > 0) batches.push({ run, came: [], harm, byRules: 0 })
    }
    // What is of a step before says nothing of this one.
    if (taken.step === said.step) {
      const byRules = Math.max(byRulesBefore, said.byRules ?? 0)
      const came = said.step === step ? byRules - byRulesBefore : 0
      if (came > 0) batches.push({ run, came: [], harm: 0, byRules: came })
      taken = { ...taken, byRules }
    }
    this.#taken.set(run, taken)
    return batches
  }

  /** Notes what this instance has counted of failures, which the verdict has already. */
  addOwn(came: Stratum): void {
    const { run, name } = this.#own
    const taken = this.#taken.get(run) ?? { name, step: 0, reading: nothingRead(), ...NOTHING }
    this.#taken.set(run, withMore(taken, came))
  }

  /** What was taken of each run so far, to be kept; this one stands there with all that it has counted in its step. */
  taken(step: number, { total: reading, byRules }: Pick<Ledger, 'total' | 'byRules'>): TakenByRun {
    const { run, name } = this.#own
    const own = { ...NOTHING, ...this.#taken.get(run), name, step, reading, byRules }
    return { ...Object.fromEntries(this.#taken), [run]: own }
  }

  /** The instances, as they are told. */
  told(steadyMs: number): ToldShare[] {
    return [...this.#taken].map(([run, { name, canary, canaryBad, control, controlBad }]) => ({
      name,
      isSelf: run === this.#own.run,
      canary: { requests: canary, failed: canaryBad },
      control: { requests: control, failed: controlBad },
      silentMs: this.#silentMs(run, steadyMs),
    }))
  }

  /** Why an instance judges by itself that the new version has failed, since a person has gone on so often; null where none does. */
  failedAlone(goneOn: number): string | null {
    for (const { name, said } of this.#heard.values()) {
      if (said.failed?.goneOn === goneOn) return `${name} by itself: ${said.failed.why}`
    }
    return null
  }

  /**
   * Failures that instances may have brought to clients without being heard: each that has fallen silent has its part of the budget, whatever of it
   * was heard of. One that was not heard of for a minute is taken for gone.
   */
  unheard(budget: number, steadyMs: number): number {
    if (budget === Infinity) return 0
    const left = [...this.#runs()].filter((run) => {
      const isOver = this.#heard.get(run)?.said.ends === true
      return run !== this.#own.run && !isOver && this.#silentMs(run, steadyMs) < GONE_MS
    })
    const part = budget / (1 + left.length)
    const silent = left.filter((run) => this.#silentMs(run, steadyMs) > 0)
    return silent.reduce((sum, run) => sum + Math.max(0, part - this.#harmOf(run)), 0)
  }

  #harmOf(run: string): number {
    return this.#heard.get(run)?.said.readings.at(-1)?.[1] ?? this.#taken.get(run)?.reading[1] ?? 0
  }

  #silentMs(run: string, steadyMs: number): number {
    if (run === this.#own.run) return 0
    const ms = steadyMs - (this.#heard.get(run)?.atMs ?? this.#sinceMs)
    return ms < SILENT_MS ? 0 : ms
  }

  #runs(): Set<string> {
    return new Set([...this.#taken.keys(), ...this.#heard.keys()])
  }
}

const withMore = (taken: Taken, came: Stratum): Taken => ({
  ...taken,
  canary: taken.canary + came.canary,
  canaryBad: taken.canaryBad + came.canaryBad,
  control: taken.control + came.control,
  controlBad: taken.controlBad + came.controlBad,
})

const numberOf = (said: Said | undefined): number => said?.readings.at(-1)?.[0] ?? -1
const isAny = ({ canary, control }: Stratum): boolean => canary > 0 || control > 0

/** What an instance says, as it came out of the store; null where that cannot be read. */
export function saidOf(
  text: string,
): { readonly name: string; readonly trials: Readonly<Record<string, Said>> } | null {
  try {
    const { name, trials } = JSON.parse(text) as { name: unknown; trials: Record<string, Said> }
    if (typeof name !== 'string' || name.length > 300) return null
    const sound = Object.entries(trials).filter(([, said]) => isSaid(said))
    return { name, trials: Object.fromEntries(sound) }
  } catch {
    return null
  }
}

function isSaid({ rollout, step, readings, byRules = 0, failed }: Said): boolean {
  const isWhy = failed === undefined || (typeof failed.why === 'string' && Number.isSafeInteger(failed.goneOn))
  return (
    typeof rollout === 'string' &&
    Number.isSafeInteger(step) &&
    Array.isArray(readings) &&
    readings.length > 0 &&
    readings.every(isReading) &&
    Number.isSafeInteger(byRules) &&
    byRules >= 0 &&
    isWhy
  )
}
