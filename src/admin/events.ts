/**
 * `GET /v1/events`: what happens, as server-sent events, or as a list with `?follow=false`.
 *
 * A stream begins with the events after `Last-Event-ID` (or `?after=`), then goes on live; catching up and subscribing happen
 * in one turn, so none is missed or told twice. (An id of another process gives everything that control keeps.)
 * Bounds: so many streams at once; a comment every 15 s keeps middleboxes from closing an idle one; a reader that does not
 * read is dropped once so many bytes wait for it, and may come back with Last-Event-ID. Memory cannot grow with either.
 */
import type { ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import type { ControlEvent } from '../change.ts'
import { Type } from '../config/type.ts'
import { TurnoutError } from '../errors.ts'
import type { AdminDeps } from './deps.ts'
import { NUMBER_MAX } from './document.ts'
import { EventFilter, filterOf, sinceMsOf } from './event-filter.ts'
import { answers, EventAnswer, EventsAnswer } from './schemas.ts'

/** Streams at the same time; one more is answered 503. */
export const STREAMS_MAX = 100
/** Bytes that may wait for a reader before it is dropped. */
export const BUFFERED_BYTES_MAX = 512 * 1024
/** A comment is sent on every stream this often. */
export const HEARTBEAT_EVERY_MS = 15_000

const EventsQuery = Type.Object(
  {
    after: Type.Optional(
      Type.Integer({ minimum: 0, maximum: NUMBER_MAX, description: 'Begin after this id; 0 is all that is kept.' }),
    ),
    follow: Type.Boolean({ default: true, description: 'false: a JSON list of what is kept, and no stream.' }),
    ...EventFilter,
  },
  { additionalProperties: false },
)
type EventsRequest = FastifyRequest<{ Querystring: Static<typeof EventsQuery> }>

export interface EventStreams {
  /** Ends every stream. */
  close(): void
}

/** Registers the call. */
export function eventRoutes(
  app: FastifyInstance,
  { control, clock }: Pick<AdminDeps, 'control' | 'clock'>,
): EventStreams {
  /** Each with what its reader wants. */
  const streams = new Map<ServerResponse, (event: ControlEvent) => boolean>()
  const send = (stream: ServerResponse, text: string): void => {
    // Looked at before writing, so that one large event alone drops nobody.
    if (stream.writableLength <= BUFFERED_BYTES_MAX) {
      stream.write(text)
      return
    }
    streams.delete(stream)
    stream.destroy()
  }
  const endHeartbeat = clock.every(HEARTBEAT_EVERY_MS, () => {
    for (const stream of streams.keys()) send(stream, ': still here\n\n')
  })
  const endListening = control.subscribe((event) => {
    if (streams.size === 0) return
    const text = lines(event)
    for (const [stream, isWanted] of streams) if (isWanted(event)) send(stream, text)
  })

  const follow = (request: EventsRequest, reply: FastifyReply): void => {
    if (streams.size >= STREAMS_MAX) throw new TurnoutError('overloaded', 'Too many event streams are open.')
    const isWanted = filterOf(request.query, { control })
    const missed = keptFor({ control, clock }, request, isWanted, null)
    reply.hijack()
    const stream = reply.raw
    stream.once('close', () => streams.delete(stream))
    // A reader that goes away is no fault of ours; `close` follows.
    stream.on('error', () => {})
    stream.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      connection: 'close',
    })
    streams.set(stream, isWanted)
    stream.write(['retry: 2000\n\n', ...missed.map(lines)].join(''))
  }

  app.get<{ Querystring: Static<typeof EventsQuery> }>('/v1/events', {
    exposeHeadRoute: false,
    schema: {
      summary: 'What happens, as server-sent events',
      querystring: EventsQuery,
      response: eventAnswers,
    },
    handler: (request, reply) => {
      if (request.query.follow) follow(request, reply)
      else reply.send({ events: keptFor({ control, clock }, request, filterOf(request.query, { control }), 0) })
    },
  })
  return {
    close() {
      endHeartbeat()
      endListening()
      for (const stream of streams.keys()) stream.end()
    },
  }
}

const eventAnswers = {
  ...answers(EventsAnswer),
  200: {
    description: 'A stream of events, or a list.',
    content: { 'text/event-stream': { schema: EventAnswer }, 'application/json': { schema: EventsAnswer } },
  },
}

/** What is kept and wanted; without a word of where to begin, after `otherwise`, and null is now. */
function keptFor(
  { control, clock }: Pick<AdminDeps, 'control' | 'clock'>,
  request: EventsRequest,
  isWanted: (event: ControlEvent) => boolean,
  otherwise: number | null,
): readonly ControlEvent[] {
  const isResumed = Boolean(request.headers['last-event-id'])
  const after = afterOf(request) ?? (request.query.since === undefined ? otherwise : 0)
  if (after === null) return []
  const sinceMs = isResumed ? 0 : sinceMsOf(request.query, clock.nowMs())
  return control.events(after).filter((event) => event.atMs >= sinceMs && isWanted(event))
}

/** Where the reader wants to begin; null for now. A reconnecting browser repeats the URL, so the header wins. */
function afterOf(request: EventsRequest): number | null {
  const header = request.headers['last-event-id']
  if (header === undefined || header === '') return request.query.after ?? null
  if (typeof header !== 'string' || !/^[0-9]{1,15}$/.test(header)) {
    throw new TurnoutError('malformed', 'Last-Event-ID must be the id of an event.')
  }
  return Number(header)
}

/** An event on the wire; JSON has no line breaks, so `data` is one line. */
const lines = (event: ControlEvent): string =>
  `id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`
