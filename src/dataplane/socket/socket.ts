/**
 * Sockets that read into one buffer per worker, instead of a new one per read.
 *
 * `net.connect` takes an `onread` buffer in public; for accepted sockets Node has no such option, so the handle of the
 * accepted socket is given to a new Socket that has one. If a future Node hides the handle, or TLS is between, the same
 * callback is fed from 'data' events: slower, otherwise the same, and the suite runs in both modes.
 *
 * Invariant: the bytes given to `onBytes` are valid only until it returns; whoever needs them longer copies them.
 */
import net from 'node:net'
import { type Address, lookupOf } from '../../names/address.ts'
import { withoutLastDot } from '../../table/host.ts'
import { binding, handleOf, type StreamHandle, takeHandle } from './handle.ts'
import { isSecure, loadTls } from './secure.ts'

/**
 * Gets `buffer[0, length)`, and must be done with it before it returns. What it returns, if anything, is read into from now on.
 */
export type OnBytes = (buffer: Buffer, length: number) => Buffer | undefined

/**
 * TCP keep-alive of every connection: a peer that has gone without a word (no FIN, no power) is noticed after a good minute
 * (Node probes ten times, a second apart) where no time-out of ours would: in tunnels, and in streams that are silent for long.
 * While anything for it is unacknowledged the system does not probe, and sends that again for as long as it is set to.
 */
export const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelay: 60_000 } as const

/** Takes over a socket that was accepted with `pauseOnConnect`, so that reads go to `shared` and then to `onBytes`. */
export function adoptSocket(accepted: net.Socket, shared: Buffer | null, onBytes: OnBytes): net.Socket {
  if (shared === null || isSecure(accepted) || handleOf(accepted) === null) {
    return readByEvents(accepted, onBytes)
  }
  const handle = takeHandle(accepted)!
  const options = { handle, allowHalfOpen: true, onread: onread(shared, onBytes) }
  const socket = new net.Socket(options as unknown as net.SocketConstructorOpts)
  readByHandle(handle, shared, onBytes)
  return socket
}

/** Where a connection goes. */
export interface Place extends Address {
  /** As in the URL of the target; certificates are verified for it. It is never looked up here (names/names.ts). */
  readonly host: string
  readonly port: number
  readonly tls: boolean
}

/** Opens a connection whose reads go to `onBytes`; over TLS the certificate is verified for the host. */
export function openSocket(place: Place, shared: Buffer | null, onBytes: OnBytes): net.Socket {
  const { host, address, port } = place
  const where = place.alternate === null ? { host: address } : { host, lookup: lookupOf(place) }
  if (place.tls) {
    // Certificates do not know the dot of a complete name (RFC 6066, 3).
    const servername = net.isIP(host) ? '' : withoutLastDot(host)
    // Node's types do not know that it takes `noDelay` here, too.
    const options = { ...where, port, servername, ALPNProtocols: ['http/1.1'], noDelay: true, ...KEEP_ALIVE }
    return readByEvents(loadTls().connect(options), onBytes)
  }
  const options = { ...where, port, noDelay: true, allowHalfOpen: true, ...KEEP_ALIVE }
  if (shared === null) return outliveWrites(readByEvents(net.connect(options), onBytes))
  const socket = outliveWrites(net.connect({ ...options, onread: onread(shared, onBytes) }))
  socket.once('connect', () => {
    const handle = handleOf(socket)
    if (handle !== null) readByHandle(handle, shared, onBytes)
  })
  return socket
}

interface WithStates {
  readonly _readableState?: { autoDestroy: boolean; errored: Error | null }
  readonly _writableState?: { autoDestroy: boolean }
}

/**
 * Node destroys a socket at its first failed write, and with it what was received and not read yet: the answer of a target
 * that refused an upload and closed. net.Socket forces this option on, so it is taken off where Node lets us.
 */
function outliveWrites(socket: net.Socket): net.Socket {
  const { _readableState: readable, _writableState: writable } = socket as unknown as WithStates
  if (readable && writable) {
    readable.autoDestroy = false
    writable.autoDestroy = false
  }
  return socket
}

/** Whether a socket that has just told an error can still be read, because only a write has failed. */
export function outlived(socket: net.Socket): boolean {
  const { _readableState: readable } = socket as unknown as WithStates
  if (socket.destroyed || !readable) return false
  // Else it would not tell its end.
  readable.errored = null
  return true
}

/** The public way to read into memory of ours. */
function onread(shared: Buffer, onBytes: OnBytes): net.OnReadOpts {
  let buffer = shared
  return {
    // Asked for behind every read, and for every address that a connection is tried at.
    buffer: () => buffer,
    callback(length: number): boolean {
      buffer = onBytes(buffer, length) ?? buffer
      return true
    },
  }
}

/** The short way: the handle calls us, and the stream only hears of the end and of errors. */
function readByHandle(handle: StreamHandle, shared: Buffer, onBytes: OnBytes): void {
  if (binding === null) return
  const { streamBaseState, kReadBytesOrError } = binding
  const ofStream = handle.onread
  let buffer = shared
  handle.onread = function (bytes) {
    const length = streamBaseState[kReadBytesOrError]
    if (length <= 0) return ofStream.call(this, bytes)
    const next = onBytes(buffer, length)
    if (next !== undefined) buffer = next
    return next
  }
}

function readByEvents(socket: net.Socket, onBytes: OnBytes): net.Socket {
  socket.on('data', (bytes: Buffer) => void onBytes(bytes, bytes.length))
  socket.resume()
  return socket
}

/** Bytes that were kept before, if any, and a copy of `buffer[at, end)` behind them. */
export function keptBytes(kept: Buffer | null, buffer: Buffer, at: number, end: number): Buffer {
  const copy = Buffer.from(buffer.subarray(at, end))
  return kept === null ? copy : Buffer.concat([kept, copy])
}

/** Ends a connection in a way that nobody takes for a proper end: by RST, or over TLS without its closing alert. */
export function cutSocket(socket: net.Socket): void {
  if (socket.destroyed || isSecure(socket)) socket.destroy()
  else socket.resetAndDestroy()
}
