import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Elsewhere } from '../../src/rollout/elsewhere.ts'
import type { Kept } from '../../src/rollout/kept.ts'
import { movableClock } from '../admin/stand-in.ts'

test('what is read while rollouts are taken up is not shown as the run of another process for ever', async () => {
  const clock = movableClock()
  const kept = { service: 'shop' } as Kept
  let isShared = true
  const reading: PromiseWithResolvers<Kept | null>[] = []
  const elsewhere = new Elsewhere({
    control: { snapshot: () => ({ status: {} }) as never },
    clock,
    store: { isShared: async () => isShared },
    archive: {
      readOne() {
        const read = Promise.withResolvers<Kept | null>()
        reading.push(read)
        return read.promise
      },
    },
    takeUp: async () => {},
  })
  elsewhere.follow([kept])
  const asked = elsewhere.refresh('shop')
  isShared = false
  // The second look that finds nobody takes them up.
  for (let look = 0; look < 2; look++) {
    clock.move(2_000)
    await setImmediate()
  }
  expect(elsewhere.isThere).toBe(false)
  reading[0].resolve(kept)
  await asked
  expect([elsewhere.kept('shop'), elsewhere.services]).toEqual([null, []])
})
