/**
 * The listening sockets of a worker. Each worker has its own on the same address (SO_REUSEPORT), so the kernel spreads the
 * connections and a worker that dies takes only its own along. A socket that the process was given goes on with all that waits
 * to be accepted from it; a worker may have several of one address (workers/given-sockets.ts). Connections above the caps are refused at once: better a
 * clear refusal than a slow death of all. They count from the moment they are accepted, a TLS handshake included, until
 * their descriptor is free again.
 */
import net from 'node:net'
import type tls from 'node:tls'
import { WORKER_FIELD } from '../../metrics/layout.ts'
import type { ListenerPlan } from '../messages.ts'
import type { Plane } from '../plane.ts'
import { loadTls } from '../socket/secure.ts'
import { KEEP_ALIVE } from '../socket/socket.ts'
import { Client } from './client.ts'

/** Connections that the kernel may hold until they are accepted. */
const BACKLOG = 4_096
/** CPU time that a handshake may take; a thousand that come at once are one long silence of the worker. */
export const HANDSHAKE_MS = 5

/**
 * Opens a listener, or takes over the sockets that it has been given; resolves with a server for each socket once it accepts. Rejects with
 * the system's error (EADDRINUSE …).
 */
export async function openListener(
  plane: Plane,
  plan: ListenerPlan,
  inherited: readonly number[],
  reusePort: boolean,
): Promise<net.Server[]> {
  const { host, port } = plan
  if (inherited.length === 0) return [await openServer(plane, plan, { host, port, reusePort })]
  return Promise.all(inherited.map((fd) => openServer(plane, plan, { fd })))
}

function openServer(plane: Plane, plan: ListenerPlan, at: net.ListenOptions | { fd: number }): Promise<net.Server> {
  const isTls = plan.tls !== null
  // Half of a handshake leads nowhere, so a side that ends before its end ends the connection.
  const options = { pauseOnConnect: !isTls, allowHalfOpen: !isTls, noDelay: true, ...KEEP_ALIVE }
  const secure = plan.tls === null ? null : createHandshaker(plane, plan.tls)
  const server = net.createServer(options, (socket) => acceptClient(plane, socket, secure))
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ ...at, backlog: BACKLOG }, () => {
      server.off('error', reject)
      // An error of a single accept (too many descriptors, say) must not end the worker.
      server.on('error', () => plane.counters.countLane(WORKER_FIELD.acceptErrors))
      resolve(server)
    })
  })
}

/** Does the handshakes of connections that it is given; never listens itself. */
function createHandshaker(plane: Plane, { cert, key }: { readonly cert: string; readonly key: string }): tls.Server {
  const handshakeEnds = (): void => {
    plane.handshakes--
    plane.time.askPatience(-HANDSHAKE_MS)
  }
  const handshaker = loadTls().createServer(
    {
      cert,
      key,
      allowHalfOpen: false,
      ALPNProtocols: ['http/1.1'],
      minVersion: 'TLSv1.2',
      handshakeTimeout: plane.timeouts.headMs,
    },
    (socket) => {
      plane.time.tick()
      handshakeEnds()
      // From here on a client that ends its side still gets its answer.
      socket.allowHalfOpen = true
      new Client(plane, socket, true).retire(plane.idleUntilMs)
    },
  )
  handshaker.on('connection', () => {
    plane.handshakes++
    plane.time.askPatience(HANDSHAKE_MS)
  })
  // Each connection has either this or the end of its handshake, once.
  handshaker.on('tlsClientError', (_error: Error, socket: net.Socket) => {
    handshakeEnds()
    socket.destroy()
  })
  return handshaker
}

/**
 * Takes an address alone for a moment and gives it back; rejects when somebody has it. Sockets that share their port would also
 * share it with another Turnout of the same user, and each of the two would get a part of the other's traffic.
 */
export function checkFree({ host, port }: Pick<ListenerPlan, 'host' | 'port'>): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = net.createServer()
    server.once('error', reject)
    server.listen({ host, port }, () => server.close(() => resolve()))
  })
}

function acceptClient(plane: Plane, accepted: net.Socket, handshaker: tls.Server | null): void {
  plane.time.tick()
  const address = accepted.remoteAddress
  // A reset was faster.
  if (address === undefined) return void accepted.destroy()
  const cell = plane.admission.cellOf(address, plane.trusted.has(address))
  if (!plane.admission.admit(cell)) {
    plane.counters.countRejected('overloaded')
    accepted.destroy()
    return
  }
  const socket = handshaker === null ? new Client(plane, accepted, false).socket : accepted
  socket.once('close', () => plane.admission.leave(cell))
  handshaker?.emit('connection', socket)
}
