/**
 * An upgraded connection: bytes both ways, unread, until both sides have ended.
 *
 * It exists only after the target answered 101 to an upgrade that we forwarded. A side that ends is ended on the other side
 * (half-close passes through); an error on one side closes both. Each direction holds at most one read and stops reading
 * while the other side does not take it.
 */
import type { Client } from './client.ts'
import type { UpstreamConnection } from './upstream-connection.ts'

/** A tunnel that carries nothing in either direction for this long is closed. */
export const TUNNEL_IDLE_MS = 3_600_000

export class Tunnel {
  readonly #client: Client
  readonly #upstream: UpstreamConnection
  inBytes = 0
  outBytes = 0
  #targetEnded = false

  constructor(client: Client, upstream: UpstreamConnection) {
    this.#client = client
    this.#upstream = upstream
  }

  /** From the client to the target. */
  toTarget(buffer: Buffer, length: number): void {
    this.inBytes += length
    this.#touch()
    const socket = this.#upstream.socket
    socket.write(Buffer.from(buffer.subarray(0, length)))
    if (socket.writableNeedDrain) this.#client.pause()
  }

  /** From the target to the client. */
  toClient(buffer: Buffer, at: number, length: number): void {
    this.outBytes += length - at
    this.#touch()
    this.#client.socket.write(Buffer.from(buffer.subarray(at, length)))
    if (this.#client.socket.writableNeedDrain) this.#upstream.socket.pause()
  }

  onClientDrain(): void {
    this.#upstream.socket.resume()
  }

  onTargetDrain(): void {
    this.#client.resume()
  }

  /** True when both sides have ended and the tunnel is over. */
  onClientEnd(): boolean {
    this.#upstream.socket.end()
    return this.#targetEnded
  }

  /** True when both sides have ended and the tunnel is over. */
  onTargetEnd(): boolean {
    this.#targetEnded = true
    this.#client.socket.end()
    return this.#client.ended
  }

  #touch(): void {
    this.#client.deadlineMs = this.#client.plane.nowMs + TUNNEL_IDLE_MS
  }
}
