/**
 * What a target's health is, from the results of its probes. Pure: the prober asks, this file decides.
 *
 *            pass                      fail × unhealthyAfter
 *   unknown ──────► healthy   unknown ───────────────────────► unhealthy
 *
 *            fail × unhealthyAfter
 *   healthy ──────────────────────► unhealthy
 *           ◄──────────────────────
 *            pass × healthyAfter
 *
 * Invariants: only results in a row count, one of the other kind starts the count again; a state never returns to
 * `unknown`; `streak` is below the threshold that it counts towards, and 0 right after a transition. The first pass is
 * enough out of `unknown`, because a fresh target has nothing to be doubted for and a restart should serve at once; failures
 * need their full count from there as well, since a target that is still starting is not yet a target that is down.
 * Admin state and ejection are other axes: nothing here knows of them.
 */
import type { Health } from '../table/types.ts'

export type ProbeResult = 'pass' | 'fail'

/** Health of one target and the number of results in a row that speak against it. */
export interface ProbeState {
  readonly health: Health
  readonly streak: number
}

/** Results in a row until a target changes, each at least 1. */
export interface Thresholds {
  readonly healthyAfter: number
  readonly unhealthyAfter: number
}

/** Interval and deadline of the probes of a target, in milliseconds. */
export interface Cadence {
  readonly intervalMs: number
  readonly timeoutMs: number
}

type Step = { readonly to: Health; readonly after: 'stay' | 'once' | keyof Thresholds }

/** Health × result → where it leads, and after how many such results in a row. `stay` ends a streak. */
const TRANSITIONS: Readonly<Record<Health, Readonly<Record<ProbeResult, Step>>>> = {
  unknown: { pass: { to: 'healthy', after: 'once' }, fail: { to: 'unhealthy', after: 'unhealthyAfter' } },
  healthy: { pass: { to: 'healthy', after: 'stay' }, fail: { to: 'unhealthy', after: 'unhealthyAfter' } },
  unhealthy: { pass: { to: 'healthy', after: 'healthyAfter' }, fail: { to: 'unhealthy', after: 'stay' } },
}

/** The state of a target that was last seen with this health; nothing speaks against it yet. */
export function probeStateOf(health: Health): ProbeState {
  return { health, streak: 0 }
}

/** The state after one more probe result. */
export function onProbe(state: ProbeState, result: ProbeResult, thresholds: Thresholds): ProbeState {
  assertProbeState(state)
  const step = TRANSITIONS[state.health][result]
  if (step.after === 'stay') return state.streak === 0 ? state : probeStateOf(state.health)
  const needed = step.after === 'once' ? 1 : thresholds[step.after]
  const streak = state.streak + 1
  return streak >= needed ? probeStateOf(step.to) : { health: state.health, streak }
}

/**
 * Milliseconds from the start of a probe to the start of the next one; `draw` in [0, 1) jitters it.
 *
 * Jitter only ever shortens, by up to a fifth (a tenth to either side of 0.9 intervals), so that n failures never take more
 * than n intervals. The last of them may take a whole time-out more to fail, so the gaps between failures are cut by what it
 * costs: a target that hangs is found as soon as one that refuses. A quarter of the interval is the least.
 */
export function gapMs(state: ProbeState, plan: Cadence & Thresholds, draw: number): number {
  const doubted = state.streak > 0 && state.health !== 'unhealthy'
  const cut = doubted ? plan.timeoutMs / (plan.unhealthyAfter - 1) : 0
  return Math.max(plan.intervalMs - cut, plan.intervalMs / 4) * (0.8 + 0.2 * draw)
}

/** Throws when a state breaks the invariants above: a bug, never an expected failure. */
export function assertProbeState(state: ProbeState): void {
  const known = Object.hasOwn(TRANSITIONS, state.health)
  if (!known || !Number.isInteger(state.streak) || state.streak < 0) {
    throw new Error(`health: impossible probe state ${state.health}/${state.streak}`)
  }
}
