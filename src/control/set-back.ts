/**
 * A document that was stored by a clock which somebody has set back while nothing ran: its deadlines are further away than they were. What has
 * begun cannot begin later than now, so what says that it does proves it, and by how much at least.
 */
import { SHIFT_MS_MIN } from '../clock.ts'
import type { StoredDocument } from '../store/store.ts'
import { intentMovedBy } from '../table/deadlines.ts'
import type { ServiceIntent } from '../table/status.ts'
import type { Loaded } from './loaded.ts'
import { withDeadline } from './written.ts'

/** What was loaded of a document, with its deadlines as by a clock that shows `nowMs`; steady ms. */
export function notSetBack(loaded: Loaded, { services: stored }: StoredDocument, nowMs: number): Loaded {
  const { content, notes } = loaded
  const aheadMs = Math.max(0, ...Object.values(content.intents).map(beganMs)) - nowMs
  if (aheadMs < SHIFT_MS_MIN) return loaded
  const names = withDeadline(content)
  const moved = names.map((name) => [name, intentMovedBy(content.intents[name], -aheadMs)] as const)
  return {
    ...loaded,
    content: { ...content, intents: { ...content.intents, ...Object.fromEntries(moved) } },
    raw: new Map([...names.map((name) => [name, stored[name]] as const), ...loaded.raw]),
    notes: [
      ...notes,
      `deadlines of ${names.join(', ')} are ${aheadMs / 1_000} s earlier than they are stored, since the clock was set back`,
    ],
  }
}

const beganMs = ({ hold, maintenance }: ServiceIntent): number =>
  Math.max(hold?.sinceMs ?? 0, maintenance?.sinceMs ?? 0)
