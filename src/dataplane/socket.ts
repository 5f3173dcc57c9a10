/**
 * The one place that reaches below node:net: sockets that read into one buffer per worker instead of a new one per read.
 *
 * `net.connect` takes an `onread` buffer in public; for accepted sockets Node has no such option, so the handle of the
 * accepted socket is given to a new Socket that has one. If a future Node hides the handle, or TLS is between, the same
 * callback is fed from 'data' events: slower, otherwise the same, and the suite runs in both modes.
 *
 * Invariant: the bytes given to `onBytes` are valid only until it returns; whoever needs them longer copies them.
 */
import net from 'node:net'
import tls from 'node:tls'

/** Gets `buffer[0, length)`. Must be done with it before it returns. */
export type OnBytes = (buffer: Buffer, length: number) => void

interface WithHandle {
  _handle: object | null
}

/** Takes over a socket that was accepted with `pauseOnConnect`, so that reads go to `onBytes`. */
export function adoptSocket(accepted: net.Socket, shared: Buffer | null, onBytes: OnBytes): net.Socket {
  const handle = (accepted as unknown as WithHandle)._handle
  if (shared === null || !handle || accepted instanceof tls.TLSSocket) return readByEvents(accepted, onBytes)
  const withHandle = accepted as unknown as WithHandle
  withHandle._handle = null
  const options = { handle, allowHalfOpen: true, onread: onread(shared, onBytes) }
  return new net.Socket(options as net.SocketConstructorOpts)
}

/** Opens a connection whose reads go to `onBytes`; `tls` verifies the certificate for `host` unless told otherwise. */
export function openSocket(
  host: string,
  port: number,
  useTls: boolean,
  shared: Buffer | null,
  onBytes: OnBytes,
): net.Socket {
  if (useTls) {
    const servername = net.isIP(host) ? '' : host
    return readByEvents(tls.connect({ host, port, servername, ALPNProtocols: ['http/1.1'] }), onBytes)
  }
  const options = { host, port, noDelay: true, allowHalfOpen: true }
  if (shared === null) return outliveWrites(readByEvents(net.connect(options), onBytes))
  return outliveWrites(net.connect({ ...options, onread: onread(shared, onBytes) }))
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

function onread(buffer: Buffer, onBytes: OnBytes): net.OnReadOpts {
  return {
    buffer,
    callback(length: number, bytes: Uint8Array): boolean {
      onBytes(bytes as Buffer, length)
      return true
    },
  }
}

function readByEvents(socket: net.Socket, onBytes: OnBytes): net.Socket {
  socket.on('data', (bytes: Buffer) => onBytes(bytes, bytes.length))
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
  if (socket.destroyed || socket instanceof tls.TLSSocket) socket.destroy()
  else socket.resetAndDestroy()
}
