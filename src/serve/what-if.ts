/**
 * What requests would get: one that is described (`explain`), and the last ones, by a service as it is and as it is proposed (dry run).
 *
 * Both are decided in the main thread by the function that decides traffic, from the octets that came or would come, with a parser of
 * their own. The main thread has probes and verdicts to look after meanwhile, so a dry run works in short pieces; one runs at a
 * time, and a few wait.
 */
import { randomBytes } from 'node:crypto'
import type { Compare, Compared } from '../admin/dry-run.ts'
import { type Explain, explanationOf, refusalOf } from '../admin/explain.ts'
import { systemClock } from '../clock.ts'
import { planService } from '../config/plan.ts'
import { own } from '../config/record.ts'
import type { ServiceSpec, Spec } from '../config/schema.ts'
import type { RunningControl } from '../control/deps.ts'
import { createQueue } from '../control/queue.ts'
import { CookieSigner } from '../dataplane/cookie-signer.ts'
import { flat } from '../dataplane/http1/syntax.ts'
import type { Lookups } from '../dataplane/lookups/lookups.ts'
import { PostedRequest } from '../dataplane/posted-request.ts'
import { type Sample, samplesIn } from '../dataplane/samples.ts'
import { TurnoutError } from '../errors.ts'
import { CELL, type SharedMemory } from '../metrics/layout.ts'
import { loadOf } from '../metrics/load.ts'
import { compileService } from '../table/build.ts'
import { Comparison } from '../table/comparison.ts'
import { decide } from '../table/decide.ts'
import { textOfOctets } from '../table/octets.ts'
import type { ServiceStatus } from '../table/status.ts'
import type { Decision, Draw, RequestView, ServiceTable, Table } from '../table/types.ts'
import { visitorSource } from '../table/visitor.ts'
import type { Workers } from '../workers/workers.ts'
import type { CookieSecrets } from './cookie-secrets.ts'

/** Longest piece of work at a time, in ms. */
const PIECE_MS = 4
/** Dry runs that may wait; the next one is refused. */
const WAITING_MAX = 8

/** What of the core both of them need. */
interface Core {
  readonly memory: SharedMemory
  readonly cookies: CookieSecrets
  readonly control: Pick<RunningControl, 'snapshot'>
  readonly lookups: Lookups
  readonly workers: Pick<Workers, 'samples'>
  table(): Table
}

/** Decides a posted request by the committed table, as a worker would. */
export function createExplain(
  { memory, cookies, lookups, table }: Pick<Core, 'memory' | 'cookies' | 'lookups' | 'table'>,
  { limits }: Pick<Spec, 'limits'>,
  running: Parameters<typeof explanationOf>[2],
): Explain {
  const signer = new CookieSigner(cookies.cookieKeys, cookies.cookieLayer)
  const posted = new PostedRequest(limits.headBytesMax, limits.headersMax, signer, systemClock.nowMs, lookups)
  const load = loadOf(memory)
  const draw = peekingDraw(memory.cells)
  return (input) => {
    const present = table()
    const refused = posted.read(input)
    if (refused !== null) return refusalOf(refused, present)
    const decision = decide(posted.view, present, load, draw, systemClock.steadyMs())
    return explanationOf(decision, present, running, foundAt(decision, posted.view, lookups.tokens !== null))
  }
}

/** Where the visitor key was found, as the config says it; of a JWT also whether it was verified. */
function foundAt({ service, visitor }: Decision, view: RequestView, verifies: boolean): string | null {
  const source =
    service === null || visitor === null ? null : visitorSource(view, service.visitor, view.ownCookie(service))
  if (source === null) return null
  if (source.from === 'jwt') return `jwt:${source.claim} (${verifies ? 'verified' : 'not verified'})`
  if (source.from === 'own') return 'cookie'
  return 'name' in source ? `${source.from}:${textOfOctets(source.name)}` : source.from
}

/** What explain draws: it looks at the next turn without taking it. */
function peekingDraw(cells: Int32Array): Draw {
  return {
    next: (slot) => Atomics.load(cells, CELL.picker + slot) >>> 0,
    turn: () => 0,
    random: Math.random,
    visitorId: () => randomBytes(10).toString('hex'),
  }
}

