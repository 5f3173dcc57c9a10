/**
 * An upgrade as the process sees it that is to be replaced. Pure.
 *
 *   starting ─built─► built ─probed─► probed ─asks─► yielding ─yielded─► handed ─ready─► draining ─drained─► ended
 *       └───────────────┴───────────────┴── broken ─────┴──────────────────┴──► failed
 *
 * - Until `draining` the present process serves all traffic, and nothing but that is what `failed` goes back to: a new one that
 *   breaks, is too late or says what it should not is killed first, and only then what was given away is taken back, so that never two write.
 * - From `yielding` on the present process begins nothing; what is under way, such as a shift of a rollout, it stores before it has yielded, and then no
 *   more. The new one may write from `handed` on.
 * - Once the new one is ready it is the one that serves: there is no way back, whatever becomes of it.
 */

export type Phase = 'starting' | 'built' | 'probed' | 'yielding' | 'handed' | 'draining' | 'ended' | 'failed'

/** `yielded` and `drained` are ours, `broken` is either's, the rest the new one says. */
export type Happening = 'built' | 'probed' | 'asks' | 'yielded' | 'ready' | 'drained' | 'broken'

/** What is to be done: stop to write · let it write · end the old part · say that it has ended · end the new process · write again. */
export type Effect = 'yield' | 'give' | 'drain' | 'tell' | 'kill' | 'takeBack'

export interface Next {
  readonly phase: Phase
  readonly effects: readonly Effect[]
}

const to = (phase: Phase, ...effects: Effect[]): Next => Object.freeze({ phase, effects })

/** What is not here cannot be: from the new process it is a fault (`broken`). */
const TABLE: Readonly<Record<Phase, Readonly<Partial<Record<Happening, Next>>>>> = {
  starting: { built: to('built'), broken: to('failed', 'kill') },
  built: { probed: to('probed'), broken: to('failed', 'kill') },
  probed: { asks: to('yielding', 'yield'), broken: to('failed', 'kill') },
  yielding: { yielded: to('handed', 'give'), broken: to('failed', 'kill', 'takeBack') },
  handed: { ready: to('draining', 'drain'), broken: to('failed', 'kill', 'takeBack') },
  draining: { drained: to('ended', 'tell') },
  ended: {},
  failed: {},
}

/** Longest time in a phase in ms; null for any. That of draining is `timeouts.shutdown`. */
export const LIMIT_MS: Readonly<Record<Phase, number | null>> = {
  starting: 60_000,
  built: 30_000,
  probed: 5_000,
  yielding: 15_000,
  handed: 30_000,
  draining: null,
  ended: null,
  failed: null,
}

/** What the new process did not do in time, as the rest of a sentence about it. */
export const LATE: Readonly<Partial<Record<Phase, string>>> = {
  starting: 'did not build its tables',
  built: 'did not probe the targets',
  probed: 'did not ask to take over',
  yielding: 'waited in vain for this one to finish its changes',
  handed: 'did not accept connections',
}

/** Whether there is still a way back. */
export const isUnderWay = (phase: Phase): boolean => phase !== 'draining' && phase !== 'ended' && phase !== 'failed'

/** What comes of it; null when it cannot be now. */
export function step(phase: Phase, happening: Happening): Next | null {
  return TABLE[phase][happening] ?? null
}
