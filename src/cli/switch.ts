/**
 * `switch`: all traffic of a service, or of several in one call, to one pool; at once, or under a hold with a migration as its hook.
 *
 * With a hold the answer comes when all is over, so the call waits for as long as the hold may be. Ctrl-C before the hook is called calls the
 * switch off; after that it goes on without us, and `history` tells what has become of it.
 */
import { pathOf, WAIT_MS } from './admin.ts'
import { number } from './columns.ts'
import { usageFailure } from './failure.ts'
import { holdOf, WAITING } from './hold.ts'
import { CHANGE, insisting, WAIT, waitOf } from './insist.ts'
import { type Outcome, printOutcome, splitInWords } from './outcome.ts'
import { type Call, durationGiven, type Verb } from './verb.ts'

/** What a switch answers. */
interface Switched extends Outcome {
  /** What came of its hold. */
  readonly held?: { readonly requests: number; readonly forMs: number; readonly hookMs: number | null }
}

/** Sends all traffic of a service, or of several in one step, to one pool. */
export const switchVerb: Verb = {
  name: 'switch',
  args: 'SERVICE POOL | SERVICE=POOL…',
  summary: 'Send all traffic of a service to one pool, once it is proven; the other stays hot standby',
  argsCount: [1, Number.POSITIVE_INFINITY],
  options: {
    ...WAIT.options,
    hold: { type: 'string' },
    ...WAITING.options,
    hook: { type: 'string' },
    ...CHANGE.options,
  },
  optionsHelp: [
    ...WAIT.help,
    ['--hold DURATION', 'Hold requests meanwhile, for so long at most: they meet the new version, or none of it'],
    ...WAITING.help,
    ['--hook URL', 'Call this under the hold, for a migration; without a 2xx from it nothing is switched'],
    ...CHANGE.help,
  ],
  examples: [
    'switch shop green',
    'switch shop green --wait 2m',
    'switch shop green --hold 10s --only writes --hook https://ci/migrate',
    'switch shop=green api=green --hold 10s',
  ],
  async run(call) {
    const { path, to, names } = targetOf(call)
    const { wait, waitMs = WAIT_MS } = waitOf(call)
    const { heldMs, ...how } = howOf(call)
    const body = { to, wait, ...how }
    const outcome = await call.admin.call<Switched>('POST', insisting(path, call), body, waitMs + heldMs)
    printOutcome(call, `${now(to, names, outcome)}${heldInWords(outcome)}`, outcome)
  },
}

interface Target {
  readonly path: string
  readonly to: string | Readonly<Record<string, string>>
  readonly names: string
}

/** One service and its pool, or several. */
function targetOf({ args }: Call): Target {
  if (args.length === 2 && !args.some((arg) => arg.includes('='))) {
    return { path: pathOf('services', args[0], 'switch'), to: args[1], names: args[0] }
  }
  const to = new Map<string, string>()
  for (const arg of args) {
    const [, service, pool] = /^([^=]+)=([^=]+)$/.exec(arg) ?? []
    if (service === undefined)
      throw usageFailure(`A switch is SERVICE POOL, or SERVICE=POOL for each service, not "${arg}".`)
    if (to.has(service)) throw usageFailure(`The service "${service}" is named twice.`)
    to.set(service, pool)
  }
  return { path: pathOf('switch'), to: Object.fromEntries(to), names: [...to.keys()].join(', ') }
}

/** What is asked of the hold, as it is posted, and how long it may be. */
function howOf(call: Call): { readonly hold?: object; readonly hook?: object; readonly heldMs: number } {
  const { hold, hook, only, queue } = call.options
  if (typeof hold !== 'string') {
    const alone = Object.entries({ hook, only, queue }).find(([, value]) => value !== undefined)
    if (alone !== undefined) throw usageFailure(`--${alone[0]} is of a switch under a hold: give --hold too.`)
    return { heldMs: 0 }
  }
  const heldMs = durationGiven(hold, '--hold', '10s')
  return { hold: holdOf({ for: hold, only, queue }), ...(typeof hook === 'string' && { hook: { url: hook } }), heldMs }
}

function now(to: Target['to'], names: string, { split }: Switched): string {
  if (typeof to === 'string') return `${names}: ${splitInWords(split ?? { [to]: 1 })}`
  return Object.entries(to)
    .map(([service, pool]) => `${service}: ${splitInWords({ [pool]: 1 })}`)
    .join('; ')
}

function heldInWords({ held }: Switched): string {
  if (held === undefined) return ''
  const { requests, forMs, hookMs } = held
  const hook = hookMs === null ? '' : `, the hook took ${number(hookMs / 1_000)} s`
  return `; held ${requests} requests for ${number(forMs / 1_000)} s${hook}`
}
