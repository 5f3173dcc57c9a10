/**
 * Traffic for the demo: while a rollout runs, requests to the proxy, so that there is something to judge. At other times none, so that
 * whoever tries things with curl sees the answers to what he has sent.
 */
import { Agent } from 'undici'
import { systemClock } from '../clock.ts'

/** Requests at a time, and how often. */
const AT_ONCE = 5
const EVERY_MS = 20
/** How many that is. */
export const REQUESTS_PER_SECOND = (AT_ONCE * 1_000) / EVERY_MS
/** How often it is looked whether a rollout runs. */
const LOOK_MS = 250
/** While nothing is answered, no more are sent than this. */
const UNDER_WAY_MAX = 200

/** Begins to look for rollouts of the service; `proxy` and `admin` are URLs. The returned function ends it. */
export function startTraffic(proxy: string, admin: string, service: string): () => Promise<void> {
  const agent = new Agent({ connections: 16, bodyTimeout: 10_000, headersTimeout: 10_000 })
  let isRunning = false
  let underWay = 0

  const ask = async (): Promise<void> => {
    underWay++
    // An answer that fails is the rollout's to judge, and none is as good as another here.
    await agent
      .request({ origin: proxy, path: '/', method: 'GET' })
      .then(({ body }) => body.dump())
      .catch(() => {})
    underWay--
  }
  const look = async (): Promise<void> => {
    const answer = await agent.request({ origin: admin, path: `/v1/services/${service}/status`, method: 'GET' })
    const status = (await answer.body.json()) as { readonly rollout?: object | null }
    isRunning = (status.rollout ?? null) !== null
  }

  const ends = [
    systemClock.every(LOOK_MS, () => look().catch(() => (isRunning = false))),
    systemClock.every(EVERY_MS, () => {
      for (let sent = 0; isRunning && sent < AT_ONCE && underWay < UNDER_WAY_MAX; sent++) void ask()
    }),
  ]
  return async () => {
    for (const end of ends) end()
    await agent.destroy()
  }
}
