import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { TurnoutError } from '../../src/errors.ts'
import { Elsewhere } from '../../src/rollout/elsewhere.ts'
import type { Kept } from '../../src/rollout/kept.ts'
import { movableClock } from '../admin/stand-in.ts'
import { begun } from './stand.ts'

test('what is read while rollouts are taken up is not shown as the run of another process for ever', async () => {
  const clock = movableClock()
  const kept = { service: 'shop' } as Kept
  let isShared = true
  const reading: PromiseWithResolvers<Kept | null>[] = []
  const elsewhere = new Elsewhere({
    control: { snapshot: () => ({ status: {} }) as never, subscribe: () => () => {} },
    clock,
    store: { isShared: async () => isShared },
    archive: {
      ended: () => [],
      readOne() {
        const read = Promise.withResolvers<Kept | null>()
        reading.push(read)
        return read.promise
      },
    },
    takeUp: async () => {},
    log: { error: () => {} },
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

test('while the store is away nobody knows here what a rollout of another process waits for, and that is told', async () => {
  const stood = await begun()
  const kept = JSON.parse((await stood.store.get('rollout:shop'))!)[0] as Kept
  const clock = movableClock()
  let isAway = false
  const elsewhere = new Elsewhere({
    control: stood.control,
    clock,
    store: {
      async isShared() {
        if (isAway) throw new TurnoutError('store_unavailable', 'The store redis://a does not answer.')
        return true
      },
    },
    archive: { ended: () => [], readOne: async () => kept },
    takeUp: async () => {},
    log: { error: () => {} },
  })
  elsewhere.follow([kept])
  const look = async (away: boolean) => {
    isAway = away
    clock.move(2_000)
    await setImmediate()
    return elsewhere.told('shop')?.next?.waitsFor
  }
  expect(await look(false)).toBe('its time')
  expect(await look(true)).toBe('store, to be heard of again: The store redis://a does not answer.')
  expect(await look(false)).toBe('its time')
  elsewhere.close()
})

test('what keeps rollouts from being taken up is told once, and tried again', async () => {
  const clock = movableClock()
  const told: string[] = []
  let tries = 0
  const elsewhere = new Elsewhere({
    control: { snapshot: () => ({ status: {} }) as never, subscribe: () => () => {} },
    clock,
    store: { isShared: async () => false },
    archive: { ended: () => [], readOne: async () => null },
    async takeUp() {
      if (++tries < 4) throw new TypeError('a bug')
    },
    log: { error: (_about: object, text: string) => void told.push(text) } as never,
  })
  elsewhere.follow([])
  for (let look = 0; look < 6; look++) {
    clock.move(2_000)
    await setImmediate()
  }
  expect([tries, elsewhere.isThere]).toEqual([4, false])
  expect(told).toEqual([expect.stringContaining('cannot be looked at, or taken up')])
})
