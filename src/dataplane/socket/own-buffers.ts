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
