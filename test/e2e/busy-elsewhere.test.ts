/** Two instances on one real Redis: what comes to a target through one of them is waited for by whoever asks the other. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { ask } from '../helpers/ask.ts'
import { startHook } from '../helpers/hook.ts'
import { http } from '../helpers/http.ts'
import { call, service, startProxy, type Proxy as TestProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/raw.ts'
import { REDIS, startRedis } from '../helpers/redis.ts'
import { turnout } from '../helpers/rollouts.ts'
import { startNamed } from '../helpers/upstream.ts'

interface Status {
  readonly pools: readonly {
    readonly name: string
    readonly drained: boolean
    readonly targets: readonly { readonly drained: boolean; readonly busyElsewhere: readonly string[] }[]
  }[]
}
const blueOf = async (proxy: TestProxy) =>
  (await call<Status>(proxy, 'GET', '/v1/services/shop/status')).pools.find(({ name }) => name === 'blue')!

/** A target that answers `/slow` and what writes only when told to, and takes WebSockets. */
async function startSlow() {
  const waiting: ServerResponse[] = []
  const server = http.createServer((request: IncomingMessage, response: ServerResponse) => {
    if (request.url === '/slow') waiting.push(response)
    else response.end('blue')
  })
  new WebSocketServer({ server })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { waiting, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

async function startTwo(more: object = {}) {
  const redis = await startRedis()
  onTestFinished(() => redis.end())
  const slow = await startSlow()
  const green = await startNamed('green')
  const shop = service({ blue: [slow.url], green: [green.url] }, { live: 'blue', split: undefined, ...more })
  const one = await startProxy({ store: redis.url, services: { shop } })
  const two = await startProxy({ store: redis.url, services: { shop } })
  return { one, two, slow }
}

test.skipIf(REDIS === null)(
  'a place is not drained while a request through another instance is there, and drain --wait names that one',
  async () => {
    const { one, two, slow } = await startTwo()
    const last = ask(two.port, { path: '/slow' })
    await until('the request is there', () => slow.waiting.length === 1)
    await call(one, 'POST', '/v1/services/shop/switch', { to: 'green', wait: '0s' })
    const sooner = await turnout(one, 'standby', 'shop', 'blue', '--wait', '--timeout', '2s')
    expect(sooner).toMatchObject({
      code: 1,
      err: expect.stringMatching(/not after 2 s: blue: something may be under way through \S+:\d+#[0-9a-f]{4}\./),
    })
    expect(await blueOf(one)).toMatchObject({ drained: false, targets: [{ drained: false }] })
    expect((await blueOf(one)).targets[0].busyElsewhere).toHaveLength(1)
    // It counts for itself what it has.
    expect(await blueOf(two)).toMatchObject({ drained: false, targets: [{ drained: false, busyElsewhere: [] }] })
    const waited = turnout(one, 'standby', 'shop', 'blue', '--wait')
    slow.waiting[0].end('slow')
    expect((await last).body).toBe('slow')
    expect(await waited).toMatchObject({ code: 0, out: expect.stringContaining('shop blue: standby, and drained') })
    expect(await blueOf(one)).toMatchObject({ drained: true, targets: [{ drained: true, busyElsewhere: [] }] })
  },
  30_000,
)

test.skipIf(REDIS === null)(
  'a pool that is removed is waited for until the tunnel through another instance is closed',
  async () => {
    const { one, two, slow } = await startTwo({ drain: { timeout: '60s', tunnels: { over: '1h', perSecond: 1 } } })
    const socket = new WebSocket(`ws://127.0.0.1:${two.port}/`)
    onTestFinished(() => socket.terminate())
    await until('it is open', () => socket.readyState === WebSocket.OPEN)
    await call(one, 'POST', '/v1/services/shop/switch', { to: 'green', wait: '0s' })
    const path = '/v1/services/shop/pools/blue'
    const none = { inFlight: 0, tunnels: 0, streams: 0, untilMs: null }
    const { draining } = await call<{ draining?: object }>(one, 'DELETE', `${path}?wait=2s`)
    expect([draining, socket.readyState]).toEqual([{ ...none, drained: false }, WebSocket.OPEN])
    // It comes back while it drains, and is waited for the second time.
    await call(one, 'PUT', path, { version: '1.0', targets: [slow.url] })
    const { out, err } = await turnout(one, 'pool', 'remove', 'shop', 'blue')
    expect([out, err]).toEqual([
      expect.stringContaining('blue'),
      'turnout: It drains: another instance, or the process before this one, may have something under way there.\n',
    ])
    await call(one, 'PUT', path, { version: '1.0', targets: [slow.url] })
    const removed = call<{ draining?: object }>(one, 'DELETE', `${path}?wait=60s`)
    await until('it is removed there too', async () => {
      const { spec } = await call<{ spec: { pools: object } }>(two, 'GET', '/v1/services/shop')
      return !('blue' in spec.pools)
    })
    socket.close()
    expect((await removed).draining).toEqual({ ...none, drained: true })
  },
  30_000,
)

test.skipIf(REDIS === null)(
  'a rolling release replaces a target only once the request through another instance has ended',
  async () => {
    const replaced: string[] = []
    const hook = await startHook(async ({ target }: { target: string }) => {
      replaced.push(target)
      return 200
    })
    const redis = await startRedis()
    onTestFinished(() => redis.end())
    const [slow, other] = [await startSlow(), await startNamed('blue')]
    const rollout = { strategy: 'rolling', advance: 'time', hooks: [{ at: 'UpdateTarget', url: hook.url }] }
    const shop = service({ blue: [slow.url, other.url] }, { live: 'blue', split: undefined, rollout })
    const one = await startProxy({ store: redis.url, services: { shop } })
    const two = await startProxy({ store: redis.url, services: { shop } })
    const last = Array.from({ length: 4 }, () => ask(two.port, { path: '/slow' }))
    await until('some are there', () => slow.waiting.length > 0)
    await call(one, 'POST', '/v1/services/shop/rollouts', { to: 'blue', version: '2.0' })
    const gates = async () =>
      (await call<{ rollouts: { gates: object[] }[] }>(one, 'GET', '/v1/services/shop/rollouts')).rollouts[0].gates
    await until('it waits', async () => (await gates()).some((gate) => 'gate' in gate && gate.gate === 'idle'))
    expect(await gates()).toContainEqual(
      expect.objectContaining({
        gate: 'idle',
        at: slow.url,
        state: 'waiting',
        reason: expect.stringMatching(/^something may be under way there through \S+:\d+#[0-9a-f]{4}$/),
      }),
    )
    expect(replaced).toEqual([])
    for (const response of slow.waiting) response.end('slow')
    await Promise.all(last)
    await until('it is replaced', () => replaced.length > 0)
    expect(replaced[0]).toBe(slow.url)
    await call(one, 'POST', '/v1/services/shop/rollouts/current/abort')
  },
  30_000,
)
