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
    // Only for what is told afterwards: going back waits for nobody and nothing.
    const before = call.json
      ? null
      : await call.admin
          .call<{ readonly spec: { readonly split: NonNullable<Outcome['split']> } }>(
            'GET',
            pathOf('services', service),
          )
          .catch(() => null)
    const outcome = await call.admin.call<Outcome>('POST', insisting(pathOf('services', service, 'back'), call))
    printOutcome(call, `${service}: ${splitInWords(outcome.split ?? {})}`, outcome)
    // A second one is no step further into the past, as somebody may think who is in a hurry.
    if (outcome.changed && before !== null)
      call.note(
        `back again would return to ${splitInWords(before.spec.split)}; turnout history has all that was before`,
      )
  },
}
