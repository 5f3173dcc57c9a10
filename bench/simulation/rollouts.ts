/** Whole rollouts under synthetic traffic: the same state machine and verdict as the product runs, on a clock of their own. */

import { type Plan, planOf, type StrategySpec } from '../../src/config/strategy.ts'
import { SLICE_MS } from '../../src/rollout/clump.ts'
import type { Rollout } from '../../src/rollout/rollout.ts'
import { isOver } from '../../src/rollout/rollout.ts'
import { begin, step } from '../../src/rollout/state.ts'
import { Verdict } from '../../src/rollout/verdict.ts'
import { Chance } from './chance.ts'
import { looksOf, VERDICT } from './settings.ts'
import { Source } from './source.ts'
import type { Stream } from './streams.ts'

export interface Scene {
  readonly strategy: StrategySpec
  readonly stream: Stream
  /** Seconds after which a run is given up. */
  readonly secondsMax: number
  readonly bakeMs: number
}

export interface Ended {
  readonly end: 'done' | 'rolledBack' | 'undecided'
  readonly seconds: number
  /** Failed answers of the canary, and users who met one. */
  readonly failed: number
  readonly users: number
  readonly reason: string | null
}

/** Requests to a look: so many that thousands of rollouts pass in a minute, and that each look has a stratum where there is traffic for one. */
const LOOK = 25

export function simulate(scene: Scene, chance: Chance): Ended {
  const plan = planOf(scene.strategy) as Plan
  const policy = {
    bakeMs: scene.bakeMs,
    onFailure: 'rollback',
    onInsufficient: 'wait',
    insufficientAfterMs: Infinity,
  } as const
  let { rollout } = begin({ id: 'r', to: 'green', plan, policy, before: { blue: 100 }, by: 'simulation' }, 0)
  const source = new Source(scene.stream, chance)
  const verdict = new Verdict(VERDICT, source.before())
  const looks = looksOf(scene.stream.rate, LOOK)
  let answers = 0
  let failed = 0
  for (let look = 0; look < scene.secondsMax * looks; look++) {
    const second = look / looks
    const nowMs = second * 1_000
    rollout = withoutWaiting(rollout, nowMs, (weight) => {
      verdict.beginStep(weight / 100)
      source.beginStep()
      answers = 0
    })
    if (isOver(rollout)) {
      return {
        end: rollout.state as 'done',
        seconds: second,
        failed,
        users: source.usersHarmed,
        reason: rollout.reason,
      }
    }
    const weight = rollout.weight / 100
    const came = source.take(second, 1 / looks, weight)
    answers += came.canary
    failed += came.canaryBad
    const isSlice = (look + 1) % (looks * (SLICE_MS / 1_000)) === 0
    const slices = isSlice ? source.slice(second, weight) : []
    for (const [at, slice] of slices.entries()) verdict.metrics[at].clump.take(slice)
    const { outcome, cause } = verdict.look({ nowMs, came: came.judged, harm: failed, allOut: false })
    rollout = step(rollout, { type: 'look', outcome, reason: cause, answers }, nowMs).rollout
  }
  return { end: 'undecided', seconds: scene.secondsMax, failed, users: source.usersHarmed, reason: null }
}

/** All work passes at once, and a shift is there at once. */
function withoutWaiting(rollout: Rollout, nowMs: number, shifted: (weight: number) => void): Rollout {
  let next = rollout
  while (!isOver(next) && (next.phase === 'working' || next.phase === 'moving')) {
    const event =
      next.phase === 'working'
        ? ({ type: 'passed', works: next.works } as const)
        : ({ type: 'moved', weight: next.weight } as const)
    const wasMoving = next.phase === 'moving'
    next = step(next, event, nowMs).rollout
    if (wasMoving) shifted(next.weight)
  }
  return next
}

/** How each of the runs ended. */
export function simulateMany(scene: Scene, runs: number, seed: number): Ended[] {
  const chance = new Chance(seed)
  return Array.from({ length: runs }, () => simulate(scene, chance))
}
