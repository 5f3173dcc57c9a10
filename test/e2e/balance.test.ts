/** Which target of a pool: one process, a service for each policy. */
import { describe, expect, test } from 'vitest'
import { metric } from '../helpers/admin.ts'
import { openLine } from '../helpers/load.ts'
import { call, service, startProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { startNamed, startUpstream } from '../helpers/upstream.ts'

describe('targets of a pool', () => {
  test('are chosen by weight, by a header, and by how soon they answer', async () => {
    const [light, heavy, third] = [await startNamed('light'), await startNamed('heavy'), await startNamed('third')]
    let slows = 0
    const slow = await startUpstream((_, response) => {
      slows++
      setTimeout(() => response.end('slow'), 150)
    })
    const fast = await startNamed('fast')
    const at = (host: string, targets: readonly { url: string }[], more: object) =>
      service({ blue: targets.map(({ url }) => url) }, { routes: [{ host }], ...more })
    const proxy = await startProxy({
      workers: 1,
      services: {
        weighed: at('weighed', [light, heavy], { balance: 'round-robin' }),
        tenants: at('tenants', [third, heavy], { balance: { hash: 'header:x-tenant' } }),
        slowly: service(
          { blue: [light.url], green: [fast.url] },
          { routes: [{ host: 'slowly' }], slowStart: '3s', balance: 'random' },
        ),
        sooner: at('sooner', [slow, fast], { balance: 'least-latency' }),
      },
    })
    const line = (await openLine(proxy.port))!
    const get = async (Host: string, headers: Record<string, string> = {}) => {
      const answer = await line.ask({ method: 'GET', headers: { Host, ...headers } })
      return answer === null || answer === 'unsent' ? 'nothing' : answer.body
    }
    const weights = { [heavy.url]: 3 }
    await call(proxy, 'PATCH', '/v1/services/weighed', { pools: { blue: { weights } } })
    const seen = { light: 0, heavy: 0 }
    for (let n = 0; n < 80; n++) seen[(await get('weighed')) as 'light' | 'heavy']++
    expect(Math.abs(seen.light - 20)).toBeLessThan(4)
    const { spec } = (await call(proxy, 'GET', '/v1/services/weighed')) as { spec: { pools: { blue: object } } }
    expect(spec.pools.blue).toMatchObject({ weights })
    expect(await metric(proxy, 'turnout_target_weight', `"127.0.0.1:${heavy.port}"`)).toBe(3)

    const places = new Set<string>()
    for (let tenant = 0; tenant < 12; tenant++) {
      const own = new Set<string>()
      for (let n = 0; n < 4; n++) own.add(await get('tenants', { 'x-tenant': `t${tenant}`, 'x-user-id': `u${n}` }))
      expect(own.size).toBe(1)
      for (const place of own) places.add(place)
    }
    expect(places.size).toBe(2)

    for (let n = 0; n < 200; n++) await get('sooner')
    // Half of them by chance; it is asked again now and then, which on a busy machine is more often than every twentieth.
    expect(slows).toBeLessThan(50)

    const status = async () =>
      (await call(proxy, 'GET', '/v1/services/slowly/status')) as {
        pools: { rampUntilMs: number; targets: { warmUntilMs: number }[] }[]
      }
    const share = async (name: string) => {
      let count = 0
      for (let n = 0; n < 60; n++) if ((await get('slowly')) === name) count++
      return count / 60
    }
    await until('the first pool is warm', async () => (await status()).pools[0].rampUntilMs === 0)
    const switched = await call(proxy, 'POST', '/v1/services/slowly/switch', { to: 'green' })
    const { rampUntilMs } = (await status()).pools[1]
    expect(rampUntilMs).toBeGreaterThan(Date.now())
    expect(Math.abs((switched as { warming: { green: number } }).warming.green - rampUntilMs)).toBeLessThan(100)
    // A tenth, or somewhat more on a busy machine.
    expect(await share('fast')).toBeLessThan(0.5)
    const asked = { url: 'http://slowly/', headers: { 'x-user-id': 'u1' } }
    expect(await call(proxy, 'POST', '/v1/explain', asked)).toMatchObject({ aimed: 'green' })
    await call(proxy, 'PUT', '/v1/services/slowly/pools/blue/state', { state: 'standby' })
    expect(await share('fast')).toBe(1)
    line.close()
  })
})