/** Compares a service as proposed with what is so now, over the requests that the workers have sampled. */
export function createComparer(core: Core, { limits }: Pick<Spec, 'limits'>): Compare | null {
  if (limits.sampleBytesMax === 0) return null
  const signer = new CookieSigner(core.cookies.cookieKeys, core.cookies.cookieLayer)
  const queue = createQueue(WAITING_MAX, systemClock)
  return (name, spec, { pools: _, hold: _hold, maintenance: _maintenance, ...intent }) =>
    queue.run(async () => {
      const present = core.table()
      const before = present.services.get(name)
      const now = own(core.control.snapshot().status, name)
      if (before === undefined || now === undefined || !hasTargets(now, spec)) {
        throw new TurnoutError('conflict', `Service ${name} was changed meanwhile.`)
      }
      const { pools, slot } = now
      // Nothing that steers has other pools or targets, so where they are and how they do is as it is.
      const status: ServiceStatus = { ...intent, pools, slot }
      const after = compileService(planService(name, spec), status, before)
      const over = new Replay(present, after, signer, limits, core.lookups)
      for await (const lent of core.workers.samples()) {
        await inPieces(samplesIn(lent, slot), (sample) => over.take(sample))
      }
      return { ...over.result(), before, after }
    })
}

const hasTargets = (status: ServiceStatus, { pools }: ServiceSpec): boolean =>
  Object.entries(pools).every(([pool, { targets }]) => {
    const known = own(status.pools, pool)?.targets
    return known !== undefined && targets.every((url) => Object.hasOwn(known, url))
  })

async function inPieces<T>(items: Iterable<T>, work: (item: T) => void): Promise<void> {
  let endMs = systemClock.monotonicMs() + PIECE_MS
  for (const item of items) {
    work(item)
    if (systemClock.monotonicMs() < endMs) continue
    await new Promise<void>((resolve) => setImmediate(resolve))
    endMs = systemClock.monotonicMs() + PIECE_MS
  }
}

const noLoad = (): number => 0

/** Sampled requests, decided by two tables. */
class Replay {
  readonly #comparison: Comparison
  readonly #service: string
  readonly #sides: readonly [now: Side, proposed: Side]
  readonly #request: PostedRequest
  #atMs = 0
  #kept = 0
  #sinceMs: number | null = null
  #squares = 0

  constructor(present: Table, after: ServiceTable, signer: CookieSigner, limits: Spec['limits'], lookups: Lookups) {
    this.#service = after.name
    this.#comparison = new Comparison(after)
    const proposed = { ...present, services: new Map(present.services).set(after.name, after) }
    // Who goes where is asked, and not whether it is held or in maintenance just now.
    const now = { ...present.services.get(after.name)!, hold: null, maintenance: null }
    const before = { ...present, services: new Map(present.services).set(after.name, now) }
    this.#sides = [new Side(before), new Side(proposed)]
    // A window of time, and the end of a cookie, are looked at as they were then.
    this.#request = new PostedRequest(limits.headBytesMax, limits.headersMax, signer, () => this.#atMs, lookups)
  }

  take({ atMs, weight, address, isTrusted, head }: Sample): void {
    this.#atMs = atMs
    if (this.#request.readHead(head, address, isTrusted) <= 0) return
    const { view } = this.#request
    // Whoever would be given an id has none yet.
    const fresh = `fresh ${this.#kept}`
    const [now, proposed] = this.#sides.map((side) => side.decide(view, fresh))
    // The slot may have been that of another service, and its routes may have changed.
    if (now.service?.name !== this.#service || proposed.service?.name !== this.#service) return
    this.#kept++
    this.#squares += weight ** 2
    this.#sinceMs = Math.min(this.#sinceMs ?? atMs, atMs)
    const known = [now, proposed].map(({ visitor }) => visitor).filter((visitor) => visitor !== fresh)
    const visitor = known.find((key) => key !== null)
    // Remembered without its head, which it is a piece of.
    this.#comparison.note(view, weight, now, proposed, visitor ? flat(visitor) : null)
  }

  result(): Pick<Compared, 'comparison' | 'kept' | 'effective' | 'sinceMs'> {
    const effective = this.#squares === 0 ? 0 : this.#comparison.requests ** 2 / this.#squares
    return { comparison: this.#comparison, kept: this.#kept, effective, sinceMs: this.#sinceMs }
  }
}

/** A table, with turns of its own. */
class Side {
  readonly #table: Table
  readonly #draw: Draw
  #turn = 0
  #fresh = ''

  constructor(table: Table) {
    this.#table = table
    this.#draw = { next: () => this.#turn++, turn: () => 0, random: Math.random, visitorId: () => this.#fresh }
  }

  decide(view: PostedRequest['view'], fresh: string): Decision {
    this.#fresh = fresh
    return decide(view, this.#table, noLoad, this.#draw, systemClock.steadyMs())
  }
}
