/**
 * The four verbs that set the admin state of a pool, or of one target of it; each is the state's own name. With the last ready target of a
 * pool its traffic goes to others, whatever the weights say, so that is told.
 */
import type { AdminState } from '../table/types.ts'
import { pathOf } from './admin.ts'
import { percent } from './columns.ts'
import { CHANGE, insisting } from './insist.ts'
import { type Outcome, printOutcome } from './outcome.ts'
import { SETTLED, settle, waitMsOf } from './settled.ts'
import type { Call, Verb } from './verb.ts'

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
    if (target !== undefined && state !== 'ready' && outcome.changed && !call.json)
      await tellOfLast(call, service, pool)
    if (waitMs === null) return printOutcome(call, `${call.args.join(' ')}: ${state}`, outcome)
    await settle(call, state, waitMs)
    printOutcome(
      call,
      `${call.args.join(' ')}: ${state === 'ready' ? 'ready and healthy' : `${state}, and drained`}`,
      outcome,
    )
  },
})

/** What of its status is looked at. */
interface PoolsView {
  readonly pools: readonly {
    readonly name: string
    readonly share: { readonly aimed: number }
    readonly targets: readonly { readonly admin: AdminState }[]
  }[]
}

/** Says that it was the last ready target of a pool with traffic: others have that now, which the weights do not tell. */
async function tellOfLast({ admin, note }: Call, service: string, name: string): Promise<void> {
  // What is asked for is done; without an answer nothing more is told of it.
  const told = await admin.call<PoolsView>('GET', pathOf('services', service, 'status')).catch(() => null)
  const pool = told?.pools.find((it) => it.name === name)
  if (pool === undefined || pool.share.aimed === 0 || pool.targets.some((it) => it.admin === 'ready')) return
  note(
    `that was the last ready target of ${name}: others have its ${percent(pool.share.aimed)} of the traffic now (SEEN in turnout status ${service})`,
  )
}

/** `drain`, `ready`, `standby` and `maint`. */
export const stateVerbs: readonly Verb[] = (['drain', 'ready', 'standby', 'maint'] as const).map(stateVerb)
