/**
 * The fingerprint, asked again before the end of a rollout: targets may have come since its checks, and settings may have moved. Only whoever
 * takes requests then is asked; one that says nothing is waited for, and its health says the rest.
 */
import { noDrift } from './answer-checks.ts'
import type { About, Means } from './gate.ts'
import { ClearNo, takingOf, untilAnswered } from './still-there.ts'

/** Passes once all that have the new version, and the live ones where that is wished, have answered the same again. */
export async function stillSame(about: About, means: Means, signal: AbortSignal): Promise<void> {
  if (about.spec.fingerprint === undefined) return
  await untilAnswered('drift', about, means, signal, async (urls) => {
    const urlsOf = (pool: string) =>
      pool === about.rollout.to ? [...urls] : [...takingOf(about, means.steadyMs(), pool).keys()]
    const { state, sentence } = await noDrift(about, means, signal, urlsOf)
    if (state === 'failed') throw new ClearNo(sentence)
    return sentence
  })
}
