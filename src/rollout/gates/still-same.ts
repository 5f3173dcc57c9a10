/**
 * The fingerprint, asked again before the end of a rollout: targets may have come since its checks, and settings may have moved. Only whoever
 * takes requests then is asked; one that says nothing is waited for, and its health says the rest.
 */
import { noDrift } from './answer-checks.ts'
import { type About, GateClosed, type Means } from './gate.ts'
import { takingOf } from './still-version.ts'

const ANSWERS_WITHIN_MS = 60_000
const BETWEEN_MS = 1_000

/** Passes once all that have the new version, and the live ones where that is wished, have answered the same again. */
export async function stillSame(about: About, means: Means, signal: AbortSignal): Promise<void> {
  if (about.spec.fingerprint === undefined) return
  await about.log.watch('drift', null, signal, async () => {
    const untilMs = means.steadyMs() + ANSWERS_WITHIN_MS
    const urlsOf = (pool: string) => [...takingOf(about, means.steadyMs(), pool).keys()]
    for (;;) {
      try {
        const { state, sentence } = await noDrift(about, means, signal, urlsOf)
        if (state !== 'failed') return sentence
        throw new Differs(sentence)
      } catch (error) {
        const isSilent = error instanceof GateClosed && !(error instanceof Differs)
        if (!isSilent || means.steadyMs() >= untilMs) throw error
      }
      await means.pause(BETWEEN_MS, signal)
    }
  })
}

class Differs extends GateClosed {}
