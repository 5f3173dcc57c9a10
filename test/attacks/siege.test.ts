/** The judgement of a siege: noise in some rounds is forgiven, what holds others up in every round is not. */
import { expect, test } from 'vitest'
import type { Attacker } from './attacker.ts'
import { besiege, isGood, SHORT } from './siege.ts'
import type { Measured, Victims } from './victims.ts'

const measured = (p99Ms: number): Measured => ({ requests: 600, p50Ms: 1, p99Ms, maxMs: p99Ms, failed: 0 })
const round = (calmMs: number, attackMs: number) => ({ calm: measured(calmMs), attack: measured(attackMs) })

test('a round is good up to twice the calm, or below the floor', () => {
  expect([round(220, 440), round(1, 299), round(300, 350)].map(isGood)).toEqual([true, true, true])
  expect([round(220, 441), round(1, 301), round(3, 500)].map(isGood)).toEqual([false, false, false])
})

/** Lays siege to nothing: the victims tell these figures one after the other, the first for the warm-up. */
async function siegeOf(p99s: readonly number[]): Promise<readonly boolean[]> {
  const figures = [...p99s]
  const victims = { measure: async () => measured(figures.shift()!) } as unknown as Victims
  const attacker = { begin: async () => {}, cease: async () => ({}) } as unknown as Attacker
  const { rounds } = await besiege(0, victims, attacker, SHORT)
  return rounds.map(isGood)
}

test('it ends with a good round, but looks at least twice', async () => {
  expect(await siegeOf([9, 1, 2, 1, 2])).toEqual([true, true])
  expect(await siegeOf([9, 1, 500, 1, 2])).toEqual([false, true])
  expect(await siegeOf([9, 1, 500, 1, 500, 1, 2])).toEqual([false, false, true])
})

test('it is lost when every round was bad', async () => {
  expect(await siegeOf([9, ...Array.from({ length: 10 }, () => [3, 500]).flat()])).toEqual(new Array(10).fill(false))
})
