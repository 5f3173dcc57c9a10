/**
 * How many probes are under way at once, so that whoever hangs does not keep the others waiting.
 *
 * Two lanes, each in the order of asking. A probe begins in the quick one, unless the last of its address was slow to fail. One that is under way
 * for a while goes over to the slow lane, as far as there is room, and leaves its place to the next. So of a crowd that begins to hang at
 * once no more than the room of both lanes is waited for, and that once: from then on it waits for nobody but itself.
 */
import type { Clock } from '../clock.ts'

/** Probes under way at the same time in each lane: few enough sockets to be no burden. */
export const PROBES_MAX = 256
/** A probe is slow after so long. */
export const SLOW_MS = 500

export class Lanes {
  readonly #clock: Pick<Clock, 'after'>
  readonly #quick = createSlots(PROBES_MAX)
  readonly #slow = createSlots(PROBES_MAX)

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock
  }

  /** Resolves when a probe may begin; what it resolves with gives its place to the next, and must be called once. */
  async take(wasSlow: boolean): Promise<() => void> {
    let lane = wasSlow ? this.#slow : this.#quick
    await lane.take()
    const goOver = () => {
      if (!this.#slow.takeFree()) return
      lane.give()
      lane = this.#slow
    }
    const cancel = wasSlow ? () => {} : this.#clock.after(SLOW_MS, goOver)
    return () => {
      cancel()
      lane.give()
    }
  }
}

/** A fixed number of slots. */
function createSlots(count: number): { take(): Promise<void>; takeFree(): boolean; give(): void } {
  let free = count
  const queue: (() => void)[] = []
  const takeFree = () => free > 0 && free-- > 0
  return {
    async take() {
      if (!takeFree()) await new Promise<void>((resolve) => queue.push(resolve))
    },
    takeFree,
    give() {
      const next = queue.shift()
      if (next === undefined) free++
      else next()
    },
  }
}
