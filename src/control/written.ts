/** What of the content goes into the document of the store, with its deadlines in wall time. Pure. */
import { own } from '../config/record.ts'
import type { WrittenService } from '../store/store.ts'
import { intentMovedBy } from '../table/deadlines.ts'
import type { Content } from './reconcile.ts'
import { packed } from './stored.ts'

/** A service as it is written, or null; `same` has its intent already. */
export function written(
  content: Content,
  name: string,
  shiftMs: number,
  same: WrittenService | null = null,
): WrittenService | null {
  const [spec, intent] = [own(content.services, name), own(content.intents, name)]
  if (spec === undefined || intent === undefined) return null
  return { spec, intent: same?.intent ?? packed(intentMovedBy(intent, shiftMs)) }
}

/** The services that have a deadline, or a beginning that is told. */
export const withDeadline = (content: Content): string[] =>
  Object.keys(content.services).filter((name) => hasDeadline(content, name))

function hasDeadline({ intents }: Content, name: string): boolean {
  const { hold, maintenance, pools } = intents[name]
  if (hold !== undefined || maintenance !== undefined) return true
  return Object.values(pools).some(
    ({ drainUntilMs, keptUntilMs = 0, targets }) =>
      drainUntilMs > 0 || keptUntilMs > 0 || Object.values(targets).some((target) => target.drainUntilMs > 0),
  )
}
