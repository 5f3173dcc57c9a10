import { pathOf } from './admin.ts'
import { CHANGE, insisting } from './insist.ts'
import { type Outcome, printOutcome, splitInWords } from './outcome.ts'
import type { Verb } from './verb.ts'

/** What is read of a service. */
interface Shown {
  readonly status: { readonly previous: { readonly weights: NonNullable<Outcome['split']> } | null } | null
}

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
    if (!outcome.changed || call.json) return
    // A second one is no step further into the past, as somebody may think who is in a hurry.
    const next = await call.admin.call<Shown>('GET', pathOf('services', service)).catch(() => null)
    const previous = next?.status?.previous ?? null
    if (previous === null) return
    call.note(`back again would return to ${splitInWords(previous.weights)}; turnout history has all that was before`)
  },
}
