/**
 * How the answer to a change is shown: as JSON, or what is so now and when it began to be so; and what is still to come, such as the end of what is
 * under way at what was removed.
 */
import { inWords } from '../config/duration.ts'
import { percent, plain } from './columns.ts'
import type { Call } from './verb.ts'

/** What every change answers (change.ts). */
export interface Outcome {
  readonly revision: number
  readonly epoch: number
  readonly appliedInMs: number
  readonly changed: boolean
  /** Instances that do not route by it yet. */
  readonly waitingFor?: readonly string[]
  readonly split?: Readonly<Record<string, number>>
  /** What is under way at what was removed (admin/removals.ts). */
  readonly draining?: {
    readonly inFlight: number
    readonly tunnels: number
    readonly untilMs: number | null
    /** Nothing of it is left. */
    readonly drained?: boolean
  }
  /** Pools that take a part of their share yet, and until when, in wall time. */
  readonly warming?: Readonly<Record<string, number>>
}

/** Prints the outcome of a change; `now` says in words what is so now. */
export function printOutcome(call: Call, now: string, outcome: Outcome): void {
  call.print(call.json ? JSON.stringify(outcome) + '\n' : `${plain(now)} (${when(outcome)})\n`)
  if (call.json) return
  noteLate(call, outcome)
  if (outcome.draining !== undefined && outcome.draining.drained !== true) call.note(drains(call, outcome.draining))
  for (const [pool, untilMs] of Object.entries(outcome.warming ?? {})) {
    const left = inWords(Math.max(0, untilMs - call.clock.nowMs()))
    call.note(`${plain(pool)} warms up for ${left}: until then others go on with a part of its share (slowStart).`)
  }
}

/** What of what was removed is still to end. */
function drains({ clock }: Call, { inFlight, tunnels, untilMs }: NonNullable<Outcome['draining']>): string {
  if (inFlight + tunnels === 0)
    return 'It drains: another instance, or the process before this one, may have something under way there.'
  const over = untilMs === null ? '' : `, tunnels over ${inWords(Math.max(0, untilMs - clock.nowMs()))}`
  return `It drains: ${inFlight} requests and ${tunnels} tunnels were under way there, and end first${over}.`
}

/** Says which instances do not route by a change yet. */
export function noteLate(call: Call, { waitingFor }: Pick<Outcome, 'waitingFor'>): void {
  if (waitingFor === undefined) return
  call.note(`Not every instance routes by it yet, and the change stands: ${waitingFor.map(plain).join(', ')}.`)
}

const when = ({ revision, epoch, appliedInMs, changed }: Outcome): string =>
  changed
    ? `revision ${revision}, epoch ${epoch}, applied in ${appliedInMs.toFixed(1)} ms`
    : `it was so already, revision ${revision}`

/** A split in words: `blue 90 %, green 10 %`; pools that get nothing are left out. */
export function splitInWords(split: Readonly<Record<string, number>>): string {
  const sum = Object.values(split).reduce((total, weight) => total + weight, 0)
  const parts = Object.entries(split).filter(([, weight]) => weight > 0)
  return parts.map(([pool, weight]) => `${pool} ${percent(weight / sum)}`).join(', ')
}
