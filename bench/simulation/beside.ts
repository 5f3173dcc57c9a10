/**
 * The verdict, and the published rules of others, on the same streams: half an hour at one weight. Whoever has not taken the release
 * back by then lets it go on; the verdict only if it has shown that it may.
 */
import { SLICE_MS } from '../../src/rollout/clump.ts'
import { type Outcome, Verdict } from '../../src/rollout/verdict.ts'
import { Chance } from './chance.ts'
import { type Decided, RULES, STAYS_S } from './rules.ts'
import { VERDICT, WEIGHT } from './settings.ts'
import { type Came, Source } from './source.ts'
import type { Stream } from './streams.ts'

/** Who judges, ours first. */
export const JUDGES: readonly string[] = ['verdict', ...RULES.map(({ name }) => name)]

/** So many requests of a stream are judged by the verdict; more would take minutes for a run. */
export const VERDICT_REQUESTS = 20_000_000

/** What a judge made of the runs of a stream. */
export interface Judged {
  readonly runs: number
  /** Releases that went on to the next step. */
  advanced: number
  /** Of each that was rolled back: failed answers of the canary until then, users who met one, and seconds; sorted. */
  readonly failed: number[]
  readonly users: number[]
  readonly seconds: number[]
}

/** What each of `JUDGES` makes of a stream, in their order. */
export function judge(stream: Stream, plan: { runs: number; seed: number; looks: number }): readonly Judged[] {
  const chance = new Chance(plan.seed)
  const judged = JUDGES.map((): Judged => ({ runs: plan.runs, advanced: 0, failed: [], users: [], seconds: [] }))
  for (let run = 0; run < plan.runs; run++) runOnce(new Source(stream, chance), plan.looks, judged)
  for (const { failed, users, seconds } of judged)
    for (const list of [failed, users, seconds]) list.sort((a, b) => a - b)
  return judged
}

/** Share of the runs that were rolled back. */
export const backOf = ({ failed, runs }: Judged): number => failed.length / runs

function runOnce(source: Source, looks: number, judged: readonly Judged[]): void {
  const ours = new Watched(source)
  const untilS = VERDICT_REQUESTS / source.stream.rate
  const others = RULES.map((rule) => ({ check: rule.start(), isOpen: true }))
  let failed = 0
  const note = (decided: Decided, at: number, seconds: number) => {
    if (decided === 'advanced') judged[at].advanced++
    if (decided !== 'back') return
    judged[at].failed.push(failed)
    judged[at].users.push(source.usersHarmed)
    judged[at].seconds.push(seconds)
  }
  for (let second = 0; second < STAYS_S && (!ours.isBack || others.some(({ isOpen }) => isOpen)); second++) {
    const sum = { canary: 0, canaryBad: 0, canaryLate: 0 }
    const isJudged = !ours.isBack && second < untilS
    // Where ours has decided only whole seconds matter.
    const parts = isJudged ? looks : 1
    for (let part = 0; part < parts; part++) {
      const came = source.take(second + part / parts, 1 / parts, WEIGHT)
      sum.canary += came.canary
      sum.canaryBad += came.canaryBad
      sum.canaryLate += came.canaryLate
      failed += came.canaryBad
      const seconds = second + (part + 1) / parts
      if (isJudged && !ours.isBack && ours.look(came, seconds)) note('back', 0, seconds)
    }
    for (const [at, other] of others.entries()) {
      if (!other.isOpen) continue
      const decided = other.check(sum, second)
      other.isOpen = decided === null
      note(decided, at + 1, second + 1)
    }
  }
  if (ours.mayAdvance) note('advanced', 0, STAYS_S)
}

/** The verdict on a stream. */
class Watched {
  isBack = false
  readonly #source: Source
  readonly #verdict: Verdict
  #outcome: Outcome = 'insufficient'
  #harm = 0
  #slicedAtS = 0

  constructor(source: Source) {
    this.#source = source
    this.#verdict = new Verdict(VERDICT, source.before())
    this.#verdict.beginStep(WEIGHT)
  }

  get mayAdvance(): boolean {
    return this.#outcome === 'pass'
  }

  /** Looks at what has come until `second`; true when the release goes back. */
  look(came: Came, second: number): boolean {
    this.#harm += came.canaryBad
    if (second - this.#slicedAtS >= SLICE_MS / 1_000) {
      this.#slicedAtS = second
      for (const [at, slice] of this.#source.slice(second, WEIGHT).entries())
        this.#verdict.metrics[at].clump.take(slice)
    }
    const look = { nowMs: second * 1_000, came: came.judged, harm: this.#harm, allOut: false }
    this.#outcome = this.#verdict.look(look).outcome
    this.isBack = this.#outcome === 'fail'
    return this.isBack
  }
}
