import { expect, test } from 'vitest'
import { Strata } from '../../src/rollout/strata.ts'
import { Unsettled } from '../../src/rollout/unsettled.ts'

test('what comes after a failure is told at once until the stratum with it is closed, wherever that has begun', () => {
  const share = 0.1
  for (let before = 0; before < 10; before++) {
    const [unsettled, strata] = [new Unsettled(), new Strata()]
    strata.add({ canary: 0, canaryBad: 0, control: before, controlBad: 0 })
    const take = (canaryBad: number, control: number) => {
      const came = { canary: canaryBad, canaryBad, control, controlBad: 0 }
      strata.add(came)
      strata.close(share)
      return unsettled.take(came, share)
    }
    expect(take(1, 0)).toBe(true)
    let told = 1
    while (take(0, 1)) told++
    expect(strata.isPending).toBe(false)
    expect(told).toBeLessThanOrEqual(10)
  }
})

test('nothing is told at once where nothing has failed, where nothing has come, and where there is nothing to compare with', () => {
  const unsettled = new Unsettled()
  const good = { canary: 1, canaryBad: 0, control: 1, controlBad: 0 }
  expect(unsettled.take(good, 0.1)).toBe(false)
  expect(unsettled.take({ ...good, canaryBad: 1 }, 1)).toBe(true)
  expect(unsettled.take(good, 1)).toBe(false)
  expect(unsettled.take({ ...good, canary: 0, control: 0 }, 0.1)).toBe(false)
  unsettled.drop()
  expect(unsettled.take(good, 0.1)).toBe(false)
})
