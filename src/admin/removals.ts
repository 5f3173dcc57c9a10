/**
 * What is still under way at targets that a change has taken away: nobody new comes there from the answer on, requests end by themselves, and
 * tunnels and streams are let go at the pace of their service (dataplane/departures/departures.ts). Whoever changes is told how much that is, and may wait for it.
 *
 * The counters of what was removed are not given to others while anything is counted there, nor for a minute (control/slots.ts); so each is
 * looked at until it was seen at rest once.
 */
import type { FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import type { Snapshot } from '../change.ts'
import { sleep } from '../clock.ts'
import { planDrain } from '../config/plan.ts'
import { own } from '../config/record.ts'
import { targetKey } from '../config/target-key.ts'
import { Type } from '../config/type.ts'
import { DEPARTURE, sumDepartures } from '../metrics/departures.ts'
import { FIELD } from '../metrics/layout.ts'
import { atSlot, sumSlots } from '../metrics/load.ts'
import { ChangeQuery, FileQuery, MINUTES, minutesMsOf } from './apply.ts'
import type { AdminDeps } from './deps.ts'
import { Count, changed, FileAnswer, Milliseconds, nullable, object } from './schemas.ts'

const LOOK_MS = 100

const wait = Type.Optional(
  Type.String({
    ...MINUTES,
    description: 'How long to wait until nothing is under way any more at what was removed; default: not at all.',
  }),
)

/** What a change that takes targets away may be asked with. */
export const RemovalQuery = Type.Object({ ...ChangeQuery.properties, wait }, { additionalProperties: false })
/** The same for a config file. */
export const FileRemovalQuery = Type.Object({ ...FileQuery.properties, wait }, { additionalProperties: false })

/** Told of what is still under way. */
const draining = Type.Optional(
  object(
    {
      inFlight: Count('Requests under way there, through this instance, when it was removed; streams are among them.'),
      tunnels: Count('Tunnels that were open there.'),
      streams: Count('Streams of events that were open there.'),
      untilMs: nullable(
        Milliseconds(
          'Wall time at which the last of the tunnels and streams is told to go, unless their pace slows; null where none is.',
        ),
      ),
      drained: Type.Boolean({
        description: 'Nothing of it is left by this answer, at any instance on the same Redis.',
      }),
    },
    'Nobody new comes to what was removed, and what is under way there ends by itself, tunnels at their pace. Absent where nothing was, at any instance.',
  ),
)

/** The answers to changes that may take targets away. */
export const RemovalAnswer = object({ ...changed, draining })
export const FileRemovalAnswer = object({ ...FileAnswer.properties, draining })

interface Drains {
  readonly draining?: Static<typeof draining>
}

/** Where targets may have been removed: in one pool, in one service, or anywhere. */
interface Place {
  readonly service?: string
  readonly pool?: string
}

type RemovalDeps = Pick<AdminDeps, 'busyPredecessor' | 'clock' | 'control' | 'instances' | 'memory'>

/** Makes a change that may take targets away, tells what is under way at those, and waits for it as its caller has asked. Throws `invalid`. */
export async function withDraining<T extends { readonly revision: number }>(
  deps: RemovalDeps,
  request: FastifyRequest,
  place: Place,
  change: () => Promise<T>,
): Promise<T & Drains> {
  const { wait } = request.query as Static<typeof RemovalQuery>
  const waitMs = wait === undefined ? 0 : minutesMsOf(wait, '/wait')
  const before = deps.control.snapshot()
  const result = await change()
  return { ...result, ...(await drainingOf(deps, request, before, place, result.revision, waitMs)) }
}

/** What is under way at targets that were there before and are not now; nothing where nothing is. It is waited for. */
async function drainingOf(
  { control, clock, instances, memory, busyPredecessor }: RemovalDeps,
  request: FastifyRequest,
  before: Snapshot,
  { service, pool }: Place,
  revision: number,
  waitMs: number,
): Promise<Drains> {
  const after = control.snapshot()
  const services = service === undefined ? Object.keys(before.status) : [service]
  const gone = services.map((name) => {
    const targets = targetsGone(before, after, name, pool)
    return { name, places: targets.map(({ place }) => place), slots: targets.flatMap((target) => target.slots) }
  })
  const places = gone.flatMap((each) => each.places)
  let slots = gone.flatMap((each) => each.slots)
  const inFlight = sumSlots(memory, slots, FIELD.inFlight)
  const tunnels = sumSlots(memory, slots, FIELD.tunnels)
  // What the process before this one has there is not counted here, nor what other instances have.
  const isOtherBusy = () =>
    busyPredecessor() !== null || instances.busyAt({ places, revision, orOpen: false }).length > 0
  if (places.length === 0 || (inFlight + tunnels === 0 && !isOtherBusy())) return {}
  const streams = sumDepartures(memory, slots, DEPARTURE.streams)
  const lastMs = Math.max(...gone.map((each) => letGoMs(before, each.name, longLived(memory, each.slots))))
  const untilMs = lastMs === 0 ? null : clock.nowMs() + lastMs
  const endMs = clock.monotonicMs() + waitMs
  const isBusy = (slot: number) => atSlot(memory, slot) > 0
  for (;;) {
    slots = slots.filter(isBusy)
    const isOver = (slots.length === 0 && !isOtherBusy()) || clock.monotonicMs() >= endMs
    if (isOver || request.raw.socket.destroyed || request.server.ending.aborted) break
    await sleep(clock, Math.min(LOOK_MS, endMs - clock.monotonicMs()))
  }
  return { draining: { inFlight, tunnels, streams, untilMs, drained: slots.length === 0 && !isOtherBusy() } }
}

/** Tunnels and streams. */
const longLived = (memory: AdminDeps['memory'], slots: readonly number[]): number =>
  sumSlots(memory, slots, FIELD.tunnels) + sumDepartures(memory, slots, DEPARTURE.streams)

interface Gone {
  /** As config/target-key.ts has it. */
  readonly place: string
  readonly slots: readonly number[]
}

function targetsGone(before: Snapshot, after: Snapshot, service: string, pool?: string): Gone[] {
  if (own(before.status, service) === own(after.status, service)) return []
  const poolsOf = ({ status }: Snapshot) => own(status, service)?.pools ?? {}
  const left = poolsOf(after)
  return Object.entries(poolsOf(before)).flatMap(([name, { targets }]) =>
    Object.entries(targets).flatMap(([url, { slots }]) => {
      const isLeft = (pool !== undefined && name !== pool) || Object.hasOwn(own(left, name)?.targets ?? {}, url)
      return isLeft ? [] : [{ place: targetKey(service, name, url), slots }]
    }),
  )
}

/** How long it takes until the last of so many was told to go; 0 where none is. */
function letGoMs({ services }: Snapshot, service: string, count: number): number {
  const spec = own(services, service)
  const tunnels = spec === undefined ? null : planDrain(spec.drain).tunnels
  if (tunnels === null || count === 0) return 0
  return Math.max(1, tunnels.overMs, (count / tunnels.perSecond) * 1_000)
}
