/**
 * The listening sockets of a worker. Each worker has its own on the same address (SO_REUSEPORT), so the kernel spreads the
 * connections and a worker that dies takes only its own along. Connections above the limits are refused at once: better a
 * clear refusal than a slow death of all.
 */
import net from 'node:net'
import tls from 'node:tls'
import { WORKER_FIELD } from '../metrics/layout.ts'
import { Client } from './client.ts'
import type { ListenerPlan } from './messages.ts'
import type { Plane } from './plane.ts'

/** Connections that the kernel may hold until they are accepted. */
const BACKLOG = 4_096

/** Opens a listener; resolves with the server once it accepts. Rejects with the system's error (EADDRINUSE …). */
export function openListener(plane: Plane, plan: ListenerPlan, reusePort: boolean): Promise<net.Server> {
  const options = { pauseOnConnect: true, allowHalfOpen: true, noDelay: true }
  const accept = (socket: net.Socket) => acceptClient(plane, socket, plan.tls !== null)
  const server =
    plan.tls === null
      ? net.createServer(options, accept)
      : tls.createServer(
          {
            ...options,
            pauseOnConnect: false,
            ...plan.tls,
            ALPNProtocols: ['http/1.1'],
            minVersion: 'TLSv1.2',
            handshakeTimeout: plane.timeouts.headMs,
          },
          accept,
        )
  if (plan.tls !== null) server.on('tlsClientError', (_error: Error, socket: net.Socket) => socket.destroy())
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: plan.host, port: plan.port, reusePort, backlog: BACKLOG }, () => {
      server.off('error', reject)
      // An error of a single accept (too many descriptors, say) must not end the worker.
      server.on('error', () => plane.countLane(WORKER_FIELD.acceptErrors))
      resolve(server)
    })
  })
}

/**
 * Takes an address alone for a moment and gives it back; rejects when somebody has it. Sockets that share their port would also
 * share it with another Turnout of the same user, and each of the two would get a part of the other's traffic.
 */
export function checkFree({ host, port }: ListenerPlan): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = net.createServer()
    server.once('error', reject)
    server.listen({ host, port }, () => server.close(() => resolve()))
  })
}

function acceptClient(plane: Plane, socket: net.Socket, isTls: boolean): void {
  plane.tick()
  const { connectionsMax, connectionsPerAddressMax } = plane.limits
  const address = socket.remoteAddress
  if (
    address === undefined ||
    plane.clients.size >= connectionsMax ||
    !plane.admitAddress(address, connectionsPerAddressMax)
  ) {
    plane.countRejected('overloaded')
    socket.destroy()
    return
  }
  new Client(plane, socket, isTls)
}
