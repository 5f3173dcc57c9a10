/**
 * Users of a version, and how many of them have met a failure: each sends a request every 20 s, ten in all, and is followed by another.
 *
 * Nobody is kept by name: a failed answer meets any of those who are there, and whoever leaves takes what he has met along.
 */
import type { Chance } from './chance.ts'

const EVERY_S = 20
const STAYS_S = 200

export class Visitors {
  /** Users so far who have met a failure, gone ones included. */
  harmed = 0
  readonly #chance: Chance
  #met = 0

  constructor(chance: Chance) {
    this.#chance = chance
  }

  /** In so many seconds, `rate` requests a second came, and so many failed. The number of users who met their first failure. */
  fail(failures: number, rate: number, seconds: number): number {
    const there = Math.max(1, Math.round(rate * EVERY_S))
    this.#met -= this.#chance.binomial(this.#met, Math.min(1, seconds / STAYS_S))
    if (failures === 0 || this.#met >= there) return 0
    const expected = (there - this.#met) * (1 - (1 - 1 / there) ** failures)
    const found = Math.floor(expected) + (this.#chance.next() < expected % 1 ? 1 : 0)
    this.#met += found
    this.harmed += found
    return found
  }

  /** A new step begins: nobody is known to have failed. */
  forget(): void {
    this.#met = 0
  }
}
