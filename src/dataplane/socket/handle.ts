/**
 * The handle below a socket of node:net, and Node's binding for it. Only the files of this folder use it.
 *
 * The binding is Node's own and not promised to anybody, so all of it is looked for once, and whoever uses it has another way
 * for a Node that does not give it (or one with restricted permissions). Its `streamBaseState` is how the handle answers:
 * a few integers that are valid until the next call.
 */
import type { Server, Socket } from 'node:net'
import { isSecure } from './secure.ts'

/** A write that the handle may have to finish later; `oncomplete` is called then, with 0 or a negative error number. */
export interface WriteRequest {
  oncomplete: (this: WriteRequest, status: number) => void
}

/** The handle of a TCP socket. */
export interface StreamHandle {
  /** Called at each read with its length in `streamBaseState`; what it returns is the buffer of the next read. */
  onread: (this: StreamHandle, bytes: unknown) => unknown
  writeLatin1String(request: WriteRequest, text: string): number
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number
  readonly writeQueueSize: number
  /** The descriptor, or -1. */
  readonly fd: number
  readonly bytesWritten: number
  /** Whether the socket above wants to be read. */
  readonly reading: boolean
  readStart(): number
  readStop(): number
}

export interface Binding {
  readonly WriteWrap: new () => WriteRequest
  readonly streamBaseState: Int32Array
  readonly kReadBytesOrError: number
  readonly kLastWriteWasAsync: number
}

/** Node's binding for the handles of streams, or null. */
export const binding: Binding | null = findBinding()

function findBinding(): Binding | null {
  try {
    const { binding: find } = process as unknown as { binding(name: string): Partial<Binding> }
    const { WriteWrap, streamBaseState, kReadBytesOrError, kLastWriteWasAsync } = find('stream_wrap')
    if (WriteWrap === undefined || streamBaseState === undefined) return null
    if (kReadBytesOrError === undefined || kLastWriteWasAsync === undefined) return null
    return { WriteWrap, streamBaseState, kReadBytesOrError, kLastWriteWasAsync }
  } catch {
    return null
  }
}

/** The handle of a socket; null once it is closed, or if Node hides it. */
export function handleOf(socket: Socket): StreamHandle | null {
  return (socket as unknown as { readonly _handle?: StreamHandle | null })._handle ?? null
}

/**
 * The descriptor that carries the bytes of a socket as they are: -1 once it is closed, if Node hides it, and over TLS, where
 * Node gives that of the connection below, which carries records.
 */
export function descriptorOf(socket: Socket): number {
  if (isSecure(socket)) return -1
  return handleOf(socket)?.fd ?? -1
}

/** The descriptor of the socket that a server listens on; -1 once it is closed, or if Node hides it. */
export function descriptorOfServer(server: Server): number {
  return (server as unknown as { readonly _handle?: { readonly fd: number } | null })._handle?.fd ?? -1
}

/** Reads nothing more of a socket in this turn of the event loop; in the next one it goes on, if the socket still wants to. */
export function pauseForTurn(socket: Socket): void {
  const handle = handleOf(socket)
  if (handle === null) return
  handle.readStop()
  setImmediate(readAgain, socket, handle)
}

function readAgain(socket: Socket, handle: StreamHandle): void {
  if (handleOf(socket) === handle && handle.reading) handle.readStart()
}

/** Takes the handle out of a socket, so that another one can be made of it. */
export function takeHandle(socket: Socket): StreamHandle | null {
  const handle = handleOf(socket)
  ;(socket as unknown as { _handle: null })._handle = null
  return handle
}
