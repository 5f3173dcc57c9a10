import { pathOf } from './admin.ts'
import { FORCE, insisting, WAIT, waitOf } from './insist.ts'
import { type Outcome, printOutcome, splitInWords } from './outcome.ts'
import type { Verb } from './verb.ts'

/** Sends all traffic of a service to one pool. */
export const switchVerb: Verb = {
  name: 'switch',
  args: 'SERVICE POOL',
  summary: 'Send all traffic of a service to one pool, once it is proven; the other stays hot standby',
  argsCount: [2, 2],
  options: { ...WAIT.options, ...FORCE.options },
  optionsHelp: [...WAIT.help, ...FORCE.help],
  examples: ['switch shop green', 'switch shop green --wait 2m'],
  async run(call) {
    const [service, to] = call.args
    const { wait, waitMs } = waitOf(call)
    const path = insisting(pathOf('services', service, 'switch'), call)
    const outcome = await call.admin.call<Outcome>('POST', path, { to, wait }, waitMs)
    printOutcome(call, `${service}: ${splitInWords(outcome.split ?? { [to]: 1 })}`, outcome)
  },
}
