/** Smoke tests: every target of the new version is asked as a client would, at each of its addresses, before it gets traffic. */
import { durationMs } from '../../config/duration.ts'
import { equalJson, fieldAt } from '../../config/record.ts'
import type { RolloutSpec } from '../../config/schema-rollout.ts'
import { isAmong, statusRanges } from '../../config/statuses.ts'
import { unansweredInWords } from '../../unanswered.ts'
import { headersOf } from './as-client.ts'
import { jsonOf, parsedJson } from './asker.ts'
import { type About, GateClosed, type Means, readyOf } from './gate.ts'
import { type Place, placesOf } from './places.ts'
import { shortened } from './shortened.ts'

/** Passes when every target has answered every test as it should. */
export async function smoke(about: About, means: Means, signal: AbortSignal): Promise<void> {
  for (const test of about.spec.smoke ?? []) {
    await about.log.watch('smoke', test.path, signal, async () => {
      const targets = readyOf(about)
      const headers = headersOf(about)
      for (const place of placesOf(about, targets, means.steadyMs())) await ask(test, place, headers, means, signal)
      return `${targets.length} of ${targets.length} targets answered as they should`
    })
  }
}

type SmokeTest = NonNullable<RolloutSpec['smoke']>[number]

async function ask(
  test: SmokeTest,
  place: Place,
  headers: Readonly<Record<string, string>>,
  { asker }: Means,
  signal: AbortSignal,
): Promise<void> {
  const what = `smoke test of ${test.path} at ${place.name}`
  const { status, body } = await asker
    .getAt(place, test.path, durationMs(test.within), signal, headers)
    .catch((error: unknown) => {
      signal.throwIfAborted()
      throw new GateClosed(`${what}: ${unansweredInWords(error)}`)
    })
  if (!isAmong(status, statusRanges(test.status))) {
    throw new GateClosed(`${what}: answered ${status}, not ${test.status}`)
  }
  if (test.body !== undefined && !body.includes(test.body)) {
    throw new GateClosed(`${what}: its body has no ${shortened(JSON.stringify(test.body))}`)
  }
  const value = parsedJson(body)
  for (const [path, wanted] of Object.entries(test.json ?? {})) {
    const found = fieldAt(value, path)
    if (equalJson(found, wanted)) continue
    const is = found === undefined ? 'absent' : shortened(jsonOf(found) ?? 'nested too deep')
    throw new GateClosed(`${what}: ${path} is ${is}, not ${shortened(JSON.stringify(wanted))}`)
  }
}
