/**
 * The few calls of the C library that Node has no door to, by `node:ffi`: what moves bytes between two sockets without
 * showing them to us, and what a service manager needs (serve/systemd.ts). Nothing else in the project calls C.
 *
 * `node:ffi` came with Node 26.1 and is experimental, so all of it is looked for once and proved by a round trip through two
 * pipes. Where it is not there, not allowed (`--permission`), switched off (`--no-experimental-ffi`) or fails that proof, `libc` is null and
 * whoever uses it has another way. All descriptors here are non-blocking, so no call waits; -1 is "not now" or an
 * error, and the stream over the same descriptor finds out which. Sizes stay below 2^31, so that they fit `u32` and `i32`.
 *
 * Memory whose address is given away must be kept by the caller as long as C may use it: the collector does not see that.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs'

/** What moves bytes between sockets. */
export interface Moving {
  /** Moves up to `bytes` from one descriptor to another, one of which is a pipe; returns how many, 0 at the end, or -1. */
  splice(from: number, to: number, bytes: number): number
  /** A non-blocking pipe that child processes do not inherit: the ends to read from and to write to. Null if there is none. */
  pipe(): readonly [from: number, to: number] | null
  /** Asks for room in a pipe; returns what it has got, or -1 when it stays as it was. */
  resizePipe(pipe: number, bytes: number): number
  /** Reads into `memory` from its start; returns how many bytes, 0 at the end, or -1. */
  read(from: number, memory: Buffer): number
  /** Whether nothing is waiting to be read from a socket: neither bytes nor its end nor a reset. */
  isQuiet(socket: number): boolean
  /** Whether the peer of a socket has ended its side or is gone, whatever is still to be read before that. */
  hasEnded(socket: number): boolean
  /** Bytes that a socket has been given and its peer has not acknowledged yet; -1 when that cannot be told. */
  unacknowledged(socket: number): number
  close(descriptor: number): void
}

export interface Libc extends Moving {
  /** Another descriptor of the same file or socket, which child processes do not inherit; -1 when there is none left. */
  duplicate(descriptor: number): number
  /** Where a socket listens: family, port and address of its name (a `sockaddr`); null for what does not listen. */
  listensAt(descriptor: number): Uint8Array | null
  /** Sends a datagram to the socket of this name, a path, or an abstract one that begins with a zero; whether it was taken. */
  sendTo(name: Uint8Array, text: string): boolean
}

/** What is used of `node:ffi`. */
interface Ffi {
  readonly DynamicLibrary: new (path: string | null) => Library
  getRawPointer(memory: Uint8Array): bigint
}
interface Library {
  getFunction(
    name: string,
    signature: { return: string; arguments: readonly string[] },
  ): (...values: unknown[]) => number
}

const MOVE_NONBLOCK = 0x01 | 0x02
const NONBLOCK_CLOEXEC = 0o4000 | 0o2000000
const SET_PIPE_SIZE = 1031
const DUPLICATE_CLOEXEC = 1030
const SOCKET_LEVEL = 1
const ACCEPTS_CONNECTIONS = 30
const UNIX = 1
const DATAGRAM_CLOEXEC = 2 | 0o2000000
const NO_SIGNAL = 0x4000
/** Bytes of the longest name of a socket. */
const NAME_BYTES = 128
const PEEK_DONTWAIT = 0x02 | 0x40
const OUTPUT_QUEUE = 0x5411
/** Asked of `poll`, and what it tells unasked: an error, and both sides ended. */
const PEER_ENDED = 0x2000
const ENDS = PEER_ENDED | 0x08 | 0x10

/** The C library of this process, or null. */
export const libc: Libc | null = findLibc()

function findLibc(): Libc | null {
  // The numbers above are those of Linux on every architecture that Node is built for here.
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) return null
  try {
    const found = open(loadFfi())
    return isSound(found) ? found : null
  } catch {
    return null
  }
}

/** Its warning would be the first line that a user sees, and nothing that they can act on. */
function loadFfi(): Ffi {
  const { emitWarning } = process
  process.emitWarning = (warning: string | Error, ...rest: unknown[]) => {
    if (!String(warning).startsWith('FFI is an experimental')) Reflect.apply(emitWarning, process, [warning, ...rest])
  }
  try {
    return process.getBuiltinModule('node:ffi' as 'node:fs') as unknown as Ffi
  } finally {
    process.emitWarning = emitWarning
  }
}

