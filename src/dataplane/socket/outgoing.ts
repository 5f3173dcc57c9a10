/**
 * The sending side of a socket: bytes go straight to the kernel, and what it does not take is kept count of.
 *
 * A stream's `write` keeps state, makes an object and a tick for every call, which is a good part of what a small request
 * costs us. All of that is about waiting, and nearly every write of ours is taken whole at once. So for plain TCP we ask
 * the handle below the socket; where Node does not give it, over TLS and when reads are not shared, the stream is written to
 * as usual, and the suite runs in both modes.
 *
 * When the last turn of the event loop was busy, texts (heads, and small bodies with them) are held until this one ends; then
 * all connections send theirs one after the other. That is worth 7 % of a small request: the code stays in the caches, and a
 * receiver that is still awake need not be woken. With little to do nobody waits.
 *
 * Invariants: bytes leave in the order in which they were given, also between this and `socket.end()`, since both end in
 * libuv's one queue. A handle that takes only a part keeps the rest and the memory that it was given until `onDrained`.
 * After a failure nothing is sent any more, `onFailed` is told once, never from within a call, and what is still to be read
 * can be read. `isFull` asks the caller to stop its source; it is told by `onDrained` when to go on.
 */
import type { Socket } from 'node:net'
import { binding, handleOf, type StreamHandle, type WriteRequest } from './handle.ts'
import { libc } from './libc.ts'

/** Unsent bytes above which the source should stop. */
const UNSENT_BYTES_MAX = 65_536
/** Held text above which it is sent before the turn ends. */
const HELD_MAX = 16_384
/** Texts in a turn from which on those of the next one are held. */
const BUSY_TEXTS = 8
/** Waiting writes above which it should stop, too: each may hold a whole read buffer for a single byte. */
const WAITING_MAX = 8

interface PendingWrite extends WriteRequest {
  outgoing: Outgoing | null
  /** Kept alive for the handle. */
  memory: Uint8Array | null
}

const state = binding?.streamBaseState ?? new Int32Array(1)
const WAS_ASYNC = binding?.kLastWriteWasAsync ?? 0
/** The request that the next write gets. The handle looks at it only when it has to wait; then it is replaced. */
let spare = newRequest()

function newRequest(): PendingWrite {
  const request = (binding === null ? {} : new binding.WriteWrap()) as PendingWrite
  request.outgoing = null
  request.memory = null
  request.oncomplete = onComplete
  return request
}

function onComplete(this: WriteRequest, status: number): void {
  const request = this as PendingWrite
  const { outgoing } = request
  request.outgoing = null
  request.memory = null
  outgoing?.completed(status)
}

/**
 * Who has held text in this turn, and what: the text of `holders[i]` is `held[i]`, '' once it is sent. The texts are in an array of
 * their turn, since a young string in an object that is as old as its connection costs the garbage collector an entry.
 */
const holders: (Outgoing | null)[] = []
let held: string[] = []
/** Texts of this turn so far. */
let texts = 0
/** Whether the last turn was a busy one. */
let isBusy = false

function endTurn(): void {
  for (let i = 0; i < held.length; i++) {
    holders[i]!.flush()
    holders[i] = null
  }
  held = []
  isBusy = texts >= BUSY_TEXTS
  texts = 0
}

export class Outgoing {
  readonly #socket: Socket
  readonly #onDrained: () => void
  readonly #onFailed: () => void
  readonly #direct: boolean
  /** Writes that the handle has not finished. */
  #waiting = 0
  /** Where the text is that leaves at the end of the turn, or below 0; only while nothing waits. */
  #heldAt = -1
  /** Bytes that went past the handle. */
  #moved = 0
  /** What the kernel, and the peer, had taken at the mark. */
  #markTaken = 0
  #markDelivered = 0
  #full = false
  #failed = false

