/**
 * Shapes of what is told of the present: states, traffic and shares of every pool and target, and the rollout that runs.
 */
import { Type } from '../config/type.ts'
import { PACE_STATES } from '../metrics/departures.ts'
import { HoldAnswer } from './holds.ts'
import { MaintenanceAnswer } from './maintenance.ts'
import { RunningAnswer } from './rollout-schemas.ts'
import {
  AdminStateAnswer,
  address,
  Count,
  drainUntilMs,
  Milliseconds,
  nullable,
  object,
  position,
  states,
} from './schemas.ts'

const traffic = {
  inFlight: Count('Requests under way, without tunnels.'),
  tunnels: Count('Upgraded connections that are open.'),
  requests: Count('Requests that were answered since the target was added, at the target that was tried last.'),
  rate: Type.Number({ description: 'Requests that were answered, a second, within the window.' }),
  attempts: object({
    started: Count('Tries of a request at one target since it was added.'),
    good: Count('Answered, and not by a failure.'),
    failed: Count('No connection, no answer, a broken one, or a status from 500 on but 501.'),
    void: Count('Ended before anything could be seen of the target, by the client for the most part.'),
    rate: Type.Number({ description: 'Tries started a second, within the window.' }),
  }),
  failures: Count('Failed attempts: the same as attempts.failed.'),
  failureShare: nullable(
    Type.Number({ description: 'Share of failed attempts among the good and failed ones of the window.' }),
  ),
  responses: object({
    '2xx': Count('2xx'),
    '3xx': Count('3xx'),
    '4xx': Count('4xx'),
    '5xx': Count('5xx'),
  }),
  p50Ms: nullable(Type.Number()),
  p90Ms: nullable(Type.Number()),
  p99Ms: nullable(Type.Number()),
  latencyOver: Type.Union([Type.Literal('window'), Type.Literal('start')], {
    description: 'What the quantiles cover; `start` when the window is empty.',
  }),
}

const streams = Count('Streams of events (server-sent events) that are open; they are among the requests in flight.')

const LetGoAnswer = object({
  before: Count('Tunnels and streams that were to be closed.'),
  closed: Count('Those that were.'),
  cut: Count(
    'Those of them that were cut: no place was known to end them at, or none came in time, or their client took nothing any more.',
  ),
  moved: Count('Those whose visitors have come back, to another target.'),
  left: Count('Those that are still to be closed.'),
  pace: Type.Union(
    PACE_STATES.map((state) => Type.Literal(state)),
    {
      description: 'steady; slowed, since many that come back are refused; stopped, since nobody would take them.',
    },
  ),
})

const drained = Type.Boolean({
  description:
    'Nobody is let in any more, and nothing is under way, at any instance on the same Redis: it can be ended. Preview hosts and copies are not looked at.',
})

const TargetAnswer = object({
  target: Type.String({ description: 'host:port' }),
  url: Type.String(),
  weight: Count('Weight within the pool.'),
  warmUntilMs: Milliseconds('Wall time until which its part rises, by the slow start; 0 when it does not.'),
  ...states,
  proven: Type.Boolean({
    description: 'Found healthy by what the probes ask now, of the version of now; true where there are no probes.',
  }),
  drained,
  busyElsewhere: Type.Array(Type.String(), {
    description:
      'Instances at which something may be under way there yet, or that do not route by its state, once nobody is let in here.',
  }),
  reason: nullable(Type.String({ description: 'Why its name has no address, or old ones, or more than are used.' })),
  addresses: Type.Array(object({ ...address, inFlight: traffic.inFlight, tunnels: traffic.tunnels })),
  streams,
  ...traffic,
})

const share = object({
  aimed: Type.Number({
    description: 'Weight over the sum of the weights of the pools that take new visitors; 0 for one that takes none.',
  }),
  seen: nullable(Type.Number({ description: 'Share of the requests that were decided within the window.' })),
  seenSinceSplit: nullable(
    Type.Number({ description: 'Share of the requests that were decided since the split last changed.' }),
  ),
  visitors: nullable(
    Type.Number({ description: 'Share of the visitors that were seen lately; null where none brings a key.' }),
  ),
})

const seenAnswer = object({
  status: Count('Status'),
  bytes: Count('Bytes of the body.'),
  headMs: Milliseconds('From the request to the head of the answer.'),
})

const MirrorAnswer = object({
  pool: Type.String({ description: 'Pool that gets the copies.' }),
  share: Type.Number({ description: 'Per cent of the requests that are copied.' }),
  sent: Count('Copies that were sent.'),
  failed: Count('Copies that got no whole answer in time.'),
  compared: Count('Copies whose answer was compared with that of the client.'),
  differing: object({
    status: Count('By the status.'),
    body: Count('By the body alone.'),
    slower: Count('Twice as long to the head, and 10 ms more.'),
  }),
  meanMs: nullable(Milliseconds('From the request to the head of the answer, of the copies that were compared.')),
  clientMeanMs: nullable(Milliseconds('The same of the answers that they were compared with.')),
  examples: Type.Array(
    object({
      atMs: Type.Number(),
      target: Type.String(),
      method: Type.String(),
      path: Type.String({ description: 'Without its query.' }),
      live: seenAnswer,
      copy: seenAnswer,
    }),
    { description: 'Some that differed, the last one first.' },
  ),
})

