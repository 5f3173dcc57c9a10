/**
 * A switch under a hold: requests wait while a migration runs, and meet its end at the new version.
 *
 *   asked ─► foreseen, proven ─► held ─► quiet ─► hook ─► switched and released, in one commit
 *                │ refused          └───────┴────────┴─► called off: released, and nothing has moved
 *
 * - What would refuse the switch refuses the hold that is for it (control/foreseen.ts), so nobody is held for nothing. The wait for a pool to be
 *   proven is before the hold.
 * - The hook is called when nothing of the held kind is at a target any more: a migration must not run beside a write.
 * - The switch is made under this hold or not at all: whoever releases it calls the switch off, and so does its end.
 * - Until the hook is called, the caller's leave calls it off too. From then on it goes to its end without him: a migration that was made
 *   and not switched to would be the worst of all ends.
 * - A process that is to end calls off what has not called its hook yet, so that those who are held are answered; a hook that works has until its end.
 * - A process that is killed leaves a hold that ends by itself (control/left-holds.ts).
 */
import type { Static } from 'typebox'
import type { AskedHold, Change, ChangeOptions, ChangeResult } from '../change.ts'
import { calledUrlFault } from '../config/called-url.ts'
import { nameOf } from '../config/hook-name.ts'
import { own } from '../config/record.ts'
import { closed, HttpUrl } from '../config/schema-parts.ts'
import { Type } from '../config/type.ts'
import { isTurnoutError, TurnoutError } from '../errors.ts'
import { HELD } from '../metrics/layout.ts'
import { sumHeld, underWay } from '../metrics/load.ts'
import type { CalledHook } from '../rollout/gates/hook-caller.ts'
import type { AdminDeps } from './deps.ts'
import { askedHold, HoldSchema, release } from './holds.ts'

const HookSchema = closed(
  {
    url: HttpUrl('Gets a POST while requests are held: services, pools and revision as JSON. 2xx is a yes.'),
    secret: Type.Optional(
      Type.String({ minLength: 1, description: 'Signs the body: X-Turnout-Signature, HMAC-SHA256.' }),
    ),
  },
  { description: 'Called before the switch, until a second before the hold ends; without a yes nothing is switched.' },
)
/** How a switch is made under a hold, in its body. */
export const HeldHow = { hold: Type.Optional(HoldSchema), hook: Type.Optional(HookSchema) }
type PostedHow = Partial<{ hold: Static<typeof HoldSchema>; hook: Static<typeof HookSchema> }>

/** What is left of the hold when the hook must have answered: for the switch itself. */
const RESERVE_MS = 1_000
/** What is left for the hook at least, when what was under way has ended. */
const HOOK_MS_MIN = 1_000

/** A switch that is asked for. */
export interface AskedSwitch {
  readonly to: Readonly<Record<string, string>>
  readonly hold: AskedHold
  readonly hook: CalledHook | null
}

/** What has come of its hold. */
export interface HeldOutcome {
  /** Requests that waited here when it was over. */
  readonly requests: number
  readonly forMs: number
  /** How long the hook took; null without one. */
  readonly hookMs: number | null
}

/** What came of the switch. */
export type HeldResult = ChangeResult & { readonly held: HeldOutcome }

type Deps = Pick<
  AdminDeps,
  'busyPredecessor' | 'callHook' | 'clock' | 'control' | 'instances' | 'leaving' | 'memory' | 'store'
>

/** What a switch asks for beside its pools; null when it holds nobody. Throws `invalid`. */
export function askedSwitch(to: AskedSwitch['to'], { hold: posted, hook }: PostedHow): AskedSwitch | null {
  if (posted === undefined && hook === undefined) return null
  // What it changes would run beside requests; a hook before a switch without a hold is what rollouts have.
  if (posted === undefined) throw invalid('/hook', 'needs a hold, under which it is called')
  const fault = hook === undefined ? null : calledUrlFault(hook.url)
  if (fault !== null) throw invalid('/hook/url', fault)
  const hold: AskedHold = { ...askedHold(posted), isOfSwitch: true }
  const leastMs = RESERVE_MS + (hook === undefined ? 0 : HOOK_MS_MIN) + 1_000
  if (hold.forMs < leastMs) {
    const kept =
      hook === undefined
        ? 'the last second is kept for the switch'
        : 'the last second is kept for the switch, and one for the hook'
    throw invalid('/hold/for', `must be at least ${leastMs / 1_000}s: ${kept}`)
  }
  return { to, hold, hook: hook ?? null }
}

