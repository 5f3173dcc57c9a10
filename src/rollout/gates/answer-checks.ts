/**
 * Checks that ask targets what they are: their version, and what they were built or set up with.
 *
 * They only read. A target is asked at each of its addresses, and one that does not answer has failed the check; at most `AT_ONCE`
 * addresses are asked at the same time.
 */
import { fieldAt } from '../../config/record.ts'
import type { AnswerSpec } from '../../config/schema-gates.ts'
import { unansweredInWords } from '../../unanswered.ts'
import { isRolling } from '../rolling.ts'
import { livePoolsOf } from '../rollout.ts'
import { hostOf } from './as-client.ts'
import { jsonOf, parsedJson } from './asker.ts'
import { type Found, failed, ok, skipped } from './check.ts'
import { type About, GateClosed, type Means, readyOf, targetsOf } from './gate.ts'
import { type Place, placesOf } from './places.ts'
import { shortened } from './shortened.ts'

const WITHIN_MS = 5_000
/** Addresses that are asked at the same time. */
const AT_ONCE = 32

/** Every target of the new pool answers the version of its pool. */
export async function versionAsAnnounced(about: About, means: Means, signal: AbortSignal): Promise<Found> {
  const { spec, rollout } = about
  const { to } = rollout
  if (spec.announces === undefined) return skipped('rollout.announces does not say where a target tells its version')
  if (isRolling(rollout)) return skipped('each target is asked after its update')
  const version = versionOf(about)
  if (version === null) return skipped(`pool ${to} has no version to compare with`)
  const urls = readyOf(about)
  const places = placesOf(about, urls, means.steadyMs())
  const answers = await askAll(places, spec.announces, about, means, signal)
  const wrong = answers.findIndex((answer) => answer !== version)
  return wrong < 0
    ? ok(`${urls.length} of ${urls.length} targets of ${to} answer version ${version}`)
    : failed(isWrong(places[wrong], answers[wrong], version))
}

/** The version that the targets of the new pool are to answer; null where nobody says it, or where they could tell it. */
export function versionOf({ spec, rollout, version, targets }: About): string | null {
  if (spec.announces === undefined) return null
  const present = isRolling(rollout) ? null : targets.spec?.pools[rollout.to]?.version
  return version || present || null
}

const isWrong = ({ name }: Place, answer: string, version: string): string =>
  `${name} answers version ${shown(answer)}, not ${shown(version)}`

/** What is wrong with a target as it answers now; null for nothing. Throws `GateClosed` when it does not answer. */
export async function wrongVersion(
  url: string,
  version: string,
  about: About,
  means: Means,
  signal: AbortSignal,
): Promise<string | null> {
  const { announces } = about.spec
  if (announces === undefined) return null
  const places = placesOf(about, [url], means.steadyMs())
  const answers = await askAll(places, announces, about, means, signal)
  const wrong = answers.findIndex((answer) => answer !== version)
  return wrong < 0 ? null : isWrong(places[wrong], answers[wrong], version)
}

/** Throws `GateClosed` unless a target answers this version; without `announces`, or a version, nothing is asked. */
export async function assertVersion(
  url: string,
  version: string | null,
  about: About,
  means: Means,
  signal: AbortSignal,
): Promise<void> {
  if (version === null || version === '') return
  const wrong = await wrongVersion(url, version, about, means, signal)
  if (wrong !== null) throw new GateClosed(wrong)
}

/** All targets of the new pool answer the same, and where it is wished the same as those of the live pools; `urlsOf` a pool are asked. */
export async function noDrift(
  about: About,
  means: Means,
  signal: AbortSignal,
  urlsOf = (pool: string): string[] => (pool === about.rollout.to ? readyOf(about) : targetsOf(about, pool)),
): Promise<Found> {
  const { spec, rollout } = about
  const { to } = rollout
  const asked = spec.fingerprint
  if (asked === undefined) return skipped('rollout.fingerprint does not say what to compare')
  const others = asked.same ? livePoolsOf(rollout) : []
  let count = 0
  const [mine, theirs] = [[to], others].map((pools) =>
    pools.flatMap((pool) => {
      const urls = urlsOf(pool)
      count += urls.length
      return placesOf(about, urls, means.steadyMs(), pool)
    }),
  )
  const places = [...mine, ...theirs]
  const answers = await askAll(places, asked, about, means, signal)
  const other = answers.findIndex((answer) => answer !== answers[0])
  if (other < 0) {
    const whose = [to, ...others].join(' and ')
    return ok(`all ${count} targets of ${whose} answer ${shown(answers[0] ?? '')} at ${asked.path}`)
  }
  const [one, another] = [places[0].name, places[other].name]
  const both = `${one} answers ${shown(answers[0])} at ${asked.path}, and ${another} ${shown(answers[other])}`
  return failed(other < mine.length ? `targets of ${to} differ: ${both}` : `${to} differs from the live pool: ${both}`)
}

/** What each answers, in order. Throws `GateClosed` when one does not. */
async function askAll(
  places: readonly Place[],
  asked: AnswerSpec,
  about: About,
  means: Means,
  signal: AbortSignal,
): Promise<string[]> {
  const headers = hostOf(about)
  const answers: string[] = []
  for (let at = 0; at < places.length; at += AT_ONCE) {
    const some = places.slice(at, at + AT_ONCE)
    answers.push(...(await Promise.all(some.map((place) => ask(place, asked, headers, means, signal)))))
  }
  return answers
}

async function ask(
  place: Place,
  { path, json }: AnswerSpec,
  headers: Readonly<Record<string, string>>,
  { asker }: Means,
  signal: AbortSignal,
): Promise<string> {
  const what = `GET ${path} of ${place.name}`
  const { status, body } = await asker.getAt(place, path, WITHIN_MS, signal, headers).catch((error: unknown) => {
    signal.throwIfAborted()
    throw new GateClosed(`${what}: ${unansweredInWords(error)}`)
  })
  if (status < 200 || status > 299) throw new GateClosed(`${what}: answered ${status}`)
  if (json === undefined) return body.trim()
  const found = fieldAt(parsedJson(body), json)
  if (found === undefined) throw new GateClosed(`${what}: no field ${json} in its answer`)
  const text = typeof found === 'string' ? found : jsonOf(found)
  if (text === null) throw new GateClosed(`${what}: field ${json} of its answer is nested too deep`)
  return text
}

const shown = (text: string): string => JSON.stringify(shortened(text))
