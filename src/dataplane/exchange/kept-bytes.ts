/**
 * How many bytes of request bodies a worker keeps, so that what a new version fails can be sent again: so many requests at once that
 * their bodies would fill the memory are rescued no more, and all is well but for that.
 */
export class KeptBytes {
  readonly #bytesMax: number
  readonly #refused: () => void
  #bytes = 0

  /** Calls `refused` for each body that is not kept because of the limit. */
  constructor(bytesMax: number, refused: () => void) {
    this.#bytesMax = bytesMax
    this.#refused = refused
  }

  /** Whether there is room for so many more; they are to be given back. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#bytesMax) {
      this.#refused()
      return false
    }
    this.#bytes += bytes
    return true
  }

  give(bytes: number): void {
    this.#bytes -= bytes
  }
}
