/**
 * How many connections the API takes, and what becomes of those that are too many.
 *
 * Where there are more than `max`, those are closed that have waited for their next call for longest, for `IDLE_MS` at least: of
 * others it may have come already, unread. Calls on a connection that found no room are answered 503, with when to come again. Up to
 * `OPEN_PER_SERVED` times as many are open for that; what comes then is closed, since each costs a descriptor that a target may need.
 */
import type { FastifyInstance } from 'fastify'
import type { Clock } from '../clock.ts'
import { TurnoutError } from '../errors.ts'

/** Connections that are served at the same time. */
export const SERVED_MAX = 1_000
const OPEN_PER_SERVED = 4
const IDLE_MS = 1_000

interface Connection {
  destroy(): void
}

/** Limits the connections of an instance, before its routes. */
export function limitConnections(app: FastifyInstance, max: number, clock: Pick<Clock, 'monotonicMs'>): void {
  const beyond = new WeakSet<Connection>()
  /** Calls under way by connection. */
  const underWay = new Map<Connection, number>()
  /** Since when, those that wait for longest first. */
  const idle = new Map<Connection, number>()
  const forget = (connection: Connection) => {
    underWay.delete(connection)
    idle.delete(connection)
  }
  const makeRoom = () => {
    const beforeMs = clock.monotonicMs() - IDLE_MS
    for (const [connection, sinceMs] of idle) {
      if (underWay.size <= max || sinceMs > beforeMs) return
      forget(connection)
      connection.destroy()
    }
  }
  const note = (connection: Connection, by: number) => {
    const calls = underWay.get(connection)
    if (calls === undefined) return
    underWay.set(connection, calls + by)
    if (calls + by === 0) idle.set(connection, clock.monotonicMs())
    else idle.delete(connection)
  }
  app.server.maxConnections = max * OPEN_PER_SERVED
  app.server.on('connection', (socket) => {
    underWay.set(socket, 0)
    socket.once('close', () => forget(socket))
    makeRoom()
    if (underWay.size > max) beyond.add(socket)
  })
  app.server.on('request', ({ socket }, answer) => {
    note(socket, 1)
    answer.once('close', () => note(socket, -1))
  })
  app.addHook('onRequest', async ({ raw, routeOptions }) => {
    // Whoever asks whether we live must not be told that we do not.
    if (!beyond.has(raw.socket) || routeOptions.config?.isOpen === true) return
    makeRoom()
    if (underWay.size > max) throw new TurnoutError('overloaded', 'Too many connections are open.')
  })
}
