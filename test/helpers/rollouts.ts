/** Rollouts of a service called `shop`, as tests begin and follow them. */
import { runCli } from '../../src/cli/main.ts'
import type { ToldRollout } from '../../src/rollout/told.ts'
import { startLoad } from './load.ts'
import { call, service, startProxy, type Proxy as TestProxy } from './proxy.ts'
import { until } from './raw.ts'
import { startNamed } from './upstream.ts'

export const ROLLOUTS = '/v1/services/shop/rollouts'

/** The one that runs, or the last. */
export const current = (proxy: TestProxy) => call<ToldRollout>(proxy, 'GET', `${ROLLOUTS}/current`)

/** Begins one to green. */
export const begin = (proxy: TestProxy, sent: object) =>
  call<ToldRollout>(proxy, 'POST', ROLLOUTS, { to: 'green', ...sent })

type States = readonly ToldRollout['state'][]

/** Waits until the rollout is in one of these states, and tells it. */
export async function reached(proxy: TestProxy, ...states: States): Promise<ToldRollout> {
  let last = await current(proxy)
  const isThere = async (): Promise<boolean> => {
    last = await current(proxy)
    return states.includes(last.state)
  }
  await until(`the rollout is ${states.join(' or ')}`, isThere)
  return last
}

/** A shop with some traffic, of two versions that answer alike. */
export async function startAlike(): Promise<TestProxy> {
  const [blue, green] = [await startNamed('blue'), await startNamed('green')]
  const shop = service({ blue: [blue.url], green: [green.url] }, { sticky: false, visitor: [] })
  const proxy = await startProxy({ services: { shop } })
  startLoad(proxy.port, { connections: 8, pauseMs: () => 20 })
  return proxy
}

/** Runs one command; what it prints, and its exit code. */
export async function turnout(
  proxy: TestProxy,
  ...args: string[]
): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', '']
  const stdout = { write: (text: string) => (out += text) }
  const stderr = { write: (text: string) => (err += text) }
  const code = await runCli(['--admin', proxy.admin, ...args], { env: {}, stdout, stderr })
  return { code, out, err }
}
