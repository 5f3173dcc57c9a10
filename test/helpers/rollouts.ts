/** Rollouts of a service called `shop`, as tests begin and follow them. */
import type { ToldRollout } from '../../src/rollout/told.ts'
import { call, type Proxy as TestProxy } from './proxy.ts'
import { until } from './raw.ts'

export const ROLLOUTS = '/v1/services/shop/rollouts'

/** The one that runs, or the last. */
export const current = (proxy: TestProxy) => call<ToldRollout>(proxy, 'GET', `${ROLLOUTS}/current`)

/** Begins one to green. */
export const begin = (proxy: TestProxy, sent: object) =>
  call<ToldRollout>(proxy, 'POST', ROLLOUTS, { to: 'green', ...sent })

/** Waits until the rollout is in one of these states, and tells it. */
export async function reached(proxy: TestProxy, ...states: ToldRollout['state'][]): Promise<ToldRollout> {
  let last = await current(proxy)
  await until(`the rollout is ${states.join(' or ')}`, async () => {
    last = await current(proxy)
    return states.includes(last.state)
  })
  return last
}
