/**
 * Before anything else: the list of checks (checks.ts). What may become well by waiting is waited for; whatever else fails ends it at
 * once, when each check has been made, so that all that is wrong is told together.
 */
import { CHECKS, look } from './checks.ts'
import { type About, GateClosed, type Means } from './gate.ts'
import type { OpenGate } from './gate-log.ts'

/** Targets are waited for so long until they are healthy. */
const HEALS_WITHIN_MS = 60_000
const LOOK_MS = 200

/** Passes once no check fails. */
export async function preflight(about: About, means: Means, signal: AbortSignal): Promise<void> {
  const untilMs = means.steadyMs() + HEALS_WITHIN_MS
  const open = new Map<string, OpenGate>(CHECKS.map(({ name }) => [name, about.log.begin(name)]))
  const failed = new Map<string, string>()
  while (open.size > 0) {
    const isLast = means.steadyMs() >= untilMs
    for (const check of CHECKS) {
      const gate = open.get(check.name)
      if (gate === undefined) continue
      if (check.after !== undefined && open.has(check.after)) continue
      if (check.after !== undefined && failed.has(check.after)) {
        gate.end('skipped', `not asked, since the check of ${check.after} has failed`)
        open.delete(check.name)
        continue
      }
      const { state, sentence, mayHeal } = await look(check, about, means, signal)
      signal.throwIfAborted()
      if (state === 'failed' && mayHeal === true && !isLast) {
        gate.say(sentence)
        continue
      }
      gate.end(state === 'ok' ? 'passed' : state, sentence)
      open.delete(check.name)
      if (state === 'failed') failed.set(check.name, sentence)
    }
    if (failed.size > 0) break
    if (open.size > 0) await means.pause(LOOK_MS, signal)
  }
  if (failed.size === 0) return
  for (const gate of open.values()) gate.end('skipped', 'not waited for, since another check has failed')
  throw new GateClosed([...failed.values()].join('; '))
}
