/**
 * What the gates of a rollout have come to: checks, hooks, warm-up and smoke tests alike, each with its times and a reason. Pure; the last
 * `GATES_MAX` are kept.
 *
 * One that waits when its process ends begins anew in the next, so it is told once.
 */

/** A gate, or what is asked of it: `at` names the target or the hook, where there are several. */
export interface ToldGate {
  readonly gate: string
  readonly at: string | null
  readonly state: 'waiting' | 'passed' | 'failed' | 'skipped'
  readonly reason: string | null
  /** Wall times in ms. */
  readonly startedAtMs: number
  readonly endedAtMs: number | null
}

/** One that is under way. */
export interface OpenGate {
  /** Tells what it waits for. */
  say(reason: string): void
  end(state: 'passed' | 'failed' | 'skipped', reason: string | null): void
}

export const GATES_MAX = 200

export class GateLog {
  #entries: readonly ToldGate[]
  readonly #nowMs: () => number

  constructor(entries: readonly ToldGate[], nowMs: () => number) {
    this.#entries = entries.filter(({ state }) => state !== 'waiting')
    this.#nowMs = nowMs
  }

  /** The last ones, the oldest first. */
  get entries(): readonly ToldGate[] {
    return this.#entries
  }

  begin(gate: string, at: string | null = null): OpenGate {
    let entry: ToldGate = { gate, at, state: 'waiting', reason: null, startedAtMs: this.#nowMs(), endedAtMs: null }
    this.#entries = [...this.#entries, entry].slice(-GATES_MAX)
    const replace = (next: ToldGate) => {
      this.#entries = this.#entries.map((other) => (other === entry ? next : other))
      entry = next
    }
    return {
      say: (reason) => replace({ ...entry, reason }),
      end: (state, reason) => replace({ ...entry, state, reason, endedAtMs: this.#nowMs() }),
    }
  }

  /** Does what a gate asks for: passes with the sentence that comes of it, fails with that of what is thrown, waits while `signal` ends it. */
  async watch(gate: string, at: string | null, signal: AbortSignal, run: () => Promise<string | null>): Promise<void> {
    const open = this.begin(gate, at)
    try {
      open.end('passed', await run())
    } catch (error) {
      if (!signal.aborted) open.end('failed', (error as Error).message)
      throw error
    }
  }

  /** Ends what still waits, when its rollout is over. */
  close(): void {
    const endedAtMs = this.#nowMs()
    this.#entries = this.#entries.map((entry) =>
      entry.state === 'waiting' ? { ...entry, state: 'skipped', reason: 'the rollout ended first', endedAtMs } : entry,
    )
  }
}
