/**
 * Victims timed with and without an attack, in turn: calm, attack, calm, attack … in one run of one proxy.
 *
 * The bound: under attack their p99 is at most twice what it was in the calm right before, or below a floor. For a test the floor
 * is what the files that run beside it may cost just then; how little it really is, is measured in bench/. A machine that is busy
 * with other things disturbs some rounds, at random; an attack that holds up the others does so in every one. So a siege goes on until
 * a round was good, and is lost only when all of as many as may be were bad. A failed request is no question of time, and counts
 * in every round.
 */
import type { Attacker } from './attacker.ts'
import type { Tally } from './swarm.ts'
import type { Measured, MeasureOptions, Victims } from './victims.ts'

export interface Round {
  readonly calm: Measured
  readonly attack: Measured
}

export interface Siege {
  readonly rounds: readonly Round[]
  readonly tally: Tally
}

export interface SiegeOptions {
  readonly calm: MeasureOptions
  readonly attack: MeasureOptions
  readonly roundsMin: number
  readonly roundsMax: number
  /** Called at the end of each attack, while it still goes on, with the number of the round from 0. */
  readonly look?: (round: number) => void | Promise<void>
}

/** What the p99 may grow to under attack, as a multiple of the calm. */
export const RATIO_MAX = 2
/** Seen in ten rounds in a row beside seven other files: 18 to 58 ms in the calm, 169 to 1,063 under attack. */
export const FLOOR_MS = 300

/** Whether the victims did as well under attack as they must. */
export const isGood = ({ calm, attack }: Round): boolean => attack.p99Ms <= Math.max(FLOOR_MS, RATIO_MAX * calm.p99Ms)

/** For tests: short rounds, and no more of them than it takes. */
export const SHORT: SiegeOptions = {
  calm: { requests: 600 },
  attack: { requests: 600, atLeastMs: 600 },
  roundsMin: 2,
  roundsMax: 10,
}

/** Lays siege to the proxy on `port`. */
export async function besiege(
  port: number,
  victims: Victims,
  attacker: Attacker,
  options: SiegeOptions,
): Promise<Siege> {
  const rounds: Round[] = []
  let tally: Tally = {}
  // What is loaded and compiled at the first requests is no part of the calm.
  await victims.measure({ requests: 400 })
  while (rounds.length < options.roundsMin || (rounds.length < options.roundsMax && !rounds.some(isGood))) {
    const calm = await victims.measure(options.calm)
    await attacker.begin(port)
    const attack = await victims.measure(options.attack)
    await options.look?.(rounds.length)
    tally = await attacker.cease()
    rounds.push({ calm, attack })
  }
  return { rounds, tally }
}
