/**
 * The connections to targets that belong to one client for good, because somebody has logged in on them (http1/bound-schemes.ts).
 *
 *   in use ──answered, may be used again──► kept for its client ──its next request there──► in use
 *      │                                        └──idle for too long, its room is needed, the client is gone──► closed
 *      └──closed by the target, or not fit for another request──► gone: the client logs in anew, on a fresh one
 *
 * Invariant: a tied connection is never in the pool of idle ones, so no other client is ever answered on it. It counts as a
 * connection of its target like any other, and gives way when the target has no room left.
 */
import type { TargetTable } from '../../table/types.ts'

/** A connection that can be tied. */
export interface Tied {
  /** Where it is kept, and to what it is. */
  readonly connections: { readonly target: TargetTable }
  ties: Ties | null
  destroy(): void
}

/** Targets that one client is tied to at a time. */
const TIES_MAX = 4

export class Ties {
  readonly #connections: Tied[] = []

  /** The targets that it is tied to, for the decision. */
  targets(): TargetTable[] {
    return this.#connections.map(({ connections }) => connections.target)
  }

  /** Ties a connection, if it was not before. */
  add(connection: Tied): void {
    if (this.#connections.includes(connection)) return
    // Another one to the same target is of a login that was given up.
    this.#connections.find(({ connections }) => connections === connection.connections)?.destroy()
    if (this.#connections.length >= TIES_MAX) this.#connections[0].destroy()
    this.#connections.push(connection)
    connection.ties = this
  }

  /** The connection that is tied, when it is to this target. */
  to(kept: object): Tied | null {
    return this.#connections.find((connection) => connection.connections === kept) ?? null
  }

  /** A connection is gone. */
  forget(connection: Tied): void {
    const at = this.#connections.indexOf(connection)
    if (at >= 0) this.#connections.splice(at, 1)
  }

  /** The client is gone, and so is whoever had logged in. */
  drop(): void {
    while (this.#connections.length > 0) this.#connections[0].destroy()
  }
}
