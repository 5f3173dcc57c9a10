/**
 * What a rollout says of itself: a finding in a sentence, with its numbers; a notice; an event. Pure.
 *
 * Every sentence names both versions and how many answers it rests on.
 */
import { inDigits } from '../config/digits.ts'
import type { GivenTold } from './given/told.ts'
import type { Kept } from './kept.ts'
import { isRolling } from './rolling.ts'
import { livePoolsOf } from './rollout.ts'
import { FAILURES, type Finding, type Verdict } from './verdict.ts'

/** Evidence from which on nobody would say that there is no difference. */
const LIKELY = 0.5

const percent = (share: number): string => `${Number((share * 100).toPrecision(2))} %`
const counted = (bad: number, all: number): string => `${inDigits(bad)} of ${inDigits(all)}`

/** Why the verdict is what it is; `given` is what is told of metrics from outside. */
export function sentenceOf(
  { outcome, cause, why }: Finding,
  verdict: Verdict,
  kept: Kept,
  given: readonly GivenTold[],
): string {
  const { wish } = kept
  const isReplaced = isRolling(kept.rollout)
  const to = isReplaced ? `the new targets of ${kept.rollout.to}` : kept.rollout.to
  const isOne = !isReplaced && livePoolsOf(kept.rollout).length < 2
  const from = isOne ? kept.from : isReplaced ? 'the others' : 'the live pools'
  const told = given.find(({ name }) => name === cause)
  if (told !== undefined && told.bound !== null) return sentenceOfBound(told, told.bound, to)
  const metric = verdict.metrics.find(({ name }) => name === cause) ?? verdict.metrics[0]
  const { canary, canaryBad, control, controlBad } = metric.totals
  const word = metric.name === FAILURES ? 'failed' : `were slow (${metric.name.slice(5)})`
  const both =
    told === undefined
      ? `${counted(canaryBad, canary)} answers of ${to} ${word}, ${counted(controlBad, control)} of ${from}`
      : `${counted(canaryBad, canary)} of ${to} were bad by ${cause}, ${counted(controlBad, control)} of ${from}`
  const share = verdict.wouldNotice(metric)
  const noticed = share === null ? both : `${both}; ${percent(share)} would have been noticed`
  switch (outcome) {
    case 'fail':
      if (why !== undefined) return `${why} (all together: ${both})`
      if (cause === 'harm' && kept.harm - (kept.forgiven?.harm ?? 0) <= wish.verdict.harmMax)
        return `answers of ${to} failed, and instances of which nothing is heard may have brought as many more as its harm budget of ${wish.verdict.harmMax} has left: ${both}`
      if (cause === 'harm')
        return `more than ${wish.verdict.harmMax} answers of ${to} failed, which is its harm budget: ${both}`
      if (cause === 'targets out') return `all targets of ${to} were out for 5 s: ${both}`
      if (cause === 'rate')
        return `more than ${percent(wish.verdict.rate.above)} of the answers of ${to} failed, with nothing to compare it with: ${both}`
      return `${both}: of equal versions fewer than 1 in ${inDigits(Math.round(1 / wish.verdict.alpha))} would differ so much`
    case 'hold':
      return `${from} ${isOne ? 'itself fails more than it' : 'themselves fail more than they'} used to: ${noticed}`
    case 'pass':
      return `${to} is not worse than ${from} by more than ${percent(wish.verdict.margin)}: ${noticed}`
    case 'insufficient': {
      if (told !== undefined && told.lastError !== null) return nothingOf(told)
      if (!verdict.isCompared)
        return `nothing to compare with while ${verdict.share === 0 ? 'no' : 'all'} traffic goes to ${to}: ${both}`
      if (told !== undefined) return `too little for a verdict on ${cause}: ${noticed}`
      if (share === null) return `too few answers for a verdict: ${both}`
      const seems =
        metric.origin.evidence < LIKELY ? 'no difference so far' : `${to} seems worse, but chance might do as much`
      return `${seems}: ${noticed}`
    }
  }
}

const nothingOf = ({ name, lastError }: GivenTold): string => `nothing comes of ${name}: ${lastError}`

function sentenceOfBound(told: GivenTold, { isBroken, words }: NonNullable<GivenTold['bound']>, to: string): string {
  if (isBroken) return `${told.name} of ${to} was ${words}, which is its bound`
  return told.lastError === null ? `${told.name} of ${to} is ${words}` : nothingOf(told)
}
