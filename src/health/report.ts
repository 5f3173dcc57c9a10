/**
 * The way from health to control: observations of many targets, in one batch at a time.
 *
 * What arrives while a batch is on its way waits for the next one, merged per address, so the backlog is bounded by the
 * number of addresses. A batch that control refuses is dropped: whoever reported compares with the snapshot again at the next
 * probe or sweep, so nothing needs to be kept for later, and an old observation can never overwrite a newer one.
 */

import type { Observation } from '../change.ts'
import { type Clock, sleep } from '../clock.ts'
import { targetKey } from '../config/target-key.ts'

export interface Report {
  /** Queues an observation; it is sent at the end of this tick, or right after the batch that is on its way. */
  add(observation: Observation): void
  /** Resolves when everything that was added has been sent, or was refused. */
  settled(): Promise<void>
}

/** Batches observations towards `observe` (Control.observe); `refused` hears of a batch that was not taken. */
export function createReport(
  clock: Clock,
  observe: (observations: readonly Observation[]) => Promise<void>,
  refused: (error: unknown) => void,
): Report {
  let waiting = new Map<string, Observation>()
  let sending: Promise<void> | null = null

  async function send(): Promise<void> {
    await sleep(clock, 0)
    while (waiting.size > 0) {
      const batch = [...waiting.values()]
      waiting = new Map()
      try {
        await observe(batch)
      } catch (error) {
        refused(error)
      }
    }
    sending = null
  }

  return {
    add(observation) {
      const { service, pool, target, address } = observation
      const key = targetKey(service, pool, target, address)
      waiting.set(key, { ...waiting.get(key), ...observation })
      sending ??= send()
    },
    async settled() {
      await sending
    },
  }
}
