/**
 * A document that was stored by a clock which somebody has set back while nothing ran: its deadlines are further away than they were. What has
 * begun cannot begin later than now, so what says that it does proves it, and by how much at least.
 */
import { SHIFT_MS_MIN } from '../clock.ts'
import { intentMovedBy } from '../table/deadlines.ts'
import type { ServiceIntent } from '../table/status.ts'
import type { Loaded } from './loaded.ts'
import { withDeadline } from './written.ts'

export interface NotSetBack {
  readonly loaded: Loaded
  /** How far the clock that it was stored by was ahead, in ms. */
  readonly aheadMs: number
}

/** What was loaded of a document, with its deadlines as by a clock that shows `nowMs`; steady ms. */
export function notSetBack(loaded: Loaded, nowMs: number): NotSetBack {
  const { content, notes } = loaded
  const aheadMs = Math.max(0, ...Object.values(content.intents).map(beganMs)) - nowMs
  if (aheadMs < SHIFT_MS_MIN) return { loaded, aheadMs: 0 }
  const names = withDeadline(content)
  const moved = names.map((name) => [name, intentMovedBy(content.intents[name], -aheadMs)] as const)
  const note = `deadlines of ${names.join(', ')} are ${aheadMs / 1_000} s earlier than they are stored, since the clock was set back`
  const intents = { ...content.intents, ...Object.fromEntries(moved) }
  return { loaded: { ...loaded, content: { ...content, intents }, notes: [...notes, note] }, aheadMs }
}

const beganMs = ({ hold, maintenance, undone }: ServiceIntent): number =>
  Math.max(hold?.sinceMs ?? 0, maintenance?.sinceMs ?? 0, undone?.atMs ?? 0)
