/**
 * Where a connection reads to: the buffer that its worker shares among all, or while a long body passes, one of its own, or
 * a small shared one where the kernel moves most of it (splicer.ts).
 *
 * Bytes in the shared buffer are overwritten by the next read of anybody, so a body has to be copied before it is sent. With
 * long ones that copy is a good part of all the work. Memory of its own can be sent as it is, and be read into again once the kernel
 * has taken it; if the other side is too slow for that, it is left to the pending write and other memory is taken.
 * Such buffers are few (`Buffers.own`); who gets none goes on with the shared one.
 */

import type { Buffers } from './buffers.ts'
import type { Outgoing } from './outgoing.ts'

export class ReadMemory {
  /** What is wanted from the next read on. */
  #wanted: 'shared' | 'own' | 'small' = 'shared'
  #own: Buffer | null = null
  #current: Buffer | null
  readonly #buffers: Buffers
  readonly #shared: Buffer | null

  /** `shares` is whether the connection reads into the shared buffer at all. */
  constructor(buffers: Buffers, shares: boolean) {
    this.#buffers = buffers
    this.#shared = shares ? buffers.shared : null
    this.#current = this.#shared
  }

  /** A long body is coming, of which no byte has to be looked at, and goes to `out`. */
  expectLong(out: Outgoing): void {
    if (this.#shared !== null) this.#wanted = this.#buffers.splicer !== null && out.descriptor >= 0 ? 'small' : 'own'
  }

  /** Anything may come. */
  expectAny(): void {
    this.#wanted = 'shared'
  }

  /** To be asked behind every read: the buffer for the next one, or undefined when it stays the same. */
  next(): Buffer | undefined {
    if (this.#wanted === 'shared' && this.#current === this.#shared) return undefined
    return this.#change()
  }

  /** Gives own memory back; for a connection that is gone. */
  release(): void {
    this.#wanted = 'shared'
    if (this.#own !== null) this.#buffers.own.giveBack(this.#own)
    this.#own = null
  }

  #change(): Buffer | undefined {
    const { own: ownBuffers, small: smallBuffer } = this.#buffers
    const own = this.#own
    if (this.#wanted !== 'own' || own === null || ownBuffers.isKept(own)) {
      if (own !== null) ownBuffers.giveBack(own)
      this.#own = this.#wanted === 'own' ? ownBuffers.take() : null
    }
    const next = this.#own ?? (this.#wanted === 'small' ? smallBuffer : this.#shared!)
    if (next === this.#current) return undefined
    this.#current = next
    return next
  }
}
