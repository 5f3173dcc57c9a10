import { pathOf } from './admin.ts'
import { CHANGE, insisting } from './insist.ts'
import { type Outcome, printOutcome, splitInWords } from './outcome.ts'
import type { Verb } from './verb.ts'

/** Returns to the split before the last change of it. */
export const back: Verb = {
  name: 'back',
  args: 'SERVICE',
  summary: 'Return to the split before the last change of it',
  argsCount: [1, 1],
  options: CHANGE.options,
  optionsHelp: CHANGE.help,
  examples: ['back shop'],
  async run(call) {
    const [service] = call.args
    const outcome = await call.admin.call<Outcome>('POST', insisting(pathOf('services', service, 'back'), call))
    printOutcome(call, `${service}: ${splitInWords(outcome.split ?? {})}`, outcome)
  },
}
