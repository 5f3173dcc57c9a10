/**
 * Tells when a worker no longer serves: it loops without end, or does not move at all.
 *
 * A worker writes the time to shared memory at every read, every connection that comes or goes and every sweep (ten times a
 * second when nothing happens). A false alarm cuts every connection of the worker, so silence alone proves nothing for long:
 * - A thread that gets no processor is silent too, and so is one in a long garbage collection. A loop burns CPU *in
 *   JavaScript*. `worker.cpuUsage()` is answered between two steps of JavaScript, even inside a loop, and at no other
 *   time; so two answers with much CPU between them and no sign of life are the proof. It is asked for only when a worker has
 *   become suspect. Before Node 24.6 there is no such question, and only the long limit counts.
 * - The control plane may have been held up itself, or the whole machine: silence counts in checks that were made, never by
 *   the clock alone, so nobody is judged for the time in which no one looked.
 * - Some work takes long without a sign: the worker asks for that much patience beforehand (a table to build, TLS handshakes).
 */
import type { Worker } from 'node:worker_threads'
import { type SharedMemory, WORKER_FIELD, WORKER_FIELDS } from '../metrics/layout.ts'

/** What a worker can be found guilty of, as the rest of a sentence about it. */
export const VERDICTS = Object.freeze({ loop: 'is in an endless loop', silent: 'does not move' } as const)

export type Verdict = keyof typeof VERDICTS

/** Time between two checks, in ms. */
export const CHECK_MS = 50
/** A worker that is silent for this time is asked for its CPU time. */
const SUSPECT_MS = 150
/** A worker that is silent for this time, with proof, loops. */
const LOOP_MS = 400
/** CPU time between two answers that is proof of a loop: far more than any step of a healthy worker takes. */
const PROOF_CPU_MS = 150
/** A worker that is silent for this time is stuck, whatever it does. */
const SILENT_MS = 3_000
/** However much patience a worker has asked for, it gets no more. */
const PATIENCE_MS_MAX = 10_000

/** What can be seen of a worker from outside. */
export interface Pulse {
  /** Changes with every sign of life. */
  life(): number
  /** How long it may be silent beyond the limits, for what it does just now. */
  patienceMs(): number
  /** CPU time that it has burnt, told by the worker itself between two steps; null where that cannot be asked. */
  cpuMs(): Promise<number> | null
}

/** The pulse of a worker thread. */
export function pulseOf(worker: Worker, { lanes }: SharedMemory, index: number): Pulse {
  const at = index * WORKER_FIELDS
  // Before Node 24.6 there is none.
  const canAsk = typeof worker.cpuUsage === 'function'
  return {
    life: () => lanes[at + WORKER_FIELD.aliveMs] + lanes[at + WORKER_FIELD.clientConnections],
    patienceMs: () => lanes[at + WORKER_FIELD.patienceMs],
    cpuMs: () => (canAsk ? worker.cpuUsage().then(({ user, system }) => (user + system) / 1_000) : null),
  }
}

export class Watchdog {
  readonly #pulse: Pulse
  #life = Number.NaN
  #checkedMs = 0
  #silentMs = 0
  #asking = false
  /** The first answer of this silence. */
  #firstCpuMs: number | null = null
  #loops = false

  constructor(pulse: Pulse) {
    this.#pulse = pulse
  }

  /** Looks once, by a monotonic clock; to be called every `CHECK_MS` while the worker serves. */
  check(nowMs: number): Verdict | null {
    // Nobody is judged for the time in which no one looked.
    const elapsedMs = Math.min(nowMs - this.#checkedMs, 2 * CHECK_MS)
    this.#checkedMs = nowMs
    const life = this.#pulse.life()
    if (life !== this.#life) {
      this.#life = life
      this.#silentMs = 0
      this.#firstCpuMs = null
      this.#loops = false
      return null
    }
    this.#silentMs += elapsedMs
    const patienceMs = Math.max(0, Math.min(this.#pulse.patienceMs(), PATIENCE_MS_MAX))
    const silentMs = this.#silentMs - patienceMs
    if (silentMs >= SILENT_MS) return 'silent'
    if (silentMs >= LOOP_MS && this.#loops) return 'loop'
    if (silentMs >= SUSPECT_MS && !this.#loops && !this.#asking) this.#ask()
    return null
  }

  #ask(): void {
    const answer = this.#pulse.cpuMs()
    if (answer === null) return
    const life = this.#life
    this.#asking = true
    answer.then(
      (cpuMs) => {
        this.#asking = false
        if (life !== this.#life || life !== this.#pulse.life()) return
        this.#firstCpuMs ??= cpuMs
        this.#loops = cpuMs - this.#firstCpuMs >= PROOF_CPU_MS
      },
      // It has ended meanwhile, which is told elsewhere.
      () => {
        this.#asking = false
      },
    )
  }
}