function open(ffi: Ffi): Libc {
  // The program itself, which has the C library in it: the name of its file differs between distributions.
  const library = new ffi.DynamicLibrary(null)
  const find = (name: string, ...types: string[]) => library.getFunction(name, { return: 'i32', arguments: types })
  // The addresses of places in a file are null, since there is no file. As numbers, Node need not look up nor convert them, half of
  // what a call takes. Should a zero ever arrive as more, the kernel refuses it for a pipe, and the stream goes on.
  const splice = find('splice', 'i32', 'i32', 'i32', 'i32', 'u32', 'u32')
  const pipe2 = find('pipe2', 'pointer', 'i32')
  const fcntl = find('fcntl', 'i32', 'i32', 'i32')
  const read = find('read', 'i32', 'pointer', 'u32')
  const recv = find('recv', 'i32', 'pointer', 'u32', 'i32')
  const ioctl = find('ioctl', 'i32', 'u32', 'pointer')
  const poll = find('poll', 'pointer', 'u64', 'i32')
  const close = find('close', 'i32')
  const ends = new Int32Array(new ArrayBuffer(8))
  const endsAt = ffi.getRawPointer(new Uint8Array(ends.buffer))
  const queued = new Int32Array(new ArrayBuffer(8))
  const queuedAt = ffi.getRawPointer(new Uint8Array(queued.buffer))
  const peeked = new Uint8Array(new ArrayBuffer(8))
  const peekedAt = ffi.getRawPointer(peeked)
  const polled = new Int32Array(new ArrayBuffer(8))
  const polledAt = ffi.getRawPointer(new Uint8Array(polled.buffer))
  const kept = { library, ends, peeked, queued, polled }
  const peek = (socket: number) => recv(socket, peekedAt, kept.peeked.length, PEEK_DONTWAIT)
  return {
    splice: (from, to, bytes) => splice(from, 0, to, 0, bytes, MOVE_NONBLOCK),
    pipe: () => (pipe2(endsAt, NONBLOCK_CLOEXEC) === 0 ? adopt(kept.ends[0], kept.ends[1], close) : null),
    resizePipe: (pipe, bytes) => fcntl(pipe, SET_PIPE_SIZE, bytes),
    read: (from, memory) => read(from, ffi.getRawPointer(memory), memory.length),
    // A reset is told once, and takes the same -1; whoever asks again is told the end that it has left.
    isQuiet: (socket) => peek(socket) === -1 && peek(socket) === -1,
    hasEnded(socket) {
      // A descriptor, and two halves: what is asked, and what is answered.
      kept.polled[0] = socket
      kept.polled[1] = PEER_ENDED
      return poll(polledAt, 1n, 0) === 1 && ((kept.polled[1] >>> 16) & ENDS) !== 0
    },
    unacknowledged: (socket) => (ioctl(socket, OUTPUT_QUEUE, queuedAt) === 0 ? kept.queued[0] : -1),
    duplicate: (descriptor) => fcntl(descriptor, DUPLICATE_CLOEXEC, 0),
    ...serviceCalls(ffi, find),
    close: closeSync,
  }
}

/** What is called at a start only, so it may take memory of its own. */
function serviceCalls(
  ffi: Ffi,
  find: (name: string, ...types: string[]) => ReturnType<Library['getFunction']>,
): Pick<Libc, 'listensAt' | 'sendTo'> {
  const getsockopt = find('getsockopt', 'i32', 'i32', 'i32', 'pointer', 'pointer')
  const getsockname = find('getsockname', 'i32', 'pointer', 'pointer')
  const socket = find('socket', 'i32', 'i32', 'i32')
  const sendto = find('sendto', 'i32', 'pointer', 'u32', 'i32', 'pointer', 'u32')
  const close = find('close', 'i32')
  return {
    listensAt(descriptor) {
      const [value, length, name] = [new Uint8Array(4), new Uint8Array(4), new Uint8Array(NAME_BYTES)]
      const [valueAt, lengthAt, nameAt] = [value, length, name].map((memory) => ffi.getRawPointer(memory))
      const size = new DataView(length.buffer)
      size.setUint32(0, value.length, true)
      if (getsockopt(descriptor, SOCKET_LEVEL, ACCEPTS_CONNECTIONS, valueAt, lengthAt) !== 0 || value[0] !== 1)
        return null
      size.setUint32(0, name.length, true)
      return getsockname(descriptor, nameAt, lengthAt) === 0 ? name : null
    },
    sendTo(name, text) {
      // A path ends with a zero, which an abstract name has at its beginning.
      const address = new Uint8Array(2 + name.length + (name[0] === 0 ? 0 : 1))
      new DataView(address.buffer).setUint16(0, UNIX, true)
      address.set(name, 2)
      const bytes = new Uint8Array(Buffer.from(text))
      const descriptor = socket(UNIX, DATAGRAM_CLOEXEC, 0)
      if (descriptor < 0) return false
      const [bytesAt, addressAt] = [bytes, address].map((memory) => ffi.getRawPointer(memory))
      const sent = sendto(descriptor, bytesAt, bytes.length, NO_SIGNAL, addressAt, address.length)
      close(descriptor)
      return sent === bytes.length
    },
  }
}

/**
 * Opens the ends of a pipe once more by Node's own door. Node closes what a worker thread opened there when the thread ends,
 * however it does; of what C has opened it knows nothing. Null when there are no descriptors left for that.
 */
function adopt(from: number, to: number, close: (descriptor: number) => number): readonly [number, number] | null {
  const { O_NONBLOCK, O_RDONLY, O_WRONLY } = constants
  const opened: number[] = []
  const end = (descriptor: number, way: number) => {
    const again = openSync(`/proc/self/fd/${descriptor}`, way | O_NONBLOCK)
    opened.push(again)
    return again
  }
  try {
    return [end(from, O_RDONLY), end(to, O_WRONLY)]
  } catch {
    for (const descriptor of opened) closeSync(descriptor)
    return null
  } finally {
    close(from)
    close(to)
  }
}

/** Sends a word through two pipes, as bodies will go, and looks whether it arrives. */
function isSound(found: Libc): boolean {
  const word = Buffer.from('turnout')
  const pipes = [found.pipe(), found.pipe()]
  try {
    const [first, second] = pipes
    if (first === null || second === null) return false
    if (found.splice(first[0], second[1], word.length) !== -1) return false
    writeSync(first[1], word)
    if (found.splice(first[0], second[1], 1_000) !== word.length) return false
    const memory = Buffer.alloc(100)
    return found.read(second[0], memory) === word.length && memory.subarray(0, word.length).equals(word)
  } finally {
    for (const end of pipes.flatMap((pipe) => pipe ?? [])) found.close(end)
  }
}