const invalid = (pointer: string, message: string) => new TurnoutError('invalid', undefined, [{ pointer, message }])

/**
 * Makes it, or calls it off. `ending` is the end of the process. Rejects with what called it off; then nothing has moved, and nobody is
 * held by it.
 */
export async function switchUnderHold(
  deps: Deps,
  asked: AskedSwitch,
  options: ChangeOptions,
  ending: AbortSignal,
): Promise<HeldResult> {
  const { control, clock } = deps
  const { to, hold, hook } = asked
  const { actor, force = false, signal = ending } = options
  await assertAllSeen(deps, force)
  const begun = await control.change({ kind: 'hold', services: Object.keys(to), hold, to }, options)
  const sinceMs = clock.monotonicMs()
  const endMs = endOf(deps, asked)
  const watch = watchHold(deps, asked)
  try {
    assertEverywhere(begun)
    await untilQuiet(deps, asked, endMs, AbortSignal.any([watch.lost, signal, ...(deps.leaving ? [deps.leaving] : [])]))
    deps.leaving?.throwIfAborted()
    const leftMs = endMs - RESERVE_MS - clock.steadyMs()
    const hookMs = await called(deps, asked, begun.revision, leftMs, AbortSignal.any([watch.lost, ending]))
    watch.end()
    const requests = waitingNow(deps, asked)
    const change: Change = { kind: 'switch', to, hold: hold.id, ...(hook !== null && { hook: nameOf(hook) }) }
    const result = await control.change(change, { actor, force, signal: ending }).catch((error: unknown) => {
      throw notMade(error, hook)
    })
    return { ...result, held: { requests, forMs: clock.monotonicMs() - sinceMs, hookMs } }
  } catch (error) {
    watch.end()
    await callOff(deps, asked, actor, error)
    throw error
  }
}

/** What is under way in a process that uses the same file nobody tells; where instances tell each other, they are waited for. */
async function assertAllSeen({ instances, store }: Deps, force: boolean): Promise<void> {
  if (force || instances.told().length > 1 || !(await store.hasOthers())) return
  const why = 'Another process uses the same store, and nobody can see here what is under way in it'
  throw new TurnoutError('conflict', `${why}. Nobody was held; with force it is done all the same.`)
}

function assertEverywhere({ waitingFor = [] }: ChangeResult): void {
  if (waitingFor.length === 0) return
  throw new TurnoutError('conflict', `Not every instance holds: ${waitingFor.join(', ')}. ${NOTHING_MOVED}`)
}

/** When the hold ends, in steady ms. It has begun when it was judged; storing it and telling the other instances took of its time. */
function endOf({ control, clock }: Deps, { to, hold }: AskedSwitch): number {
  const { status } = control.snapshot()
  const ends = Object.keys(to)
    .map((name) => own(status, name)?.hold)
    .filter((held) => held?.id === hold.id)
  return Math.min(clock.steadyMs() + hold.forMs, ...ends.map((held) => held!.untilMs))
}

const NOTHING_MOVED = 'Nothing was switched, and who was held goes where he went before.'

/** Aborts when the hold is over. */
function watchHold({ control }: Deps, { to, hold }: AskedSwitch): { readonly lost: AbortSignal; end(): void } {
  const lost = new AbortController()
  const look = (): void => {
    const { status } = control.snapshot()
    const service = Object.keys(to).find((name) => own(status, name)?.hold?.id !== hold.id)
    if (service === undefined) return
    const what = Object.hasOwn(status, service) ? 'was released' : 'was removed'
    lost.abort(new TurnoutError('hold_ended', `${service} ${what} meanwhile, so nothing was switched.`))
  }
  const end = control.subscribe(({ type }) => type === 'change' && look())
  look()
  return { lost: lost.signal, end }
}

