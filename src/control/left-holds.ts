/**
 * Holds of switches that are over, and the switch was not made: its process has ended in the middle. The hold ends by itself in any case; here
 * it is taken out of the document, so that the audit says what has become of it.
 *
 * Whoever is first does it, also where several instances share a store; for the others nothing is left to do. So nobody minds when it fails.
 */
import type { Change, Control } from '../change.ts'
import type { Clock } from '../clock.ts'

/** Workers refuse who still waits within this time: taken out of the document before, a hold would be one that was released. */
export const REFUSED_MS = 2_000

/** Sees to those that are over already, and to each that ends by itself; the returned function ends that. */
export function seeToLeftHolds(control: Pick<Control, 'change' | 'snapshot' | 'subscribe'>, clock: Clock): () => void {
  let cancel = (): void => {}
  const look = (): void => {
    for (const [service, { hold }] of Object.entries(control.snapshot().status)) {
      if (hold?.isOfSwitch !== true || clock.steadyMs() < hold.untilMs) continue
      const why = 'its switch was not made in time'
      const change: Change = { kind: 'release', services: [service], hold: hold.id, why }
      control.change(change, { actor: 'turnout' }).catch(() => {})
    }
  }
  look()
  const end = control.subscribe(({ type, data }) => {
    if (type !== 'hold' || data['finished'] !== true) return
    cancel()
    cancel = clock.after(REFUSED_MS, look)
  })
  return () => {
    end()
    cancel()
  }
}
