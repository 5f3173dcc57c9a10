/** Looks through all clients for those whose deadline has passed. */

export interface Swept {
  readonly deadlineMs: number
  /** Sees to the deadline, which then is another, or the client is gone. */
  onDeadline(): void
  destroy(): void
}

/** Deadlines that are seen to in one go: those of an attack may all pass at once, and the others wait meanwhile. */
export const DEADLINES_PER_TURN = 64

/** Sees to deadlines that have passed, and ends everybody after `drainUntilMs`. True when there may be more: to be called again soon. */
export function sweepClients(clients: Iterable<Swept>, nowMs: number, drainUntilMs: number): boolean {
  let passed = 0
  for (const client of clients) {
    if (nowMs >= drainUntilMs) client.destroy()
    else if (nowMs >= client.deadlineMs) {
      client.onDeadline()
      if (++passed === DEADLINES_PER_TURN) return true
    }
  }
  return false
}
