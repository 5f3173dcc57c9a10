import { pathOf } from './admin.ts'
import { CHANGE, insisting } from './insist.ts'
import { type Outcome, printOutcome } from './outcome.ts'
import { type Verb, wholeNumber } from './verb.ts'

/** Makes the services as they were in a revision. */
export const restore: Verb = {
  name: 'restore',
  args: 'REVISION',
  summary: 'Make the services as they were in a revision ("history" lists them)',
  argsCount: [1, 1],
  options: CHANGE.options,
  optionsHelp: CHANGE.help,
  examples: ['restore 41'],
  async run(call) {
    const revision = wholeNumber(call.args[0], 'REVISION')
    const path = insisting(pathOf('revisions', String(revision), 'restore'), call)
    printOutcome(call, `as in revision ${revision}`, await call.admin.call<Outcome>('POST', path))
  },
}