const QueueAnswer = object({
  depth: Count('Requests that wait for room at the pool.'),
  served: Count('Requests that have waited and got room.'),
  meanMs: nullable(Milliseconds('How long these have waited on average.')),
  shed: object({
    full: Count('Answered 503, since as many waited as may.'),
    time: Count('Answered 503, since they had waited for as long as they may.'),
    left: Count('Their client has gone, or ended its side, while they waited.'),
  }),
})

const HeldAnswer = object({
  waiting: Count('Requests that are held now.'),
  bytes: Count('Bytes that these take.'),
  longestMs: Milliseconds('How long the first of them waits.'),
  released: Count('Requests that were held and went on.'),
  meanMs: nullable(Milliseconds('How long these had waited on average.')),
  shed: object({
    full: Count('Answered 503, since as many waited as may.'),
    bytes: Count('Answered 503, since those that waited took as many bytes as they may.'),
    time: Count('Answered 503, since the hold ended by itself.'),
    left: Count('Their client has gone, or ended its side, while they waited.'),
    ended: Count('Answered 503, since Turnout ended.'),
  }),
})

export const StatusAnswer = object({
  ...position,
  service: Type.String(),
  release: Type.String(),
  probed: Type.Boolean({
    description:
      'Whether its targets are asked for their health; where they are not, all that is said of it is unknown.',
  }),
  predecessor: nullable(
    Count(
      'Process before this one, while it still finishes what is under way, which is not counted here: nothing is drained until then.',
    ),
  ),
  windowMs: Milliseconds('How far back the window reaches.'),
  visitorsWindowMs: Milliseconds('How far back the visitors reach.'),
  rollout: nullable(RunningAnswer),
  mirror: nullable(MirrorAnswer),
  hold: HoldAnswer,
  held: HeldAnswer,
  maintenance: MaintenanceAnswer,
  pools: Type.Array(
    object({
      name: Type.String(),
      version: Type.String(),
      weight: Count('Weight'),
      admin: AdminStateAnswer,
      drainUntilMs,
      rampUntilMs: Milliseconds(
        'Wall time until which the pool, in which all is new, takes a part of what is aimed at it, where others can go on; 0 when it does not.',
      ),
      drained,
      share,
      visitors: Count(
        'Different visitors that were seen lately, by the key that they bring: an estimate with a standard error of 4.6 %.',
      ),
      ...traffic,
      streams,
      letGo: nullable(LetGoAnswer),
      queue: nullable(QueueAnswer),
      targets: Type.Array(TargetAnswer),
    }),
  ),
})

export const ProcessStatusAnswer = object({
  ...position,
  version: Type.String({ description: 'Version of Turnout.' }),
  workers: object({
    count: Count('Worker threads.'),
    ready: Type.Boolean({ description: 'Every one routes by a committed table.' }),
  }),
  pid: Type.Integer({ description: 'Id of the process.' }),
  startedAtMs: Milliseconds('Wall time at which it began.'),
  store: Type.String({ description: 'Its kind: memory, sqlite or redis.' }),
  storeStaleMs: Milliseconds(
    'How long the store that several instances share has not been reached, or not followed; 0 while it is.',
  ),
  storeFault: nullable(
    Type.String({
      description: 'Why it cannot be read or written now, as where it has no memory left: nothing can be changed.',
    }),
  ),
  snapshot: Type.Union(
    [
      object({
        serves: Type.Boolean({
          description: 'It is what is served, since the store was away at the start; nothing can be changed.',
        }),
        keptAtMs: Milliseconds('Wall time at which it was written, if it serves.'),
        revision: Type.Integer({ description: 'Revision that it has; 0 for none.' }),
        fault: Type.Union([Type.String(), Type.Null()], { description: 'Why it could not be written last.' }),
        failures: Type.Integer({ description: 'How often it could not be written.' }),
      }),
      Type.Null(),
    ],
    { description: 'The local copy of a store elsewhere; null where the store is on this machine.' },
  ),
  instances: Type.Array(
    object({
      name: Type.String({ description: 'The machine and the process.' }),
      version: Type.String(),
      ...position,
      isSelf: Type.Boolean({ description: 'The one that answers.' }),
      clockAheadMs: Type.Number({
        description: 'How far its clock is ahead of that of the store; 0 while they agree, give or take 2 s.',
      }),
      leads: Type.Boolean({ description: 'Rollouts are driven there. False where there is one machine only.' }),
    }),
    { description: 'Every instance that serves by this store, as it was heard of last.' },
  ),
  lookups: Type.Array(
    object({
      kind: Type.String({ description: 'visitors, countries, keys or page.' }),
      name: Type.String({
        description: 'The file or URL, as the config names it; empty for countries that nobody tells.',
      }),
      entries: Count(
        'Visitors in it; of a database the nodes of its tree, of a JWKS its public keys; of a page its bytes.',
      ),
      content: Type.String({ description: 'What is in use, in words; empty for nothing.' }),
      readAtMs: Milliseconds('When that was read, since 1970; 0 for never.'),
      fault: nullable(Type.String({ description: 'Why what is in the file now is not in use.' })),
    }),
    { description: 'The files that requests are looked up in.' },
  ),
  services: Type.Array(StatusAnswer),
})
