/**
 * Where a connection reads to: the buffer that its worker shares among all, or while a long body passes, one of its own, or
 * a small shared one where the kernel moves most of it (splicer.ts).
 *
 * Bytes in the shared buffer are overwritten by the next read of anybody, so a body has to be copied before it is sent. With
 * long ones that copy is a good part of all the work. Memory of its own can be sent as it is, and be read into again once the kernel
 * has taken it; if the other side is too slow for that, it is left to the pending write and other memory is taken.
 * Such buffers are few (`plane.ownBuffers`); who gets none goes on with the shared one.
 */

import type { Plane } from '../plane.ts'
import type { Outgoing } from './outgoing.ts'

export class ReadMemory {
  /** What is wanted from the next read on. */
  #wanted: 'shared' | 'own' | 'sign' = 'shared'
  #own: Buffer | null = null
  #current: Buffer | null
  readonly #plane: Plane
  readonly #shared: Buffer | null

  /** `shares` is whether the connection reads into the shared buffer at all. */
  constructor(plane: Plane, shares: boolean) {
    this.#plane = plane
    this.#shared = shares ? plane.readBuffer : null
    this.#current = this.#shared
  }

  /** A long body is coming, of which no byte has to be looked at, and goes to `out`. */
  expectLong(out: Outgoing): void {
    if (this.#shared !== null) this.#wanted = this.#plane.splicer !== null && out.descriptor >= 0 ? 'sign' : 'own'
  }

  /** Anything may come. */
  expectAny(): void {
    this.#wanted = 'shared'
  }

  /** ExchangeRequest behind every read: the buffer for the next one, or undefined when it stays the same. */
  next(): Buffer | undefined {
    if (this.#wanted === 'shared' && this.#current === this.#shared) return undefined
    return this.#change()
  }

  /** Gives own memory back; for a connection that is gone. */
  release(): void {
    this.#wanted = 'shared'
    if (this.#own !== null) this.#plane.ownBuffers.giveBack(this.#own)
    this.#own = null
  }

  #change(): Buffer | undefined {
    const { ownBuffers, signBuffer } = this.#plane
    const own = this.#own
    if (this.#wanted !== 'own' || own === null || ownBuffers.isKept(own)) {
      if (own !== null) ownBuffers.giveBack(own)
      this.#own = this.#wanted === 'own' ? ownBuffers.take() : null
    }
    const next = this.#own ?? (this.#wanted === 'sign' ? signBuffer : this.#shared!)
    if (next === this.#current) return undefined
    this.#current = next
    return next
  }
}

/** Buffers that connections may have to themselves. */
export class OwnBuffers {
  /** Those that a waiting write still reads from. They are never given out again, so nothing needs to take them off. */
  readonly #kept = new WeakSet<Buffer>()
  #inUse = 0
  readonly #spare: Buffer[] = []
  readonly #bytes: number
  readonly #max: number

  /** At most `max` of `bytes` each are in use at a time. */
  constructor(bytes: number, max: number) {
    this.#bytes = bytes
    this.#max = max
  }

  /** A buffer, or null when too many are in use. */
  take(): Buffer | null {
    if (this.#inUse === this.#max) return null
    this.#inUse++
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.#bytes)
  }

  /** Notes that a write has kept a buffer, whosever it is. */
  keep(buffer: Buffer): void {
    this.#kept.add(buffer)
  }

  /** Whether a write has kept it. */
  isKept(buffer: Buffer): boolean {
    return this.#kept.has(buffer)
  }

  /** Takes a buffer back. One that a write has kept is left to the garbage collector. */
  giveBack(buffer: Buffer): void {
    this.#inUse--
    if (!this.#kept.has(buffer)) this.#spare.push(buffer)
  }
}
