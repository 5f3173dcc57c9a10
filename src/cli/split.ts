import { pathOf } from './admin.ts'
import { usageFailure } from './failure.ts'
import { CHANGE, insisting, WAIT, waitOf } from './insist.ts'
import { type Outcome, printOutcome, splitInWords } from './outcome.ts'
import { type Verb, wholeNumber } from './verb.ts'

/** Shifts the weights of a service. */
export const split: Verb = {
  name: 'split',
  args: 'SERVICE POOL=WEIGHT…',
  summary: 'Share the traffic of a service between its pools',
  argsCount: [2, Number.POSITIVE_INFINITY],
  options: { ...WAIT.options, ...CHANGE.options },
  optionsHelp: [...WAIT.help, ...CHANGE.help],
  examples: ['split shop blue=90 green=10', 'split shop blue=1 green=1'],
  async run(call) {
    const [service, ...shares] = call.args
    const weights = weightsOf(shares)
    const { wait, waitMs } = waitOf(call)
    const path = insisting(pathOf('services', service, 'split'), call)
    const outcome = await call.admin.call<Outcome>('PUT', path, { weights, wait }, waitMs)
    const unnamed = Object.keys(outcome.split ?? {}).filter((pool) => !Object.hasOwn(weights, pool))
    const rest = unnamed.length === 0 ? '' : `; nothing for ${unnamed.join(', ')}, not named`
    printOutcome(call, `${service}: ${splitInWords(outcome.split ?? weights)}${rest}`, outcome)
  },
}

/** Weights by pool of `POOL=WEIGHT…`; throws a usage failure. */
export function weightsOf(shares: readonly string[]): Record<string, number> {
  const weights = new Map<string, number>()
  for (const share of shares) {
    const [, pool, weight] = /^([^=]+)=(.*)$/.exec(share) ?? []
    if (pool === undefined) throw usageFailure(`A share is POOL=WEIGHT, such as green=10, not "${share}".`)
    if (weights.has(pool)) throw usageFailure(`The pool "${pool}" is named twice.`)
    weights.set(pool, wholeNumber(weight, `The weight of "${pool}"`))
  }
  return Object.fromEntries(weights)
}
