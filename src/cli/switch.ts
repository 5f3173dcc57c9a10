import { pathOf } from './admin.ts'
import { type Outcome, printOutcome, splitInWords } from './outcome.ts'
import type { Verb } from './verb.ts'

/** Sends all traffic of a service to one pool. */
export const switchVerb: Verb = {
  name: 'switch',
  args: 'SERVICE POOL',
  summary: 'Send all traffic of a service to one pool; the other stays hot standby',
  argsCount: [2, 2],
  examples: ['switch shop green'],
  async run(call) {
    const [service, to] = call.args
    const outcome = await call.admin.call<Outcome>('POST', pathOf('services', service, 'switch'), { to })
    printOutcome(call, `${service}: ${splitInWords(outcome.split ?? { [to]: 1 })}`, outcome)
  },
}