/** Waits until nothing of what is held is at a target any more. */
async function untilQuiet(
  deps: Deps,
  { to, hold, hook }: AskedSwitch,
  endMs: number,
  signal: AbortSignal,
): Promise<void> {
  const limitMs = Math.max(0, endMs - RESERVE_MS - (hook === null ? 0 : HOOK_MS_MIN) - deps.clock.steadyMs())
  const busy = await deps.instances.quieted(hold.id, limitMs, signal)
  if (busy.length === 0) return
  const { status } = deps.control.snapshot()
  const here = Object.keys(to).map((name) => {
    const count = Object.hasOwn(status, name) ? underWay(deps.memory, status[name], hold) : 0
    return `${count} of ${name}`
  })
  const what = hold.only === 'writes' ? 'Writes' : 'Requests'
  const old = deps.busyPredecessor()
  const there = old === null ? '' : `; process ${old}, which was replaced, still finishes what it has`
  const where = deps.instances.told().length > 1 ? `; at ${busy.join(', ')}` : ''
  const message = `${what} were still under way after ${Math.round(limitMs / 100) / 10} s (${here.join(', ')}${where}${there}). ${NOTHING_MOVED}`
  throw new TurnoutError('conflict', message)
}

/** Why it was not made after all; whoever has asked must know that its migration was. */
function notMade(error: unknown, hook: CalledHook | null): unknown {
  if (hook === null || !isTurnoutError(error)) return error
  const said = `Hook ${nameOf(hook)} had said yes before`
  return new TurnoutError(error.code, `${error.message} ${said}. ${NOTHING_MOVED}`, error.faults)
}

/** Calls the hook, if there is one; gives how long that took. */
async function called(
  deps: Deps,
  { to, hold, hook }: AskedSwitch,
  revision: number,
  withinMs: number,
  signal: AbortSignal,
): Promise<number | null> {
  signal.throwIfAborted()
  if (hook === null) return null
  const fromMs = deps.clock.monotonicMs()
  const services = Object.entries(to).map(([service, pool]) => ({ service, from: mainPool(deps, service), to: pool }))
  const what = services.length === 1 ? services[0] : { services }
  const body = { event: 'Switch', key: hold.id, revision, ...what }
  const why = await deps.callHook(hook, hold.id, body, Math.max(0, withinMs), signal)
  if (why === null) return deps.clock.monotonicMs() - fromMs
  throw new TurnoutError('hook_failed', `Hook ${nameOf(hook)}: ${why}. ${NOTHING_MOVED}`)
}

/** The pool that has most of the traffic. */
function mainPool({ control }: Deps, service: string): string {
  const { split = {} } = own(control.snapshot().services, service) ?? {}
  const [first = ['']] = Object.entries(split).toSorted(([, a], [, b]) => b - a)
  return first[0]
}

function waitingNow({ control, memory }: Deps, { to }: AskedSwitch): number {
  const { status } = control.snapshot()
  return Object.keys(to).reduce((sum, service) => {
    const slot = own(status, service)?.slot
    return slot === undefined ? sum : sum + sumHeld(memory.held, slot, HELD.requests)
  }, 0)
}

/** Lets those go on that are held by it still. When that cannot be stored the hold ends by itself. */
async function callOff({ control }: Deps, { to, hold }: AskedSwitch, actor: string, error: unknown): Promise<void> {
  const { status } = control.snapshot()
  const services = Object.keys(to).filter((service) => own(status, service)?.hold?.id === hold.id)
  if (services.length === 0) return
  // What is no expected failure is told in the log, and is for nobody's history.
  const [said] = isTurnoutError(error) ? error.message.split(/\.(?: |$)/, 1) : ['something went wrong']
  const change: Change = { kind: 'release', services, hold: hold.id, why: `the switch was called off (${said})` }
  // An instance that does not follow may be why.
  await release({ control }, change, { actor, everywhere: false }).catch(() => {})
}
