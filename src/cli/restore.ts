import { pathOf } from './admin.ts'
import { CHANGE, insisting } from './insist.ts'
import { assertLeft, LEAVE, waiting } from './leave.ts'
import { type Outcome, printOutcome } from './outcome.ts'
import { type Verb, wholeNumber } from './verb.ts'

/** Makes the services as they were in a revision. */
export const restore: Verb = {
  name: 'restore',
  args: 'REVISION',
  summary: 'Make the services as they were in a revision ("history" lists them)',
  argsCount: [1, 1],
  options: { ...LEAVE.options, ...CHANGE.options },
  optionsHelp: [...LEAVE.help, ...CHANGE.help],
  examples: ['restore 41'],
  async run(call) {
    const revision = wholeNumber(call.args[0], 'REVISION')
    const [path, waitMs] = waiting(insisting(pathOf('revisions', String(revision), 'restore'), call), call)
    const outcome = await call.admin.call<Outcome>('POST', path, undefined, waitMs)
    printOutcome(call, `as in revision ${revision}`, outcome)
    assertLeft(call, outcome)
  },
}
