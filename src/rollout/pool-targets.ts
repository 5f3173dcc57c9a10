/**
 * The targets of the pool that a rolling release replaces, as its gates see and set them.
 *
 * Every change is one by the rollout's name, and resolves once every worker routes by it.
 */
import type { Control } from '../change.ts'
import { own } from '../config/record.ts'
import type { ServiceSpec } from '../config/schema.ts'
import type { SharedMemory } from '../metrics/layout.ts'
import { atSlots, noteNew } from '../metrics/load.ts'
import type { TargetStatus } from '../table/status.ts'
import type { AdminState } from '../table/types.ts'
import { targetsTried } from './rolling.ts'
import type { Rollout } from './rollout.ts'

/** How long targets are taken out, unless that is renewed. */
const EJECTED_MS = 30_000

export class PoolTargets {
  readonly #control: Control
  readonly #memory: SharedMemory
  readonly #service: string
  readonly #pool: string
  readonly #actor: string

  constructor(control: Control, memory: SharedMemory, service: string, { id, to }: Pick<Rollout, 'id' | 'to'>) {
    this.#control = control
    this.#memory = memory
    this.#service = service
    this.#pool = to
    this.#actor = `rollout ${id}`
  }

  /** The settings of the service. */
  get spec(): ServiceSpec | undefined {
    return own(this.#control.snapshot().services, this.#service)
  }

  /** The rollout still has them tried. */
  get areTried(): boolean {
    return own(this.#control.snapshot().status, this.#service)?.trial !== undefined
  }

  /** By URL. */
  get all(): Readonly<Record<string, TargetStatus>> {
    return own(this.#control.snapshot().status, this.#service)?.pools[this.#pool]?.targets ?? {}
  }

  /** Requests and tunnels that are at a target now. */
  inFlight(url: string): number {
    return atSlots(this.#memory, own(this.all, url)?.slots ?? [])
  }

  /** What answers at it was replaced. */
  noteNew(url: string): void {
    noteNew(this.#memory, own(this.all, url)?.slots ?? [])
  }

  /** Takes those with the new version out for a while, as though they had failed; needs no store. */
  async eject(rollout: Rollout, nowMs: number): Promise<void> {
    const urls = targetsTried(rollout, Object.keys(this.all))
    const untilMs = nowMs + EJECTED_MS
    const addresses = urls.flatMap((url) =>
      (own(this.all, url)?.addresses ?? []).map((address) => ({ url, ...address })),
    )
    const due = addresses.filter(({ ejectedUntilMs }) => ejectedUntilMs < nowMs + EJECTED_MS / 2)
    if (due.length === 0) return
    await this.#control.observe(
      due.map(({ url, address }) => ({
        service: this.#service,
        pool: this.#pool,
        target: url,
        address,
        ejectedUntilMs: untilMs,
        detail: 'its rollout is rolled back, and the split cannot be changed now',
      })),
    )
  }

  /** Rejects with `conflict` where nobody would be left to answer, and with the reason of `unless`. */
  async set(url: string, state: AdminState, unless: AbortSignal): Promise<void> {
    const change = { kind: 'target.state', service: this.#service, pool: this.#pool, target: url, state } as const
    await this.#control.change(change, { actor: this.#actor, unless })
  }
}
