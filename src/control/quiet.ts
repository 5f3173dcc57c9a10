/**
 * Which holds of switches are quiet here: nothing of what they hold is at a target any more, so that a migration runs beside nobody.
 *
 * - A request that was decided before the hold is counted in the same turn of its worker (placement.ts). So a worker is asked only after it
 *   has begun a turn that is later than the hold: before that it may be between the two.
 * - Tunnels and streams of events are not waited for: nobody knows when they end, and a drain ends them.
 * - The process that this one has replaced in an upgrade may have some, too: until it has ended them nothing is quiet.
 * - Quiet is told once: what begins later has come by what the hold lets pass.
 *
 * Where several instances share a store each one says it of itself (instances.ts).
 */
import type { Control } from '../change.ts'
import type { Clock } from '../clock.ts'
import { servicesOfEvent } from '../config/event-types.ts'
import { own } from '../config/record.ts'
import { type SharedMemory, WORKER_FIELD, WORKER_FIELDS } from '../metrics/layout.ts'
import { underWay } from '../metrics/load.ts'
import type { Hold } from '../table/hold.ts'
import type { NewEvent } from './events.ts'
import { holdOfSwitch } from './holding.ts'

const LOOK_MS = 10

interface Watched {
  readonly service: string
  readonly hold: Hold
  /** When each worker was last seen to move, before the hold was. */
  readonly movedMs: readonly number[]
  isQuiet: boolean
}

export interface QuietDeps {
  readonly control: Pick<Control, 'snapshot' | 'subscribe'>
  readonly memory: SharedMemory
  readonly clock: Clock
  readonly publish: (event: NewEvent) => void
  /** The process that this one has replaced, while it still finishes what is under way; else null. */
  readonly busyPredecessor: () => number | null
}

/** Watches the holds of switches until it is closed. */
export class Quiet {
  readonly #deps: QuietDeps
  /** By service. */
  readonly #watched = new Map<string, Watched>()
  readonly #unsubscribe: () => void
  #endLooks: (() => void) | null = null

  constructor(deps: QuietDeps) {
    this.#deps = deps
    this.#unsubscribe = deps.control.subscribe(
      (event) => event.type === 'change' && this.#follow(servicesOfEvent(event)),
    )
    this.#follow(null)
  }

  /** Ids of the holds that are quiet, in all services that they hold. */
  ids(): readonly string[] {
    const watched = [...this.#watched.values()]
    const busy = new Set(watched.flatMap(({ hold, isQuiet }) => (isQuiet ? [] : [hold.id])))
    return [...new Set(watched.map(({ hold }) => hold.id))].filter((id) => !busy.has(id))
  }

  /** Looks at these services and those that are watched; null is all. */
  #follow(changed: readonly string[] | null): void {
    const { control, clock } = this.#deps
    const { status } = control.snapshot()
    const nowMs = clock.steadyMs()
    const present = new Map<string, Hold>()
    for (const service of [...(changed ?? Object.keys(status)), ...this.#watched.keys()]) {
      const hold = holdOfSwitch(own(status, service) ?? {}, nowMs)
      if (hold !== null) present.set(service, hold)
    }
    for (const { service, hold } of this.#watched.values()) {
      if (present.get(service)?.id !== hold.id) this.#watched.delete(service)
    }
    for (const [service, hold] of present) {
      if (this.#watched.has(service)) continue
      this.#watched.set(service, { service, hold, movedMs: this.#moved(), isQuiet: false })
      this.#endLooks ??= clock.every(LOOK_MS, () => this.#look())
    }
    if (this.#watched.size === 0) this.#rest()
  }

  #look(): void {
    const { control, publish, busyPredecessor } = this.#deps
    // What it still has under way nobody sees here.
    if (busyPredecessor() !== null) return
    const { status } = control.snapshot()
    const movedMs = this.#moved()
    for (const watched of this.#watched.values()) {
      const { service, hold } = watched
      if (watched.isQuiet || !Object.hasOwn(status, service)) continue
      if (movedMs.some((ms, worker) => ms === watched.movedMs[worker])) continue
      if (underWay(this.#deps.memory, status[service], hold) > 0) continue
      watched.isQuiet = true
      const what = hold.only === 'writes' ? 'no write to it' : 'nothing of it'
      publish({
        type: 'hold',
        service,
        message: `${service} is held, and ${what} is under way any more`,
        data: { hold: hold.id, quiet: true },
      })
    }
    if ([...this.#watched.values()].every(({ isQuiet }) => isQuiet)) this.#rest()
  }

  #moved(): number[] {
    const { lanes, workers } = this.#deps.memory
    return Array.from({ length: workers }, (_, worker) => lanes[worker * WORKER_FIELDS + WORKER_FIELD.aliveMs])
  }

  #rest(): void {
    this.#endLooks?.()
    this.#endLooks = null
  }

  close(): void {
    this.#rest()
    this.#unsubscribe()
  }
}
