/**
 * Long bodies without a copy: the kernel moves them from one socket to the other, and we only count.
 *
 * A body of known length needs no look at its bytes, yet reading and writing them copies each twice and costs more than all
 * else. So once its beginning was passed on, the rest goes socket → pipe → socket by splice(2), as HAProxy does it. Node has
 * no way to wait for a socket without reading, so the stream goes on reading, but only a little (`SMALL_BYTES`): that is
 * written as ever, and is the sign that there is more.
 *
 * Invariants: the one pipe of a worker is empty whenever `move` returns, so bytes of one exchange never meet another; what
 * the receiver does not take is read out again and waits like any other write. Bytes are only moved to a socket that has
 * nothing waiting, so order is kept. Never more is taken than belongs to the body. What cannot be moved (nothing there, the
 * end, an error, TLS, no libc.ts) is left to the stream, which tells the exchange as it always does.
 */
import { type Moving, libc as theLibc } from './libc.ts'
import type { Outgoing } from './outgoing.ts'

/** What a read takes of a body that is moved otherwise. */
export const SMALL_BYTES = 4_096
/** Bytes moved at a time. If the receiver is slow, at most so many are left with us. */
const PIPE_BYTES = 131_072
/** Moves behind one read. */
const MOVES_MAX = 8
/** Bytes from one socket (about 0.3 ms of work) after which others have their turn. Without this, libuv reads on 32 times. */
const TURN_BYTES = MOVES_MAX * PIPE_BYTES

export class Splicer {
  readonly #libc: Moving
  #from: number
  #to: number
  /** Where the last moves came from, and how much that was since others had their turn. */
  #source = -1
  #sourceBytes = 0

  private constructor(libc: Moving, [from, to]: readonly [number, number]) {
    this.#libc = libc
    this.#from = from
    this.#to = to
    // Stays at what Linux gives (64 KiB) when the user has too many pipes; then more calls are needed.
    libc.resizePipe(to, PIPE_BYTES)
  }

  /** A splicer with a pipe of its own; null where there is none to be had. */
  static open(libc: Moving | null = theLibc): Splicer | null {
    const pipe = libc?.pipe() ?? null
    return libc === null || pipe === null ? null : new Splicer(libc, pipe)
  }

  /**
   * Moves up to `max` bytes that are there from the socket `from` to `out`; returns how many were taken. All of them are
   * sent or wait in `out`, which may be full then.
   */
  move(from: number, out: Outgoing, max: number): number {
    let moved = 0
    out.flush()
    for (let turn = 0; turn < MOVES_MAX && moved < max; turn++) {
      const to = out.descriptor
      if (from < 0 || to < 0) break
      const taken = this.#libc.splice(from, this.#to, Math.min(max - moved, PIPE_BYTES))
      if (taken <= 0) break
      moved += taken
      let left = taken
      while (left > 0) {
        const given = this.#libc.splice(this.#from, to, left)
        if (given <= 0) break
        left -= given
      }
      out.countMoved(taken - left)
      if (left > 0) out.bytes(this.#takeBack(left))
    }
    this.#note(from, moved)
    return moved
  }

  /** Whether the last source has had its turn, so that it is to pause. To be asked behind `move`; the next turn begins with it. */
  hasHadTurn(): boolean {
    if (this.#sourceBytes < TURN_BYTES) return false
    this.#sourceBytes = 0
    return true
  }

  /** Whether nothing more has come at a socket, neither bytes nor its end. */
  isQuiet(socket: number): boolean {
    return this.#libc.isQuiet(socket)
  }

  /** Whether the peer of a socket has ended its side or is gone, also while it is not read from. */
  hasEnded(socket: number): boolean {
    return this.#libc.hasEnded(socket)
  }

  close(): void {
    this.#libc.close(this.#from)
    this.#libc.close(this.#to)
    this.#from = this.#to = -1
  }

  #note(source: number, bytes: number): void {
    this.#sourceBytes = source === this.#source ? this.#sourceBytes + bytes : bytes
    this.#source = source
  }

  /** Empties the pipe of what the receiver did not take. */
  #takeBack(bytes: number): Buffer {
    const memory = Buffer.allocUnsafeSlow(bytes)
    let at = 0
    while (at < bytes) {
      const read = this.#libc.read(this.#from, memory.subarray(at))
      if (read > 0) {
        at += read
        continue
      }
      // It cannot be. But what is left in there must not become part of somebody else's answer.
      this.close()
      throw new Error(`the pipe has lost ${bytes - at} of ${bytes} bytes`)
    }
    return memory
  }
}
