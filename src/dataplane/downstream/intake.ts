/**
 * What comes from a client, and what of it cannot be taken yet: kept here while the client is not read from, so it is at most
 * one read long. Reading stops while anything is kept, or while the exchange holds it, and goes on by itself.
 */
import type { Socket } from 'node:net'
import { keptBytes } from '../socket/socket.ts'

export class Intake {
  readonly #socket: Socket
  #kept: Buffer | null = null
  /** What is read now. It is ours, so what is left of it is kept again without a copy, for thousands of requests perhaps. */
  #taken: Buffer | null = null
  #held = false
  #stopped = false

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** The exchange takes nothing at the moment. */
  get isHeld(): boolean {
    return this.#held
  }

  /** The client is not read from. */
  get isStopped(): boolean {
    return this.#stopped
  }

  get isEmpty(): boolean {
    return this.#kept === null
  }

  /** Keeps `buffer[at, end)` behind what is kept. */
  keep(buffer: Buffer, at: number, end: number): void {
    const isOurs = buffer === this.#taken && this.#kept === null
    this.#kept = isOurs ? buffer.subarray(at, end) : keptBytes(this.#kept, buffer, at, end)
    this.#apply()
  }

  /** What is kept, which then is no longer; null when nothing is. Reading goes on by `readOn`. */
  take(): Buffer | null {
    this.#taken = this.#kept
    this.#kept = null
    return this.#taken
  }

  hold(): void {
    this.#held = true
    this.#apply()
  }

  /** Ends the hold; what is kept is to be taken before `readOn`. */
  letGo(): void {
    this.#held = false
  }

  /** Reads on, unless something is kept or held again. */
  readOn(): void {
    if (this.#kept === null) this.#taken = null
    this.#apply()
  }

  /** Lets go of all, so that whatever comes can be swallowed. */
  drop(): void {
    this.#kept = null
    this.#taken = null
    this.#held = false
    this.#apply()
  }

  #apply(): void {
    const stops = this.#held || this.#kept !== null
    if (stops === this.#stopped) return
    this.#stopped = stops
    if (stops) this.#socket.pause()
    else this.#socket.resume()
  }
}
