/** Warms the targets of the new version up, before it gets traffic: requests at a steady rate, and what is asked of their answers. */
import { durationMs } from '../../config/duration.ts'
import { type About, GateClosed, type Means, targetsOf } from './gate.ts'

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
  const urls = targetsOf(about, about.rollout.to)
  const count = Math.ceil((durationMs(warmup.for) / 1_000) * warmup.rate)
  const times: number[] = []
  let well = 0
  const under: Promise<void>[] = []
  const startedMs = steadyMs()
  for (let n = 0; n < count; n++) {
    const url = new URL(warmup.requests[n % warmup.requests.length].path, urls[n % urls.length])
    const begunMs = steadyMs()
    const asked = asker.get(url, TIMEOUT_MS, signal).then(
      ({ status }) => {
        times.push(steadyMs() - begunMs)
        if (status < 500) well++
      },
      () => {},
    )
    under.push(asked)
    await pause(Math.max(0, startedMs + ((n + 1) * 1_000) / warmup.rate - steadyMs()), signal)
  }
  await Promise.all(under)
  const p95Ms = times.sort((a, b) => a - b)[Math.floor(times.length * 0.95)] ?? Infinity
  if (warmup.success !== undefined && well / count < warmup.success) {
    throw new GateClosed(`of ${count} requests of the warm-up only ${well} were answered well`)
  }
  if (warmup.p95 !== undefined && p95Ms > durationMs(warmup.p95)) {
    throw new GateClosed(`the warm-up ended with a p95 of ${Math.round(p95Ms)} ms, above ${warmup.p95}`)
  }
  return `${well} of ${count} requests were answered well, 95 % of them within ${Math.round(p95Ms)} ms`
}
