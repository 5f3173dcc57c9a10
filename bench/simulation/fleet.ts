/**
 * Section of the report on a verdict that is pooled over several instances: how soon it sees a version that is worse, with all that lies between
 * them, and how seldom it, or one of those that judge alone, takes an equal one for worse. By the code that the product runs.
 *
 * Time goes in milliseconds. Every request comes to an instance by chance. One of them judges: it has its own answers at once, and those of the others
 * as they say them, every 100 ms, or when the stretch is over in which the canary has failed (src/rollout/reports.ts).
 */
import { alphaAlone, alphaPooled } from '../../src/rollout/alpha-parts.ts'
import { Ledger, stretchEndMs } from '../../src/rollout/ledger.ts'
import { OriginTest, type Stratum } from '../../src/rollout/origin-test.ts'
import { Pooled } from '../../src/rollout/pooled.ts'
import { Strata } from '../../src/rollout/strata.ts'
import { Unsettled } from '../../src/rollout/unsettled.ts'
import { decimal } from '../report.ts'
import { Chance } from './chance.ts'
import { percent, spread, table } from './format.ts'
import type { Section } from './section.ts'
import { ALPHA, WEIGHT } from './settings.ts'

const INSTANCES = 3
const PER_SECOND = 1_000
const REPORT_MS = 100
/** From the end of a stretch until whoever judges has it: two ways to the store. */
const HEARD_MS = 2

/** One that is judged alone or for all. */
class Judge {
  readonly #origin: OriginTest
  readonly #strata = new Map<number, Strata>()

  constructor(alpha: number) {
    this.#origin = new OriginTest({ alpha, tolerance: 1 })
  }

  take(came: Stratum, from: number): void {
    const strata = this.#strata.get(from) ?? new Strata()
    this.#strata.set(from, strata)
    strata.add(came)
    const stratum = strata.close(WEIGHT)
    if (stratum !== null) this.#origin.take(stratum)
  }

  get failed(): boolean {
    return this.#origin.failed
  }
}

interface Plan {
  readonly canary: number
  readonly control: number
  readonly answersMax: number
}

interface Result {
  readonly answers: number
  readonly bad: number
  /** An instance that judges alone was first. */
  readonly alone: boolean
}

const NOTHING: Stratum = { canary: 0, canaryBad: 0, control: 0, controlBad: 0 }

/** One rollout; null where nobody has seen anything. */
function once({ canary, control, answersMax }: Plan, chance: Chance): Result | null {
  const own = { run: '0', name: '0' }
  const pooled = new Pooled('r', own, 0)
  const judge = new Judge(alphaPooled(ALPHA))
  const instances = Array.from({ length: INSTANCES }, (_, at) => ({
    ledger: new Ledger('r', 1),
    alone: new Judge(alphaAlone(ALPHA, Math.max(1, at))),
    // The picker: one of each ten, at a random place.
    left: 10,
    place: chance.below(10),
    unsettled: new Unsettled(),
    dueMs: Infinity,
    offMs: chance.below(REPORT_MS),
  }))
  let [answers, bad] = [0, 0]
  for (let ms = 0; answers < answersMax; ms++) {
    for (const [at, each] of instances.entries()) {
      const came = { ...NOTHING }
      for (let n = chance.binomial(PER_SECOND / 1_000, 1 / INSTANCES); n > 0; n--) {
        if (each.left === 0) [each.left, each.place] = [10, chance.below(10)]
        if (--each.left === each.place) {
          came.canary++
          came.canaryBad += chance.binomial(1, canary)
        } else {
          came.control++
          came.controlBad += chance.binomial(1, control)
        }
      }
      answers += came.canary
      bad += came.canaryBad
      if (came.canary + came.control > 0) {
        if (at === 0) judge.take(came, at)
        else {
          each.ledger.add({ atMs: ms, came: [came, NOTHING, NOTHING, NOTHING], harm: 0 })
          each.alone.take(came, at)
        }
      }
      if (at === 0) continue
      if (each.unsettled.take(came, WEIGHT)) each.dueMs = Math.min(each.dueMs, stretchEndMs(ms) + 1 + HEARD_MS)
      if (ms < each.dueMs && ms % REPORT_MS !== each.offMs) continue
      each.dueMs = Infinity
      pooled.hear({ run: `${at}`, name: '', said: each.ledger.said(ms - HEARD_MS), atMs: ms })
      for (const { came: heard } of pooled.take(1)) if (heard.length > 0) judge.take(heard[0], at)
    }
    const alone = instances.some((each, at) => at > 0 && each.alone.failed)
    if (judge.failed || alone) return { answers, bad, alone: !judge.failed }
  }
  return null
}

/** A verdict that is pooled over instances. */
export const fleet: Section = ({ runs, seed, say }) => {
  const chance = new Chance(seed)
  const rates = [1, 0.5, 0.2, 0.1, 0.05]
  const found = rates.map((rate) => {
    const results = Array.from({ length: runs }, () =>
      once({ canary: rate, control: 0.01, answersMax: 20_000 }, chance),
    ).filter((result) => result !== null)
    say(`fleet, ${percent(rate)}`)
    return results
  })
  const sorted = (key: 'answers' | 'bad') =>
    found.map((results) => spread(results.map((result) => result[key]).sort((a, b) => a - b)))
  const equal = [0.001, 0.01, 0.05].map((rate) => {
    const results = Array.from({ length: runs }, () => once({ canary: rate, control: rate, answersMax: 2_000 }, chance))
    say(`fleet, equal at ${percent(rate)}`)
    return [percent(rate), results.filter((result) => result !== null).length] as const
  })
  const text = `## Over several instances

${INSTANCES} instances with a third of ${decimal(PER_SECOND, 0)} requests a second each; one judges by the answers of all, the others also alone. All answers of the
canary until then count, also those that were not said yet. Weight ${percent(WEIGHT)}, the live version fails 1 %, α 0.001 over all; ${runs} runs each.

${table(
  ['answers of the canary', ...rates.map(percent)],
  [
    ['until caught, median / p95', ...sorted('answers')],
    ['of these bad', ...sorted('bad')],
    ['caught by one alone', ...found.map((results) => results.filter(({ alone }) => alone).length)],
  ],
)}

An equal version, 2,000 answers of the canary: taken for worse by any of them, of ${runs} runs; expected are at most ${decimal(runs * ALPHA, 1)}.

${table(['common failure rate', 'taken for worse'], equal)}`
  return { text, plots: {} }
}
