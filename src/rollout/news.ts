/**
 * Tells what becomes of a rollout: as an event to all who listen, and to those whom its settings name.
 *
 * Nobody waits for whoever is told, and nothing fails by him: one who has not heard is a line in the log.
 */
import { isTurnoutError } from '../errors.ts'
import type { Gates } from './gates/gates.ts'
import type { Kept } from './kept.ts'
import { stateInWords } from './rollout.ts'
import type { RunningDeps } from './running.ts'
import { percentBefore, percentTold } from './shares.ts'

/** Tells an event to all who listen. */
export type Publish = (event: {
  type: 'rollout'
  service: string
  message: string
  data: Record<string, unknown>
}) => void

const WORDS = { paused: 'paused', done: 'done', rolledBack: 'rolled back' } as const

interface Notifying {
  readonly gates: Pick<Gates, 'notify'>
  readonly log: RunningDeps['log']
}

/** Tells of an end, or of a pause that waits for a person. */
export function notify(about: keyof typeof WORDS, kept: Kept, deps: Notifying): void {
  const { service, rollout } = kept
  const why = rollout.reason === null ? '' : `: ${rollout.reason}`
  notifyAll(`${service}: rollout ${rollout.id} to ${rollout.to} is ${WORDS[about]}${why}`, WORDS[about], kept, deps)
}

/** Tells that it waits for what a person may have to bring, or to go over. */
export function notifyWait(why: string, kept: Kept, deps: Notifying): void {
  const { service, rollout } = kept
  notifyAll(`${service}: rollout ${rollout.id} to ${rollout.to} waits: ${why}`, 'waiting', kept, deps)
}

/** Tells it to all whom its settings name; `is` says what it is for the log. */
export function notifyAll(text: string, is: string, { service, rollout, wish }: Kept, { gates, log }: Notifying): void {
  for (const to of wish.spec.notify ?? []) {
    // The path of an address is often its secret, so it is not logged.
    const { origin } = new URL(to.url)
    const unheard = (why: string): void =>
      log.warn({ rollout: rollout.id, origin, why }, `nobody has heard that a rollout is ${is}`)
    gates.notify(to, { text, service, rollout: rollout.id, state: rollout.state }).then(
      (why) => {
        if (why !== null) unheard(why)
      },
      // Whoever leads by now tells it.
      (error: Error) => isTurnoutError(error, 'conflict') || unheard(error.message),
    )
  }
}

/** Tells as an event that it begins, or which state it has come to. */
export function tell(
  what: string,
  { service, rollout, history, wish }: Kept,
  { publish }: Pick<RunningDeps, 'publish'>,
): void {
  const { id, to, state } = rollout
  // Before its first step gets anything it has what it had before.
  const weight =
    rollout.at === 0 && rollout.weight === 0 && rollout.phase !== 'watching'
      ? percentBefore(rollout)
      : percentTold(rollout)
  if (what !== 'begins' && isPassedThrough(state, wish)) return
  const reason = rollout.reason ?? history.at(-1)?.reason ?? null
  const why = reason === null ? '' : `: ${reason}`
  const message = `rollout ${id} of ${service} to ${to} ${what === 'begins' ? what : `is ${stateInWords(what)}`} at ${weight} %${why}`
  publish({ type: 'rollout', service, message, data: { id, to, state, weight, reason } })
}

/** Whether there is nothing to do in a state, which is over at once. */
const isPassedThrough = (state: Kept['rollout']['state'], { spec }: Kept['wish']): boolean =>
  (state === 'warming' || state === 'smoke') &&
  spec[state === 'warming' ? 'warmup' : 'smoke'] === undefined &&
  (spec.hooks ?? []).length === 0

/** Tells that it waits for what cannot be done now, and why. */
export function tellWait(
  what: string,
  error: Error,
  { service, rollout }: Pick<Kept, 'service' | 'rollout'>,
  { publish }: Pick<RunningDeps, 'publish'>,
): void {
  const { id, state } = rollout
  const message = `rollout ${id} of ${service} waits: ${what}: ${error.message}`
  const weight = percentTold(rollout)
  publish({ type: 'rollout', service, message, data: { id, state, weight, reason: error.message, trouble: true } })
}
