/**
 * What the targets of a new version answer while it has no weight: all of it has come by rules and pins, which is nothing to compare but something
 * to count. Each instance counts its own, and says it to the one that runs the rollout (ledger.ts).
 */
import type { Control } from '../change.ts'
import { own } from '../config/record.ts'
import { FIELD, type SharedMemory } from '../metrics/layout.ts'
import { slotsOf, sumSlots } from '../metrics/load.ts'

interface ByRulesDeps {
  readonly control: Pick<Control, 'snapshot'>
  readonly memory: SharedMemory
}

export class ByRules {
  readonly #deps: ByRulesDeps
  readonly #service: string
  readonly #pool: string
  /** What they had answered when that was last taken. */
  #before = 0

  /** Of the targets of this pool. */
  constructor(deps: ByRulesDeps, service: string, pool: string) {
    this.#deps = deps
    this.#service = service
    this.#pool = pool
  }

  /** A step begins: what came before it does not count. */
  begin(): void {
    this.#before = this.#answered
  }

  /** Answers since the last call, or since the step began. */
  take(): number {
    const now = this.#answered
    const came = Math.max(0, now - this.#before)
    this.#before = now
    return came
  }

  /** Of the targets. */
  get slots(): number[] {
    const status = own(this.#deps.control.snapshot().status, this.#service)
    return slotsOf(own(status?.pools ?? {}, this.#pool) ?? { targets: {} })
  }

  /** However they were chosen. */
  get #answered(): number {
    const { slots } = this
    const sum = (field: number) => sumSlots(this.#deps.memory, slots, field)
    return sum(FIELD.attemptsGood) + sum(FIELD.attemptsFailed)
  }
}
