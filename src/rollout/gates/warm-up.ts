/**
 * Warms the targets of the new version up, before it gets traffic: requests at a steady rate, and what is asked of their answers.
 *
 * It may be long and fast, so nothing is kept by request: times are counted by the millisecond, and what is under way ends in time. Each
 * address of a target has its turn; when something is known of them that was not before, those of then are asked from there on.
 */
import { durationMs } from '../../config/duration.ts'
import { isAmong, statusRanges } from '../../config/statuses.ts'
import { headersOf } from './as-client.ts'
import { type About, GateClosed, type Means, readyOf } from './gate.ts'
import { placesOf } from './places.ts'

const TIMEOUT_MS = 10_000

/** Passes when all requests were sent, and as many answered, as soon, as the settings ask for. */
export async function warmUp(about: About, means: Means, signal: AbortSignal): Promise<void> {
  const { warmup } = about.spec
  if (warmup !== undefined) await about.log.watch('warm-up', null, signal, () => warm(warmup, about, means, signal))
}

type WarmUp = NonNullable<About['spec']['warmup']>

async function warm(
  warmup: WarmUp,
  about: About,
  { asker, steadyMs, pause }: Means,
  signal: AbortSignal,
): Promise<string> {
  const placesNow = () => placesOf(about, readyOf(about), steadyMs())
  let [known, places] = [about.status(), placesNow()]
  const count = Math.ceil((durationMs(warmup.for) / 1_000) * warmup.rate)
  // By the millisecond: how many requests there may be is nobody's limit.
  const times = new Uint32Array(TIMEOUT_MS + 1)
  let well = 0
  const headers = headersOf(about)
  // What fails is the same as with traffic (exchange/attempt-outcome.ts).
  const failing = statusRanges(about.spec.verdict?.failing ?? '500,502-599')
  const under = new Set<Promise<void>>()
  const startedMs = steadyMs()
  for (let n = 0; n < count; n++) {
    // What has changed is a new object.
    if (about.status() !== known) [known, places] = [about.status(), placesNow()]
    const { path } = warmup.requests[n % warmup.requests.length]
    const begunMs = steadyMs()
    const asked = asker.getAt(places[n % places.length], path, TIMEOUT_MS, signal, headers).then(
      ({ status }) => {
        times[Math.min(TIMEOUT_MS, Math.round(steadyMs() - begunMs))]++
        if (!isAmong(status, failing)) well++
      },
      () => {},
    )
    under.add(asked)
    void asked.then(() => under.delete(asked))
    await pause(Math.max(0, startedMs + ((n + 1) * 1_000) / warmup.rate - steadyMs()), signal)
  }
  await Promise.all(under)
  const p95Ms = within95(times)
  if (warmup.success !== undefined && well / count < warmup.success) {
    throw new GateClosed(`of ${count} requests of the warm-up only ${well} were answered well`)
  }
  if (warmup.p95 !== undefined && p95Ms > durationMs(warmup.p95)) {
    throw new GateClosed(`the warm-up ended with a p95 of ${p95Ms} ms, above ${warmup.p95}`)
  }
  const told = `${well} of ${count} requests were answered well`
  return p95Ms === Infinity ? told : `${told}, 95 % of all answers came within ${p95Ms} ms`
}

/** Time in ms within which 95 of 100 came; Infinity where none came. */
function within95(times: Uint32Array): number {
  const all = times.reduce((sum, count) => sum + count, 0)
  let sum = 0
  for (const [ms, count] of times.entries()) {
    sum += count
    if (all > 0 && sum > Math.floor(all * 0.95)) return ms
  }
  return all === 0 ? Infinity : times.length - 1
}