  /** `direct` allows to write past the stream. */
  constructor(socket: Socket, direct: boolean, onDrained: () => void, onFailed: () => void) {
    this.#socket = socket
    this.#onDrained = onDrained
    this.#onFailed = onFailed
    this.#direct = direct && binding !== null && handleOf(socket) !== null
    if (!this.#direct) socket.on('drain', onDrained)
  }

  /** Sends a text of latin1 characters, at the latest when the turn ends. */
  text(text: string): void {
    if (!this.#direct || this.#failed || this.#waiting > 0) return this.#send(text)
    if (texts++ === 0) setImmediate(endTurn)
    if (!isBusy) return this.#send(text)
    if (this.#heldBytes() + text.length > HELD_MAX) this.flush()
    if (this.#heldAt >= 0) {
      held[this.#heldAt] += text
      return
    }
    this.#heldAt = held.length
    holders[held.length] = this
    held.push(text)
  }

  /** Sends what is held. */
  flush(): void {
    const at = this.#heldAt
    if (at < 0) return
    this.#heldAt = -1
    const text = held[at]
    held[at] = ''
    if (this.#handle() !== null) this.#send(text)
  }

  /** Text is held that nobody was sent yet. */
  get isHeld(): boolean {
    return this.#heldAt >= 0
  }

  /** Sends what is left, then FIN; `done` is called when that has left. */
  end(done?: () => void): void {
    this.flush()
    this.#socket.end(done)
  }

  #send(text: string): void {
    const handle = this.#handle()
    if (handle !== null) this.#sent(handle.writeLatin1String(spare, text), null)
    else if (!this.#failed) this.#socket.write(text, 'latin1')
  }

  /** Sends bytes. True when they are not all sent: then their memory must not change any more. */
  bytes(bytes: Buffer): boolean {
    this.flush()
    const handle = this.#handle()
    if (handle === null) {
      if (!this.#failed) this.#socket.write(bytes)
      return this.#socket.writableLength > 0
    }
    return this.#sent(handle.writeBuffer(spare, bytes), bytes)
  }

  /**
   * The descriptor to send to past all of this, for who knows what a handle is: -1 while anything is waiting, after a failure, and where
   * there is none.
   */
  get descriptor(): number {
    if (this.#waiting > 0) return -1
    return this.#handle()?.fd ?? -1
  }

  /** Notes bytes that were sent to the descriptor. */
  countMoved(bytes: number): void {
    this.#moved += bytes
  }

  /** Bytes that the kernel has not taken yet. */
  get unsentBytes(): number {
    if (!this.#direct) return this.#socket.writableLength
    if (this.#waiting === 0) return this.#heldBytes()
    return handleOf(this.#socket)?.writeQueueSize ?? 0
  }

  /** Whether so much is unsent that its source should stop until `onDrained`. */
  get isFull(): boolean {
    if (this.#direct) return this.#full
    return this.#socket.writableNeedDrain && this.#socket.writableLength > 0
  }

  /** From now on it is to be seen whether anything moves. */
  mark(): void {
    this.#markTaken = this.#takenBytes
    this.#markDelivered = this.#markTaken - this.undelivered
  }

  /**
   * Whether the kernel has taken bytes since the mark, or the peer has, as far as that can be told: of a slow peer's the kernel takes
   * nothing more until a third of a queue of megabytes is empty, which may be minutes.
   */
  get hasMoved(): boolean {
    const taken = this.#takenBytes
    return taken !== this.#markTaken || taken - this.undelivered !== this.#markDelivered
  }

  /** Bytes that the kernel has been given and the peer has not taken yet; 0 where that cannot be told. */
  get undelivered(): number {
    const descriptor = handleOf(this.#socket)?.fd ?? -1
    return libc === null || descriptor < 0 ? 0 : Math.max(0, libc.unacknowledged(descriptor))
  }

  /** Bytes that the kernel has taken so far: grows with every partial write. */
  get #takenBytes(): number {
    const handle = handleOf(this.#socket)
    if (handle?.bytesWritten === undefined) return this.#socket.bytesWritten - this.#socket.writableLength
    return this.#moved + handle.bytesWritten - (handle.writeQueueSize ?? 0)
  }

  /** A write that had to wait is over. Called by its request. */
  completed(status: number): void {
    if (status < 0) this.#fail()
    if (this.#failed || --this.#waiting > 0 || this.#socket.destroyed) return
    this.#full = false
    this.#onDrained()
  }

  #heldBytes(): number {
    return this.#heldAt < 0 ? 0 : held[this.#heldAt].length
  }

  #handle(): StreamHandle | null {
    if (!this.#direct || this.#failed) return null
    return handleOf(this.#socket)
  }

  #sent(error: number, bytes: Buffer | null): boolean {
    if (error !== 0) {
      // The handle may have looked at the request before it failed.
      spare = newRequest()
      this.#fail()
      return false
    }
    if (state[WAS_ASYNC] === 0) return false
    const request = spare
    request.outgoing = this
    request.memory = bytes
    spare = newRequest()
    this.#waiting++
    if (this.#waiting > WAITING_MAX || this.unsentBytes > UNSENT_BYTES_MAX) this.#full = true
    return true
  }

  #fail(): void {
    if (this.#failed) return
    this.#failed = true
    this.#waiting = 0
    this.#full = false
    if (!this.#socket.destroyed) process.nextTick(this.#onFailed)
  }
}
