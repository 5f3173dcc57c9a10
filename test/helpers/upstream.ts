/** Targets for tests: real HTTP servers, and raw ones that say exactly the bytes that a test wants said. */
import type { RequestListener, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import net from 'node:net'
import { onTestFinished } from 'vitest'
import { portsIn } from '../../bench/ports.ts'
import { hostAndPort } from '../../src/config/address.ts'
import { http } from './http.ts'

export interface Upstream {
  /** `http://127.0.0.1:port`, unless it was to be elsewhere. */
  readonly url: string
  readonly port: number
  close(): Promise<void>
}

async function listen(
  server: net.Server | Server,
  port: number,
  cut: () => void,
  address = '127.0.0.1',
): Promise<Upstream> {
  await new Promise<void>((resolve, fail) => server.once('error', fail).listen(port, address, resolve))
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      cut()
    })
  onTestFinished(close)
  const taken = (server.address() as AddressInfo).port
  return { url: `http://${hostAndPort(address, taken)}`, port: taken, close }
}

/** A node:http server with this listener; port 0 takes a free one. */
export function startUpstream(listener: RequestListener, port = 0): Promise<Upstream> {
  const server = http.createServer({ keepAliveTimeout: 60_000 }, listener)
  return listen(server, port, () => server.closeAllConnections())
}

/** A server that answers each request by its name, so that a test sees which target it reached. */
export function startNamed(name: string, port = 0): Promise<Upstream & { readonly requests: () => number }> {
  let requests = 0
  return startUpstream((request, response) => {
    requests++
    request.resume()
    request.on('end', () => response.setHeader('x-name', name).end(name))
  }, port).then((upstream) => ({ ...upstream, requests: () => requests }))
}

/** A server on one of the addresses of loopback; without a listener it answers with its address. */
export async function startAt(
  address: string,
  port: number,
  listener?: RequestListener,
): Promise<Upstream & { readonly requests: () => number }> {
  let requests = 0
  const server = http.createServer((request, response) => {
    requests++
    if (listener === undefined) response.setHeader('x-name', address).end(address)
    else listener(request, response)
  })
  const upstream = await listen(server, port, () => server.closeAllConnections(), address)
  return { ...upstream, requests: () => requests }
}

/** A target that fails a share of its requests once it is told to. */
export async function startFailing(): Promise<{ url: string; failing: number }> {
  const state = { url: '', failing: 0 }
  const { url } = await startUpstream((request, response) => {
    request.resume()
    response.statusCode = Math.random() < state.failing ? 500 : 200
    response.end('green')
  })
  state.url = url
  return state
}

export interface RawUpstream extends Upstream {
  /** Connections so far. */
  readonly connections: () => number
  /** All bytes received so far, in latin1, by connection. */
  readonly received: () => readonly string[]
}

/** A TCP server; `onData` gets each connection's text so far at every read and says what it wants. */
export async function startRaw(
  onData: (socket: net.Socket, text: string, index: number) => void,
  onOpen?: (socket: net.Socket, index: number) => void,
): Promise<RawUpstream> {
  const sockets = new Set<net.Socket>()
  const received: string[] = []
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    const index = received.push('') - 1
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', (bytes) => {
      received[index] += bytes.toString('latin1')
      onData(socket, received[index], index)
    })
    onOpen?.(socket, index)
  })
  const upstream = await listen(server, 0, () => {
    for (const socket of sockets) socket.destroy()
  })
  return { ...upstream, connections: () => received.length, received: () => received }
}

/** A TCP server that keeps nothing of what it receives; `onOpen` gets each connection. */
export function startTcp(onOpen: (socket: net.Socket) => void): Promise<Upstream> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    onOpen(socket)
  })
  return listen(server, 0, () => {
    for (const socket of sockets) socket.destroy()
  })
}

/** A raw server that gives `answer` to every request head it gets. */
export function startAnswering(answer: string): Promise<RawUpstream> {
  const answered = new Map<net.Socket, number>()
  return startRaw((socket, text) => {
    const heads = text.split('\r\n\r\n').length - 1
    for (let i = answered.get(socket) ?? 0; i < heads; i++) socket.write(answer, 'latin1')
    answered.set(socket, heads)
  })
}

/**
 * A port that nobody listens on, and that is given to nobody else: a test that runs at the same time would otherwise be sent what was
 * meant to reach nobody.
 */
export const closedPort = portsIn(25_300, 32_768)
