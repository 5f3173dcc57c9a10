/** One Turnout for the tests of a file: to start one takes longer than most tests that look at single messages. */
import { afterAll } from 'vitest'
import { call, service, startProxy, type Proxy as TestProxy } from './proxy.ts'

/**
 * For tests that ask nothing of the counters, limits or past of a proxy. Each call of what it returns sends everything to other
 * targets. `more` is added to the service. To be called outside tests; within a `describe` it is one for that.
 */
export function shareProxy(
  more: Record<string, unknown> = {},
  options: Parameters<typeof startProxy>[1] = {},
): (...targets: readonly { readonly url: string }[]) => Promise<TestProxy> {
  let starting: Promise<TestProxy> | null = null
  afterAll(async () => {
    await (await starting)?.close()
  })
  return async (...targets) => {
    const urls = targets.map(({ url }) => url)
    if (starting === null) {
      starting = startProxy({ services: { shop: service({ blue: urls }, more) } }, { ...options, keep: true })
      return starting
    }
    const proxy = await starting
    await call(proxy, 'PUT', '/v1/services/shop/pools/blue', { version: 'blue-version', targets: urls })
    return proxy
  }
}
