/** Bytes of a client that came before their turn, behind the present request: kept until that is answered. */
import { keptBytes } from '../socket/socket.ts'

export class EarlyBytes {
  #kept: Buffer | null = null
  /** What is read now. It is ours, so what is left of it is kept again without a copy, for thousands of requests perhaps. */
  #taken: Buffer | null = null

  /** Lets go of all, also of what was taken. */
  drop(): void {
    this.#kept = null
    this.#taken = null
  }

  get isEmpty(): boolean {
    return this.#kept === null
  }

  /** Keeps `buffer[at, end)` behind what is kept. */
  keep(buffer: Buffer, at: number, end: number): void {
    const isOurs = buffer === this.#taken && this.#kept === null
    this.#kept = isOurs ? buffer.subarray(at, end) : keptBytes(this.#kept, buffer, at, end)
  }

  /** What is kept, which then is no longer; null when nothing is. */
  take(): Buffer | null {
    this.#taken = this.#kept
    this.#kept = null
    return this.#taken
  }
}
