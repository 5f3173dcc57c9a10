/** The four verbs that set the admin state of a pool, or of one target of it; each is the state's own name. */
import type { AdminState } from '../table/types.ts'
import { pathOf } from './admin.ts'
import { CHANGE, insisting } from './insist.ts'
import { type Outcome, printOutcome } from './outcome.ts'
import { SETTLED, settle, waitMsOf } from './settled.ts'
import type { Verb } from './verb.ts'

const SUMMARIES: Readonly<Record<AdminState, string>> = {
  drain: 'Give a pool or target no new visitors; those it has stay until the drain ends',
  ready: 'Put a pool or target back into service',
  standby: 'Probe a pool or target, but send it no traffic',
  maint: 'Neither probe a pool or target nor send it traffic',
}

const stateVerb = (state: AdminState): Verb => ({
  name: state,
  args: 'SERVICE POOL [TARGET]',
  summary: SUMMARIES[state],
  argsCount: [2, 3],
  options: { ...CHANGE.options, ...SETTLED.options },
  optionsHelp: [...SETTLED.help, ...CHANGE.help],
  examples: [`${state} shop blue`, `${state} shop blue 127.0.0.1:3001 --wait --timeout 60s`],
  async run(call) {
    const [service, pool, target] = call.args
    const waitMs = waitMsOf(call)
    const of = target === undefined ? [] : ['targets', target]
    const path = insisting(pathOf('services', service, 'pools', pool, ...of, 'state'), call)
    const outcome = await call.admin.call<Outcome>('PUT', path, { state })
    if (waitMs === null) return printOutcome(call, `${call.args.join(' ')}: ${state}`, outcome)
    await settle(call, state, waitMs)
    printOutcome(
      call,
      `${call.args.join(' ')}: ${state === 'ready' ? 'ready and healthy' : `${state}, and drained`}`,
      outcome,
    )
  },
})

/** `drain`, `ready`, `standby` and `maint`. */
export const stateVerbs: readonly Verb[] = (['drain', 'ready', 'standby', 'maint'] as const).map(stateVerb)
